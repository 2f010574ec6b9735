//! What is shown to people: no character that steers a terminal, and nothing without an end.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Characters of a name and of a message; what is longer loses its middle, since the end of a message has the remedy.
const NAME_CHARS: usize = 160;
const MESSAGE_CHARS: usize = 2000;

/// Whether a character steers a terminal, ends a line or turns the order of what is read: C0, DEL and C1, the separators
/// of lines and paragraphs, and the marks, embeddings, overrides and isolates of bidirectional text.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// Whether a text may stand in a message as it is.
pub(crate) fn is_harmless(text: &str) -> bool {
    text.len() <= MESSAGE_CHARS && !text.contains(is_control)
}

/// The text with its control characters spelled as in a JSON string.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, c| {
        push_escaped(&mut escaped, c);
        escaped
    }))
}

/// Adds a character, spelled as in a JSON string if it is a control character.
pub(crate) fn push_escaped(text: &mut String, c: char) {
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

/// A message of one line, of bounded length.
pub(crate) fn message(text: &str) -> String {
    bounded(&escaped(text), MESSAGE_CHARS)
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

    #[test]
    fn a_long_message_keeps_its_begin_and_its_end() {
        let long = format!("file {}: leave it out", "é".repeat(100_000));
        let short = message(&long);
        assert!(short.starts_with("file éé") && short.ends_with("éé: leave it out"), "{short}");
        assert_eq!(short.chars().count(), MESSAGE_CHARS + 1);
        assert_eq!(message("short"), "short");
    }
}
