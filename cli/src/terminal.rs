//! What may reach a terminal: no character that steers it, and no message without an end.

use std::borrow::Cow;
use std::fmt::Write;

/// Characters of a message; what is longer loses its middle, since its end has the remedy.
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

/// A message of one line, of bounded length.
pub(crate) fn message(text: &str) -> String {
    let text = escaped(text);
    let all = text.chars().count();
    if all <= MESSAGE_CHARS {
        return text.into_owned();
    }
    let half = MESSAGE_CHARS / 2;
    let place = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(place, _)| place);
    let left_out = all - 2 * half;
    format!("{} … {left_out} characters … {}", &text[..place(half)], &text[place(all - half)..])
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
    fn a_long_message_keeps_its_begin_and_its_end() {
        let long = format!("file {}: leave it out", "é".repeat(100_000));
        let short = message(&long);
        assert!(short.starts_with("file éé") && short.ends_with("éé: leave it out"), "{short}");
        assert!(short.chars().count() < 2100 && short.contains(" … 98019 characters … "), "{short}");
        assert_eq!(message("short"), "short");
    }
}
