//! What is shown to people: no character that steers a terminal, and nothing without an end.

use std::borrow::Cow;
use std::path::Path;

use sortilege::log::{escaped, is_control};

/// Characters of a name and of a message; what is longer loses its middle, since the end of a message has the remedy.
const NAME_CHARS: usize = 160;
const MESSAGE_CHARS: usize = 2000;

/// Whether a text may stand in a message as it is.
pub(crate) fn is_harmless(text: &str) -> bool {
    text.len() <= MESSAGE_CHARS && !text.contains(is_control)
}

/// A name out of a file or from a user, on one line that is not long.
pub(crate) fn shown(name: &str) -> String {
    bounded(&escaped(name), NAME_CHARS)
}

/// A path, as `shown`.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// A message of one line, of bounded length.
pub(crate) fn message(text: &str) -> String {
    bounded(&escaped(text), MESSAGE_CHARS)
}

/// The label of a token for people: its text, or its id; control characters are escaped.
pub(crate) fn label(token: Option<u32>, text: Option<&str>) -> String {
    let id = || token.map_or_else(|| "-".to_owned(), |token| token.to_string());
    text.map_or_else(id, |text| format!("\"{}\"", escaped(text)))
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

/// A text that is cut to so many characters, the last of them an ellipsis.
pub(crate) fn clip(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(width - 1).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_long_message_keeps_its_begin_and_its_end() {
        let long = format!("file {}: leave it out", "é".repeat(100_000));
        let short = message(&long);
        assert!(short.starts_with("file éé") && short.ends_with("éé: leave it out"), "{short}");
        assert_eq!(short.chars().count(), MESSAGE_CHARS + 1);
        assert_eq!(message("short"), "short");
    }
}
