//! CSV files as tables of columns, each a name and a function that makes its field of a line.

use std::io::{self, Write};

use super::texts::Texts;
use crate::shown::push_escaped;

/// The name of a column, and its field of a line.
pub(crate) type Column<L> = (&'static str, fn(&L) -> String);

/// Writes the names of the columns.
pub(crate) fn write_head<L>(out: &mut dyn Write, columns: &[Column<L>]) -> io::Result<()> {
    write_records(out, [columns.iter().map(|(name, _)| *name)])
}

/// Writes the lines, a field for each column.
pub(crate) fn write_lines<L>(
    out: &mut dyn Write,
    columns: &[Column<L>],
    lines: impl IntoIterator<Item = L>,
) -> io::Result<()> {
    let fields = |line: L| columns.iter().map(move |(_, field)| field(&line));
    write_records(out, lines.into_iter().map(fields))
}

fn write_records<T: AsRef<[u8]>>(
    out: &mut dyn Write,
    records: impl IntoIterator<Item = impl Iterator<Item = T>>,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.write_record(record)?;
    }
    // A vector takes everything, so only the write below can fail.
    out.write_all(&writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?)
}

/// The field of what there may be, empty where there is nothing.
pub(crate) fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The field of a number, empty where it is not finite.
pub(crate) fn number(value: f64) -> String {
    optional(Some(value).filter(|value| value.is_finite()))
}

/// The field of a token's text, as `text_cell` spells it; empty where there is none.
pub(crate) fn text(texts: Texts<'_>, token: Option<u32>) -> String {
    token.and_then(|token| texts.text(token)).map_or_else(String::new, |text| text_cell(&text))
}

/// The field of a token's bytes, as JSON spells them; empty where they are not known.
pub(crate) fn bytes(texts: Texts<'_>, token: Option<u32>) -> String {
    let Some(bytes) = token.and_then(|token| texts.bytes(token)) else { return String::new() };
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// What has a spreadsheet take a cell for a formula, where it stands first; the wide forms count, too (OWASP, CSV
/// injection). A tab and a carriage return do, and are escaped.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A text that no spreadsheet runs and no terminal obeys. Control characters and backslashes are spelled as in a JSON
/// string. Before a formula goes an apostrophe, whatever spaces and apostrophes it begins with: so take one apostrophe off
/// such a cell, and undo the escapes, and the text is back.
pub(crate) fn text_cell(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The way back that the documentation gives.
    fn text_of(cell: &str) -> String {
        let text: String =
            serde_json::from_str(&format!("\"{}\"", cell.replace('"', "\\\""))).expect("a JSON string");
        match text.strip_prefix('\'') {
            Some(rest) if rest.trim_start_matches(may_precede_formula).starts_with(FORMULA) => {
                rest.to_owned()
            }
            _ => text,
        }
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
            assert_eq!(text_of(spelled), text);
        }
    }
}
