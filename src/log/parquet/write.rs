//! Records into the leaves of their schema, and these into row groups.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::leaves::{At, Cell, Leaf, ROW};
use super::schema::{DISTRIBUTION_LEAVES, DRAW_LEAVES, TOKEN_LOGPROB_LEAVES, TOP_LEAVES, schema};
use crate::arithmetic::format::ARITHMETIC_VERSION;
use crate::log::record::{
    DistributionRecord, DrawRecord, GivenToken, Kind, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};
use crate::log::write::WriteRecord;

/// Rows of a row group, and entries of its longest list: what is first reached ends it.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_ENTRIES: usize = 1 << 20;

/// Writes Parquet; a row group is in memory until it is full.
pub struct ParquetWriter<W: Write + Send> {
    /// None once it is finished.
    file: SerializedFileWriter<W>,
    leaves: Vec<Leaf>,
    kind: Kind,
}

impl<W: Write + Send> std::fmt::Debug for ParquetWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetWriter").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// A writer of records of one kind.
    ///
    /// # Errors
    /// What the output says.
    pub fn new(out: W, kind: Kind) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("sortilege version ", env!("CARGO_PKG_VERSION")).to_owned());
        let file = SerializedFileWriter::new(out, Arc::new(schema(kind)), Arc::new(properties.build()));
        let mut file = file.map_err(told)?;
        for (key, value) in [
            ("sortilege.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("sortilege.arithmetic_version", ARITHMETIC_VERSION.to_string()),
        ] {
            file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let leaves = file.schema_descr().columns().iter().map(|column| Leaf::new(column)).collect();
        Ok(Self { file, leaves, kind })
    }

    fn write_group(&mut self) -> Result<()> {
        if self.leaves[0].entries() == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for leaf in &mut self.leaves {
            let mut column = group.next_column()?.expect("a column for each leaf");
            leaf.write(column.untyped())?;
            column.close()?;
        }
        group.close().map(drop)
    }
}

impl<W: Write + Send> WriteRecord for ParquetWriter<W> {
    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let row = Row(&mut self.leaves);
        match (record, self.kind) {
            (Record::Logprobs(record), Kind::Logprobs) => row.logprobs(record)?,
            (Record::Sample(record), Kind::Sample) => row.sample(record)?,
            _ => return Err(invalid("a Parquet file has records of one kind".to_owned())),
        }
        let entries = self.leaves.iter().map(Leaf::entries).max().unwrap_or(0);
        if self.leaves[0].entries() >= GROUP_ROWS || entries >= GROUP_ENTRIES {
            self.write_group().map_err(told)?;
        }
        Ok(())
    }

    fn describe(&mut self, meta: &str) -> io::Result<()> {
        self.file.append_key_value_metadata(KeyValue::new("sortilege.meta".to_owned(), meta.to_owned()));
        let value: serde_json::Value = serde_json::from_str(meta)?;
        if let Some(hash) = value["input"]["sha256"].as_str() {
            let pair = KeyValue::new("sortilege.logits_sha256".to_owned(), hash.to_owned());
            self.file.append_key_value_metadata(pair);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write_group().map_err(told)?;
        self.file.finish().map_err(told)?;
        self.file.inner_mut().flush()
    }
}

/// What the output said, where that is behind it.
fn told(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// The leaves, of which each takes its part of a row. They have their numbers in the schema's order.
struct Row<'l>(&'l mut [Leaf]);

impl Row<'_> {
    fn logprobs(mut self, record: &LogprobsRecord<'_>) -> io::Result<()> {
        self.required(0, ROW, int64(record.request)?)?;
        self.required(1, ROW, int64(record.position)?)?;
        self.required(2, ROW, text(record.status.name()))?;
        self.optional(3, ROW, record.token.map(int32).transpose()?)?;
        self.optional(4, ROW, record.text.as_deref().map(text))?;
        self.optional(5, ROW, record.bytes.as_deref().map(bytes))?;
        self.optional(6, ROW, record.logprob.map(Cell::Double))?;
        self.optional(7, ROW, record.rank.map(int32).transpose()?)?;
        self.optional(8, ROW, record.logsumexp.map(Cell::Double))?;
        self.optional(9, ROW, record.entropy.map(Cell::Double))?;
        self.list(10, TOP_LEAVES, ROW, &record.top, Self::entry)?;
        self.list(10 + TOP_LEAVES, TOKEN_LOGPROB_LEAVES, ROW, &record.token_logprobs, Self::given)
    }

    fn sample(mut self, record: &SampleRecord<'_>) -> io::Result<()> {
        self.required(0, ROW, int64(record.request)?)?;
        self.required(1, ROW, int64(record.position)?)?;
        self.required(2, ROW, text(record.status.name()))?;
        self.required(3, ROW, Cell::Int64(record.seed.cast_signed()))?;
        self.required(4, ROW, Cell::Int64(record.stream.into()))?;
        self.optional(5, ROW, record.temperature.map(Cell::Double))?;
        self.required(6, ROW, int32(record.kept)?)?;
        self.optional(7, ROW, record.kept_mass.map(Cell::Double))?;
        self.list(8, DRAW_LEAVES, ROW, &record.draws, Self::draw)?;
        let processed = 8 + DRAW_LEAVES;
        self.distribution(processed, ROW, &record.processed)?;
        let raw = processed + DISTRIBUTION_LEAVES;
        let finish_reason = raw + DISTRIBUTION_LEAVES;
        match &record.raw {
            Some(distribution) => self.distribution(raw, ROW.within(), distribution)?,
            None => (raw..finish_reason).try_for_each(|leaf| self.0[leaf].push(ROW, None))?,
        }
        self.optional(finish_reason, ROW, record.finish_reason.map(|reason| text(reason.name())))
    }

    fn distribution(
        &mut self,
        first: usize,
        at: At,
        distribution: &DistributionRecord<'_>,
    ) -> io::Result<()> {
        self.required(first, at, text(distribution.status.name()))?;
        self.optional(first + 1, at, distribution.logsumexp.map(Cell::Double))?;
        self.optional(first + 2, at, distribution.entropy.map(Cell::Double))?;
        self.list(first + 3, TOP_LEAVES, at, &distribution.top, Self::entry)?;
        self.list(first + 3 + TOP_LEAVES, TOKEN_LOGPROB_LEAVES, at, &distribution.token_logprobs, Self::given)
    }

    fn given(&mut self, first: usize, at: At, given: &GivenToken<'_>) -> io::Result<()> {
        self.required(first, at, int32(given.token)?)?;
        self.optional(first + 1, at, given.text.as_deref().map(text))?;
        self.optional(first + 2, at, given.bytes.as_deref().map(bytes))?;
        self.required(first + 3, at, Cell::Double(given.logprob))?;
        self.required(first + 4, at, int32(given.rank)?)?;
        self.required(first + 5, at, Cell::Double(given.set_logprob))
    }

    fn entry(&mut self, first: usize, at: At, entry: &TokenLogprob<'_>) -> io::Result<()> {
        self.optional(first, at, entry.token.map(int32).transpose()?)?;
        self.optional(first + 1, at, entry.text.as_deref().map(text))?;
        self.optional(first + 2, at, entry.bytes.as_deref().map(bytes))?;
        self.required(first + 3, at, Cell::Double(entry.logprob))
    }

    fn draw(&mut self, first: usize, at: At, draw: &DrawRecord<'_>) -> io::Result<()> {
        self.required(first, at, int32(draw.token)?)?;
        self.optional(first + 1, at, draw.text.as_deref().map(text))?;
        self.optional(first + 2, at, draw.bytes.as_deref().map(bytes))?;
        self.required(first + 3, at, Cell::Double(draw.logprob))?;
        self.required(first + 4, at, int32(draw.rank)?)?;
        self.optional(first + 5, at, draw.raw_logprob.map(Cell::Double))?;
        self.optional(first + 6, at, draw.raw_rank.map(int32).transpose()?)
    }

    /// A list whose elements have so many leaves.
    fn list<T>(
        &mut self,
        first: usize,
        leaves: usize,
        at: At,
        items: &[T],
        write: fn(&mut Self, usize, At, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        if items.is_empty() {
            return (first..first + leaves).try_for_each(|leaf| self.0[leaf].push(at, None));
        }
        for (number, item) in items.iter().enumerate() {
            let repetition = if number == 0 { at.repetition } else { at.repetition + 1 };
            write(self, first, At { repetition, ..at.within() }, item)?;
        }
        Ok(())
    }

    fn required(&mut self, leaf: usize, at: At, value: Cell) -> io::Result<()> {
        self.0[leaf].push(at, Some(value))
    }

    fn optional(&mut self, leaf: usize, at: At, value: Option<Cell>) -> io::Result<()> {
        self.0[leaf].push(if value.is_some() { at.within() } else { at }, value)
    }
}

fn int32(value: u32) -> io::Result<Cell> {
    value
        .try_into()
        .map(Cell::Int32)
        .map_err(|_| invalid(format!("{value} is more than Parquet's int32 holds")))
}

fn int64(value: u64) -> io::Result<Cell> {
    value
        .try_into()
        .map(Cell::Int64)
        .map_err(|_| invalid(format!("{value} is more than Parquet's int64 holds")))
}

fn text(text: &str) -> Cell {
    bytes(text.as_bytes())
}

fn bytes(bytes: &[u8]) -> Cell {
    Cell::Bytes(bytes.to_vec())
}
