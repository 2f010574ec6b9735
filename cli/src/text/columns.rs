//! CSV files as tables of columns, each a name and a function that makes its field of a line.

use std::io::{self, Write};

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
