//! The leaves of a schema, with values and levels: of records that are to be written, and of those that were read. (Dremel's
//! levels: how much of a path to a value is there, and at which list it goes on.)

use std::io;

use parquet::column::reader::ColumnReader;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescriptor;

/// Values of one physical type.
pub(super) enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    /// All bytes, and where each value ends.
    Bytes(Vec<u8>, Vec<usize>),
}

/// A value that is not null.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Int32(i32),
    Int64(i64),
    Double(f64),
    Bytes(Vec<u8>),
}

/// Where a value belongs: at which list it goes on, and how much of its path is there.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) repetition: i16,
    pub(super) definition: i16,
}

/// The place of what is in no list and in no group that may be missing.
pub(super) const ROW: At = At { repetition: 0, definition: 0 };

impl At {
    /// Within a group that may be missing, and is there.
    pub(super) const fn within(self) -> Self {
        Self { definition: self.definition + 1, ..self }
    }
}

/// One column in the making.
pub(super) struct Leaf {
    values: Values,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    most: At,
}

impl Leaf {
    pub(super) fn new(column: &ColumnDescriptor) -> Self {
        use parquet::basic::Type;
        let values = match column.physical_type() {
            Type::INT32 => Values::Int32(Vec::new()),
            Type::INT64 => Values::Int64(Vec::new()),
            Type::DOUBLE => Values::Double(Vec::new()),
            _ => Values::Bytes(Vec::new(), Vec::new()),
        };
        let most = At { repetition: column.max_rep_level(), definition: column.max_def_level() };
        Self { values, definitions: Vec::new(), repetitions: Vec::new(), most }
    }

    /// Entries, nulls among them.
    pub(super) fn entries(&self) -> usize {
        self.definitions.len()
    }

    pub(super) fn push(&mut self, at: At, value: Option<Cell>) -> io::Result<()> {
        self.definitions.push(at.definition);
        self.repetitions.push(at.repetition);
        match (&mut self.values, value) {
            (_, None) => {}
            (Values::Int32(values), Some(Cell::Int32(value))) => values.push(value),
            (Values::Int64(values), Some(Cell::Int64(value))) => values.push(value),
            (Values::Double(values), Some(Cell::Double(value))) => values.push(value),
            (Values::Bytes(bytes, ends), Some(Cell::Bytes(value))) => {
                bytes.extend_from_slice(&value);
                ends.push(bytes.len());
            }
            (_, Some(_)) => return Err(io::Error::other("a value of another column")),
        }
        Ok(())
    }

    /// Writes the column, and forgets it.
    pub(super) fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        let definitions = (self.most.definition > 0).then_some(&self.definitions[..]);
        let repetitions = (self.most.repetition > 0).then_some(&self.repetitions[..]);
        match (&mut self.values, writer) {
            (Values::Int32(values), ColumnWriter::Int32ColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            (Values::Int64(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            (Values::Double(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            (Values::Bytes(bytes, ends), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let all = ByteArray::from(std::mem::take(bytes));
                let starts = [0].into_iter().chain(ends.iter().copied());
                let values: Vec<ByteArray> =
                    starts.zip(ends.iter()).map(|(start, end)| all.slice(start, end - start)).collect();
                writer.write_batch(&values, definitions, repetitions)?;
                ends.clear();
            }
            _ => unreachable!("the leaf was made for its column"),
        }
        self.definitions.clear();
        self.repetitions.clear();
        Ok(())
    }
}

/// One column that is read, batch by batch.
pub(super) struct ReadLeaf {
    column: ColumnReader,
    values: ReadValues,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    most: At,
    /// Entries and values of the batch that were taken.
    taken: [usize; 2],
}

enum ReadValues {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

/// What is wrong with a column.
pub(super) type Problem = String;

impl ReadLeaf {
    pub(super) fn new(column: ColumnReader, descriptor: &ColumnDescriptor) -> Result<Self, Problem> {
        let values = match &column {
            ColumnReader::Int32ColumnReader(_) => ReadValues::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => ReadValues::Int64(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => ReadValues::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => ReadValues::Bytes(Vec::new()),
            _ => return Err(format!("the column {} has another type", descriptor.path())),
        };
        let most = At { repetition: descriptor.max_rep_level(), definition: descriptor.max_def_level() };
        let (definitions, repetitions) = (Vec::new(), Vec::new());
        Ok(Self { column, values, definitions, repetitions, most, taken: [0; 2] })
    }

    /// Reads the next batch of so many rows; how many there were.
    pub(super) fn read(&mut self, rows: usize) -> Result<usize, Problem> {
        let Self { values, definitions, repetitions, .. } = self;
        definitions.clear();
        repetitions.clear();
        self.taken = [0; 2];
        let levels = (Some(definitions), Some(repetitions));
        let read = match (values, &mut self.column) {
            (ReadValues::Int32(values), ColumnReader::Int32ColumnReader(column)) => {
                values.clear();
                column.read_records(rows, levels.0, levels.1, values)
            }
            (ReadValues::Int64(values), ColumnReader::Int64ColumnReader(column)) => {
                values.clear();
                column.read_records(rows, levels.0, levels.1, values)
            }
            (ReadValues::Double(values), ColumnReader::DoubleColumnReader(column)) => {
                values.clear();
                column.read_records(rows, levels.0, levels.1, values)
            }
            (ReadValues::Bytes(values), ColumnReader::ByteArrayColumnReader(column)) => {
                values.clear();
                column.read_records(rows, levels.0, levels.1, values)
            }
            _ => unreachable!("the values were made for the column"),
        };
        read.map(|(rows, ..)| rows).map_err(|error| error.to_string())
    }

    /// The levels of the next entry, if there is one.
    pub(super) fn next(&self) -> Option<At> {
        let entry = self.taken[0];
        let level = |levels: &[i16], most| if most > 0 { levels.get(entry).copied() } else { Some(0) };
        let repetition = level(&self.repetitions, self.most.repetition)?;
        Some(At { repetition, definition: level(&self.definitions, self.most.definition)? })
    }

    /// Takes the next entry; nothing for a null.
    pub(super) fn take(&mut self) -> Result<Option<Cell>, Problem> {
        let at = self.next().ok_or("a column is shorter than the others")?;
        self.taken[0] += 1;
        if at.definition < self.most.definition {
            return Ok(None);
        }
        let number = self.taken[1];
        self.taken[1] += 1;
        let cell = match &self.values {
            ReadValues::Int32(values) => values.get(number).copied().map(Cell::Int32),
            ReadValues::Int64(values) => values.get(number).copied().map(Cell::Int64),
            ReadValues::Double(values) => values.get(number).copied().map(Cell::Double),
            ReadValues::Bytes(values) => values.get(number).map(|value| Cell::Bytes(value.data().to_vec())),
        };
        cell.map(Some).ok_or_else(|| "a column has fewer values than it says".to_owned())
    }
}
