//! Names out of files and from users in messages: on one line that is not long, and without what a terminal would obey.

use std::path::Path;

/// Characters of a name that anybody reads.
const MOST_CHARS: usize = 160;

/// The name with its control characters spelled out, and those that turn the direction of writing; without its middle
/// where it is long.
pub(crate) fn shown(name: &str) -> String {
    let obeys = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut escaped = String::new();
    let count = name.chars().count();
    for (place, c) in name.chars().enumerate() {
        match place {
            _ if count > MOST_CHARS && place == MOST_CHARS / 2 => escaped.push('…'),
            _ if count > MOST_CHARS && (MOST_CHARS / 2..count - MOST_CHARS / 2).contains(&place) => {}
            _ if obeys(c) => escaped.extend(c.escape_debug()),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A path, as `shown`.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_nothing_to_a_terminal() {
        let (name, plain) =
            ("a\u{1b}]0;x\u{7}b\nc\u{202e}d \"é\" ▁", "a\\u{1b}]0;x\\u{7}b\\nc\\u{202e}d \"é\" ▁");
        assert_eq!(shown(name), plain);
        assert_eq!(shown(&"n".repeat(MOST_CHARS)), "n".repeat(MOST_CHARS));
        let long = shown(&["start", &"n".repeat(1 << 20), "end"].concat());
        assert!(long.chars().count() <= MOST_CHARS + 1, "{long}");
        assert!(long.starts_with("startn") && long.contains("n…n") && long.ends_with("nend"), "{long}");
    }
}
