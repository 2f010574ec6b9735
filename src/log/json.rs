//! JSON lines in which no control character stands as it is: JSON itself asks for escapes of C0 alone.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::spelling::escaped;

/// Writes a value without a line break.
///
/// # Errors
/// What the output says.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaped)).map_err(io::Error::from)
}

/// Writes a value and a line break.
///
/// # Errors
/// What the output says.
pub fn write_json_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    write_json(out, value)?;
    out.write_all(b"\n")
}

/// Writes a value over many lines.
///
/// # Errors
/// What the output says.
pub fn write_json_pretty(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    // No text has a line break of its own.
    let text = serde_json::to_string_pretty(value)?;
    text.lines().try_for_each(|line| writeln!(out, "{}", escaped(line)))
}

/// Compact JSON with every control character as an escape.
struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        out.write_all(escaped(fragment).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::spelling::is_control;

    #[test]
    fn a_reader_finds_what_was_written() {
        let text = "a\"\\\n\u{1b}[31m\u{7f}\u{9b}2J\u{202e}é漢\u{2028}";
        let mut line = Vec::new();
        write_json_line(&mut line, &[text]).expect("memory");
        let line = String::from_utf8(line).expect("UTF-8");
        assert_eq!(line.trim_end().find(is_control), None, "{line}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).expect("JSON"), [text]);
        let mut pretty = Vec::new();
        write_json_pretty(&mut pretty, &[text]).expect("memory");
        let pretty = String::from_utf8(pretty).expect("UTF-8");
        assert_eq!(pretty.lines().count(), 3);
        assert!(!pretty.lines().any(|line| line.contains(is_control)), "{pretty}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&pretty).expect("JSON"), [text]);
    }
}
