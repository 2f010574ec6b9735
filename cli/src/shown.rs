//! What is shown to people: no character that steers a terminal, and nothing without an end.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Characters of a name; what is longer loses its middle.
const NAME_CHARS: usize = 160;

/// Whether a character steers a terminal, ends a line or turns the order of what is read: C0, DEL and C1, the separators
/// of lines and paragraphs, and the marks, embeddings, overrides and isolates of bidirectional text.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// The text with its control characters spelled as in a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, c| {
        push_escaped(&mut escaped, c);
        escaped
    }))
}

/// Adds a character, spelled as in a JSON string if it is a control character.
fn push_escaped(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        // All of them have four digits. A string takes everything.
        c if is_control(c) => _ = write!(text, "\\u{:04x}", u32::from(c)),
        c => text.push(c),
    }
}

/// A name out of a file or from a user, on one line that is not long.
pub(crate) fn shown(name: &str) -> String {
    bounded(&escaped(name), NAME_CHARS)
}

/// A path, as `shown`.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// The text, without its middle where it is longer.
fn bounded(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let (start, end) = (text.chars().take(half), text.chars().skip(count - half));
    start.chain(['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_gets_through() {
        assert_eq!(
            escaped("a\u{1b}[31m\u{9b}\n\t\u{7f}é\u{202e}"),
            "a\\u001b[31m\\u009b\\n\\t\\u007fé\\u202e"
        );
        assert!(matches!(escaped("plain — é, 漢, 😀"), Cow::Borrowed(_)));
    }

    #[test]
    fn names_do_nothing_to_a_terminal() {
        let (name, plain) =
            ("a\u{1b}]0;x\u{7}b\nc\u{202e}d \"é\" ▁", "a\\u001b]0;x\\u0007b\\nc\\u202ed \"é\" ▁");
        assert_eq!(shown(name), plain);
        assert_eq!(shown(&"n".repeat(NAME_CHARS)), "n".repeat(NAME_CHARS));
        let long = shown(&["start", &"n".repeat(1 << 20), "end"].concat());
        assert!(long.chars().count() <= NAME_CHARS + 1, "{long}");
        assert!(long.starts_with("startn") && long.contains("n…n") && long.ends_with("nend"), "{long}");
    }
}
