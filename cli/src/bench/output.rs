//! The formats of `sortilege bench`. What a cell says is not decided here.

use std::io::{self, Write};

use serde_json::Value;
use sortilege::log::{escaped, text_cell, write_json, write_json_line};

use super::args::BenchFormat;
use super::cell::Cell;
use crate::shown::clip;

/// Writes cells as they come.
pub(crate) struct Writer<W: Write> {
    out: W,
    format: BenchFormat,
    cells: usize,
}

impl<W: Write> Writer<W> {
    /// A writer that has written what comes before the first cell.
    pub(crate) fn new(mut out: W, format: BenchFormat) -> io::Result<Self> {
        match format {
            BenchFormat::Table => writeln!(out, "{}", pad(&HEAD))?,
            BenchFormat::Json => write!(out, "[")?,
            BenchFormat::Jsonl => {}
            BenchFormat::Csv => writeln!(out, "{}", Cell::COLUMNS.join(","))?,
            BenchFormat::Md => {
                let rule: Vec<&str> =
                    HEAD.iter().map(|(_, width)| if *width > 0 { "---" } else { "--:" }).collect();
                let names = HEAD.map(|(name, _)| name);
                writeln!(out, "| {} |\n| {} |", names.join(" | "), rule.join(" | "))?;
            }
        }
        Ok(Self { out, format, cells: 0 })
    }

    /// Writes a cell.
    pub(crate) fn write(&mut self, cell: &Cell) -> io::Result<()> {
        let is_first = self.cells == 0;
        self.cells += 1;
        match self.format {
            BenchFormat::Table => {
                let fields = fields(cell);
                let columns: Vec<(&str, i32)> =
                    fields.iter().zip(HEAD).map(|(text, (_, width))| (text.as_str(), width)).collect();
                writeln!(self.out, "{}{}", pad(&columns), error_after(cell, "  "))?;
            }
            BenchFormat::Json => {
                write!(self.out, "{}", if is_first { "\n" } else { ",\n" })?;
                write_json(&mut self.out, cell)?;
            }
            BenchFormat::Jsonl => {
                write_json_line(&mut self.out, cell)?;
            }
            BenchFormat::Csv => self.write_csv(cell)?,
            BenchFormat::Md => {
                let fields = fields(cell).map(|text| text.replace('|', "\\|"));
                writeln!(
                    self.out,
                    "| {}{} |",
                    fields.join(" | "),
                    error_after(cell, " ").replace('|', "\\|")
                )?;
            }
        }
        self.out.flush()
    }

    /// Writes what comes after the last cell, and gives the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.format == BenchFormat::Json {
            writeln!(self.out, "{}]", if self.cells == 0 { "" } else { "\n" })?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_csv(&mut self, cell: &Cell) -> io::Result<()> {
        // By way of text: as a JSON value, a temperature of 0.7 in binary32 were 0.699999988079071.
        let value: Value = serde_json::from_slice(&serde_json::to_vec(cell)?)?;
        let field = |column: &&str| match &value[*column] {
            Value::Null => String::new(),
            Value::String(text) => text_cell(text),
            other => other.to_string(),
        };
        let mut writer = csv::Writer::from_writer(&mut self.out);
        writer.write_record(Cell::COLUMNS.iter().map(field))?;
        writer.flush()
    }
}

/// Names and widths of what people see; a positive width is of words, a negative one of numbers.
const HEAD: [(&str, i32); 18] = [
    ("device", 18),
    ("kernels", 8),
    ("op", 11),
    ("dtype", 5),
    ("rows", -5),
    ("vocab", -7),
    ("top", -5),
    ("draws", -5),
    ("T", -5),
    ("threads", -7),
    ("cache", 5),
    ("GPU µs", -10),
    ("wall µs", -10),
    ("ring µs", -10),
    ("p95 µs", -10),
    ("GB/s", -8),
    ("of read", -8),
    ("filters", 7),
];

/// The fields that people see, in the order of `HEAD`.
fn fields(cell: &Cell) -> [String; 18] {
    let number = |value: Option<f64>| or_dash(value.map(digits));
    [
        clip(&escaped(&cell.device), 18).into_owned(),
        or_dash(cell.kernels.as_ref()),
        cell.op.clone(),
        cell.dtype.clone(),
        cell.rows.to_string(),
        cell.vocab.to_string(),
        or_dash(cell.top),
        or_dash(cell.draws),
        or_dash(cell.temperature),
        or_dash(cell.threads),
        or_dash(cell.cache.as_ref()),
        number(cell.gpu_us),
        number(cell.wall_us),
        number(cell.wall_ring_us),
        number(cell.p95_us),
        number(cell.gb_per_s),
        or_dash(cell.percent_of_ceiling.map(|percent| format!("{percent:.1} %"))),
        or_dash(cell.filters.as_ref()),
    ]
}

/// The operation, and what it keeps.
pub(crate) fn named_op(cell: &Cell) -> String {
    cell.filters.as_ref().map_or_else(|| cell.op.clone(), |filters| format!("{}, {filters}", cell.op))
}

/// A dash where there is nothing to say.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Three digits at least, where there are so many.
pub(crate) fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// The error of a cell behind a gap, if there is one.
fn error_after(cell: &Cell, gap: &str) -> String {
    cell.error.as_ref().map_or_else(String::new, |error| format!("{gap}{}", escaped(error)))
}

/// Columns at their widths.
fn pad(columns: &[(&str, i32)]) -> String {
    let padded = columns.iter().map(|(text, width)| {
        let length = width.unsigned_abs() as usize;
        if *width > 0 { format!("{text:<length$}") } else { format!("{text:>length$}") }
    });
    padded.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: BenchFormat, cells: &[Cell]) -> String {
        let mut writer = Writer::new(Vec::new(), format).expect("memory");
        cells.iter().for_each(|cell| writer.write(cell).expect("memory"));
        String::from_utf8(writer.finish().expect("memory")).expect("UTF-8")
    }

    #[test]
    fn what_filters_do_widens_no_column_before() {
        let plain = Cell { op: "sample".to_owned(), dtype: "f32".to_owned(), ..Cell::default() };
        let filtered = Cell { filters: Some("top_k 50, top_p 0.9, min_p 0.05".to_owned()), ..plain.clone() };
        let table = written(BenchFormat::Table, &[plain, filtered]);
        let at: Vec<_> = table.lines().skip(1).map(|line| line.find("f32")).collect();
        assert!(at[0].is_some() && at[0] == at[1] && table.contains("top_p 0.9"), "{table}");
    }

    #[test]
    fn every_format_tells_every_cell() {
        let cell = Cell {
            device: "a, \"b\" | c".to_owned(),
            op: "log".to_owned(),
            temperature: Some(0.7),
            gpu_us: Some(12.345),
            pass_us: Some([("copy".to_owned(), 0.5)].into()),
            ..Cell::default()
        };
        let failed = Cell { error: Some("too large".to_owned()), ..cell.clone() };
        let hostile =
            Cell { device: "=a\u{9b}\n".to_owned(), error: Some("=b\n".to_owned()), ..cell.clone() };
        for (format, words) in [
            (BenchFormat::Csv, "'=a\\u009b\\n,"),
            (BenchFormat::Table, "=a\\u009b\\n"),
            (BenchFormat::Md, "=a\\u009b\\n"),
            (BenchFormat::Jsonl, "=a\\u009b\\n"),
            (BenchFormat::Json, "=a\\u009b\\n"),
        ] {
            let text = written(format, std::slice::from_ref(&hostile));
            assert!(text.contains(words) && !text.contains('\u{9b}'), "{format:?}: {text}");
        }
        let cells = [cell, failed];
        for format in [BenchFormat::Json, BenchFormat::Jsonl] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), written(format, &cells)).expect("written");
            assert_eq!(super::super::cell::load(file.path()).expect("cells"), cells, "{format:?}");
        }
        assert_eq!(written(BenchFormat::Json, &[]), "[]\n");
        let csv = written(BenchFormat::Csv, &cells);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
        let column = |name| Cell::COLUMNS.iter().position(|column| *column == name).expect("a column");
        assert_eq!(&rows[0][column("device")], "a, \"b\" | c");
        assert_eq!(&rows[0][column("temperature")], "0.7");
        assert_eq!(&rows[0][column("gpu_us")], "12.345");
        assert_eq!(&rows[0][column("pass_us")], "{\"copy\":0.5}");
        assert_eq!(&rows[1][column("error")], "too large");
        let table = written(BenchFormat::Table, &cells);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0].chars().count(), lines[1].chars().count(), "{table}");
        assert!(lines[1].contains(" 12.3 ") && lines[2].ends_with("  too large"), "{table}");
        let md = written(BenchFormat::Md, &cells);
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(md.lines().all(|line| bars(line) == HEAD.len() + 1), "{md}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0.123, 1.0, 12.34, 123.4, 12345.6].map(digits),
            ["0.123", "1.00", "12.3", "123", "12346"]
        );
    }
}
