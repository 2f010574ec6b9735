//! How texts are spelled, so that none steers a terminal or runs in a spreadsheet.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character steers a terminal, ends a line or turns the order of what is read: C0, DEL and C1, the separators
/// of lines and paragraphs, and the marks, embeddings, overrides and isolates of bidirectional text.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// The text with its control characters spelled as in a JSON string.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, c| {
        push_escaped(&mut escaped, c);
        escaped
    }))
}

/// Adds a character, spelled as in a JSON string if it is a control character.
pub fn push_escaped(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        // All of them have four digits. A string takes everything.
        c if is_control(c) => _ = write!(text, "\\u{:04x}", u32::from(c)),
        c => text.push(c),
    }
}

/// What has a spreadsheet take a cell for a formula, where it stands first; the wide forms count, too (OWASP, CSV
/// injection). A tab and a carriage return do, and are escaped.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A text that no spreadsheet runs and no terminal obeys. Control characters and backslashes are spelled as in a JSON
/// string. Before a formula goes an apostrophe, whatever spaces and apostrophes it begins with: so take one apostrophe off
/// such a cell, and undo the escapes, and the text is back.
pub fn text_cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len() + 1);
    if text.trim_start_matches(may_precede_formula).starts_with(FORMULA) {
        cell.push('\'');
    }
    for c in text.chars() {
        match c {
            '\\' => cell.push_str("\\\\"),
            c => push_escaped(&mut cell, c),
        }
    }
    cell
}

/// Whether a character before a formula may go unseen, or be one of our apostrophes.
fn may_precede_formula(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// The text that a field of CSV spells; nothing where it is no spelling.
#[must_use]
pub fn text_of_cell(cell: &str) -> Option<String> {
    let text: String = serde_json::from_str(&format!("\"{}\"", cell.replace('"', "\\\""))).ok()?;
    let is_guard = |rest: &&str| rest.trim_start_matches(may_precede_formula).starts_with(FORMULA);
    Some(match text.strip_prefix('\'').filter(is_guard) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
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
    fn cells_are_harmless_and_can_be_read_back() {
        let texts = [
            ("plain", "plain"),
            (" the", " the"),
            ("=1+1", "'=1+1"),
            (" =1", "' =1"),
            ("\u{a0}\u{3000}＝1", "'\u{a0}\u{3000}＝1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("-", "'-"),
            ("a-b", "a-b"),
            ("'", "'"),
            ("'s", "'s"),
            ("'=1", "''=1"),
            ("' @", "'' @"),
            ("\t=1", "'\\t=1"),
            // White space of Python, and none here.
            ("'\u{1c}=1", "'\\u001c=1"),
            ("\r\n", "\\r\\n"),
            ("\\n", "\\\\n"),
            ("\"=1\"", "\"=1\""),
            ("\u{1b}[31m\u{9b}\u{202e}\u{7f}\0", "\\u001b[31m\\u009b\\u202e\\u007f\\u0000"),
            ("", ""),
        ];
        for (text, spelled) in texts {
            assert_eq!(text_cell(text), spelled);
            assert_eq!(text_of_cell(spelled).as_deref(), Some(text));
        }
    }
}
