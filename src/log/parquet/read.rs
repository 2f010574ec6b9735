//! Rows of Parquet files as records: only of files with the columns that are written here, whoever wrote them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{Compression, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use serde::de::DeserializeOwned;

use super::leaves::{At, Cell, Problem, ROW, ReadLeaf};
use super::schema::{DISTRIBUTION_LEAVES, DRAW_LEAVES, TOKEN_LOGPROB_LEAVES, TOP_LEAVES, schema};
use crate::answer::Status;
use crate::log::error::{LogError, LogResult, other_column};
use crate::log::record::{
    DistributionRecord, DrawRecord, GivenToken, Kind, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};

/// Rows, and entries of all columns, that are read at a time.
const BATCH_ROWS: usize = 1024;
const BATCH_ENTRIES: usize = 1 << 18;

/// Reads Parquet, a batch of a row group at a time.
pub(crate) struct ParquetReader {
    file: SerializedFileReader<File>,
    kind: Kind,
    /// Row groups that were opened.
    groups: usize,
    leaves: Vec<ReadLeaf>,
    /// Rows of the open row group that are still to be read, at most so many at a time.
    left: usize,
    batch: usize,
    /// Rows of the batch that are still to be given.
    ahead: usize,
    /// Rows that were given.
    rows: u64,
}

impl ParquetReader {
    /// A reader that has read the end of the file.
    pub(crate) fn new(file: File) -> LogResult<Self> {
        let format = |problem: String| LogError::Format(problem);
        let file = guarded(|| SerializedFileReader::new(file).map_err(|error| error.to_string()))
            .map_err(|problem| format(format!("no readable Parquet file: {problem}")))?;
        let kind = kind_of(&file).map_err(format)?;
        check_compression(&file).map_err(format)?;
        Ok(Self { file, kind, groups: 0, leaves: Vec::new(), left: 0, batch: 1, ahead: 0, rows: 0 })
    }

    /// The next record, if there is one.
    pub(crate) fn read(&mut self) -> LogResult<Option<Record<'static>>> {
        let record = self.record();
        record.map_err(|problem| LogError::Record { line: self.rows + 1, problem })
    }

    /// Rows that were given.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    fn record(&mut self) -> Result<Option<Record<'static>>, Problem> {
        while self.ahead == 0 {
            if self.left == 0 && self.groups == self.file.num_row_groups() {
                return Ok(None);
            }
            guarded(|| if self.left == 0 { self.open_group() } else { self.read_batch() })?;
        }
        let mut row = Row(&mut self.leaves);
        let record = match self.kind {
            Kind::Logprobs => Record::Logprobs(row.logprobs()?),
            Kind::Sample => Record::Sample(row.sample()?),
        };
        (self.ahead, self.rows) = (self.ahead - 1, self.rows + 1);
        Ok(Some(record))
    }

    fn read_batch(&mut self) -> Result<(), Problem> {
        let rows = self.left.min(self.batch);
        for leaf in &mut self.leaves {
            if leaf.read(rows)? != rows {
                return Err("the file has fewer rows than it says".to_owned());
            }
        }
        (self.left, self.ahead) = (self.left - rows, rows);
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), Problem> {
        let group = self.file.get_row_group(self.groups).map_err(|error| error.to_string())?;
        self.groups += 1;
        let metadata = group.metadata();
        self.left = usize::try_from(metadata.num_rows()).map_err(|_| "a row group of less than no rows")?;
        let longest = metadata.columns().iter().map(|column| column.num_values()).max().unwrap_or(0);
        let entries = usize::try_from(longest).unwrap_or(usize::MAX) / self.left.max(1);
        self.batch = (BATCH_ENTRIES / entries.max(1)).clamp(1, BATCH_ROWS);
        let leaf = |(number, descriptor): (usize, &ColumnDescPtr)| {
            let column = group.get_column_reader(number).map_err(|error| error.to_string())?;
            ReadLeaf::new(column, descriptor)
        };
        let columns = self.file.metadata().file_metadata().schema_descr().columns();
        self.leaves = columns.iter().enumerate().map(leaf).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// The kind whose columns a file has; otherwise the column in which it differs from the nearest.
fn kind_of(file: &SerializedFileReader<File>) -> Result<Kind, Problem> {
    let described = |descriptor: &SchemaDescriptor| -> Vec<Column> {
        let column = |column: &ColumnDescPtr| {
            let levels = (column.max_def_level(), column.max_rep_level());
            (column.path().string(), (column.physical_type(), levels))
        };
        descriptor.columns().iter().map(column).collect()
    };
    let theirs = described(file.metadata().file_metadata().schema_descr());
    let names = |columns: &[Column]| columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let is_sample = theirs.iter().any(|(name, _)| name.starts_with("draws"));
    let kind = if is_sample { Kind::Sample } else { Kind::Logprobs };
    let ours = described(&SchemaDescriptor::new(schema(kind).into()));
    if let Some(difference) = other_column(&names(&theirs), &names(&ours)) {
        return Err(format!("the Parquet file has other columns than those that a log has: {difference}"));
    }
    match ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
        None => Ok(kind),
        Some(((name, ours), (_, theirs))) => {
            Err(format!("column {name} of the Parquet file {}", other_type(*theirs, *ours)))
        }
    }
}

/// A column of a file: its name, its type, and the levels of its definition and its repetition.
type Column = (String, Typed);
type Typed = (Type, (i16, i16));

/// How the type of a column differs from the one that it must have.
fn other_type((theirs, (definition, _)): Typed, (ours, (must_be, _)): Typed) -> String {
    match definition.cmp(&must_be) {
        _ if theirs != ours => format!("is {theirs}, that of a log {ours}"),
        Ordering::Greater => "may be null, that of a log may not".to_owned(),
        Ordering::Less => "is never null, that of a log may be".to_owned(),
        Ordering::Equal => "is nested otherwise than that of a log".to_owned(),
    }
}

/// An error for compression that is not read.
fn check_compression(file: &SerializedFileReader<File>) -> Result<(), Problem> {
    let groups = file.metadata().row_groups().iter();
    let mut used = groups.flat_map(|group| group.columns()).map(|column| column.compression());
    let other = used.find(|used| !matches!(used, Compression::UNCOMPRESSED | Compression::SNAPPY));
    other.map_or(Ok(()), |other| {
        let name = other.to_string().to_lowercase();
        let name = name.split('(').next().unwrap_or_default();
        Err(format!(
            "the Parquet file is compressed with {name}, which is not read: write it with snappy or none"
        ))
    })
}

/// What the work gives; the crate panics at some pages of damaged files, which is an error here.
fn guarded<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the file is damaged".to_owned()))
}

/// The leaves, of which each gives its part of a row; as in the writer.
struct Row<'l>(&'l mut [ReadLeaf]);

impl Row<'_> {
    fn logprobs(&mut self) -> Result<LogprobsRecord<'static>, Problem> {
        Ok(LogprobsRecord {
            request: self.required(0)?,
            position: self.required(1)?,
            status: self.status(2)?,
            token: self.optional(3)?,
            text: self.text(4)?,
            bytes: self.bytes(5)?,
            logprob: self.optional(6)?,
            rank: self.optional(7)?,
            logsumexp: self.optional(8)?,
            entropy: self.optional(9)?,
            top: self.list(10, TOP_LEAVES, ROW, Self::entry)?,
            token_logprobs: self.list(10 + TOP_LEAVES, TOKEN_LOGPROB_LEAVES, ROW, Self::given)?,
        })
    }

    fn sample(&mut self) -> Result<SampleRecord<'static>, Problem> {
        let processed = 8 + DRAW_LEAVES;
        let raw = processed + DISTRIBUTION_LEAVES;
        Ok(SampleRecord {
            request: self.required(0)?,
            position: self.required(1)?,
            status: self.status(2)?,
            seed: self.required::<i64>(3)?.cast_unsigned(),
            stream: self.required(4)?,
            temperature: self.optional(5)?,
            kept: self.required(6)?,
            kept_mass: self.optional(7)?,
            draws: self.list(8, DRAW_LEAVES, ROW, Self::draw)?,
            processed: self.distribution(processed, ROW)?,
            raw: self.raw(raw)?,
            finish_reason: self.text(raw + DISTRIBUTION_LEAVES)?.map(named).transpose()?,
        })
    }

    fn raw(&mut self, first: usize) -> Result<Option<DistributionRecord<'static>>, Problem> {
        if self.0[first].next().is_some_and(|at| at.definition > 0) {
            return self.distribution(first, ROW.within()).map(Some);
        }
        (first..first + DISTRIBUTION_LEAVES).try_for_each(|leaf| self.null(leaf))?;
        Ok(None)
    }

    fn distribution(&mut self, first: usize, at: At) -> Result<DistributionRecord<'static>, Problem> {
        Ok(DistributionRecord {
            status: self.status(first)?,
            logsumexp: self.optional(first + 1)?,
            entropy: self.optional(first + 2)?,
            top: self.list(first + 3, TOP_LEAVES, at, Self::entry)?,
            token_logprobs: self.list(first + 3 + TOP_LEAVES, TOKEN_LOGPROB_LEAVES, at, Self::given)?,
        })
    }

    fn given(&mut self, first: usize) -> Result<GivenToken<'static>, Problem> {
        Ok(GivenToken {
            token: self.required(first)?,
            text: self.text(first + 1)?,
            bytes: self.bytes(first + 2)?,
            logprob: self.required(first + 3)?,
            rank: self.required(first + 4)?,
            set_logprob: self.required(first + 5)?,
        })
    }

    fn entry(&mut self, first: usize) -> Result<TokenLogprob<'static>, Problem> {
        Ok(TokenLogprob {
            token: self.optional(first)?,
            text: self.text(first + 1)?,
            bytes: self.bytes(first + 2)?,
            logprob: self.required(first + 3)?,
        })
    }

    fn draw(&mut self, first: usize) -> Result<DrawRecord<'static>, Problem> {
        Ok(DrawRecord {
            token: self.required(first)?,
            text: self.text(first + 1)?,
            bytes: self.bytes(first + 2)?,
            logprob: self.required(first + 3)?,
            rank: self.required(first + 4)?,
            raw_logprob: self.optional(first + 5)?,
            raw_rank: self.optional(first + 6)?,
        })
    }

    fn list<T>(
        &mut self,
        first: usize,
        leaves: usize,
        at: At,
        read: fn(&mut Self, usize) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let mut items = Vec::new();
        let has_items = self.0[first].next().is_some_and(|next| next.definition > at.definition);
        if !has_items {
            (first..first + leaves).try_for_each(|leaf| self.null(leaf))?;
            return Ok(items);
        }
        loop {
            items.push(read(self, first)?);
            if self.0[first].next().is_none_or(|next| next.repetition <= at.repetition) {
                return Ok(items);
            }
        }
    }

    fn null(&mut self, leaf: usize) -> Result<(), Problem> {
        match self.0[leaf].take()? {
            None => Ok(()),
            Some(_) => Err("a value where its group is missing".to_owned()),
        }
    }

    fn status(&mut self, leaf: usize) -> Result<Status, Problem> {
        named(self.text(leaf)?.ok_or("a row without a status")?)
    }

    fn text(&mut self, leaf: usize) -> Result<Option<Cow<'static, str>>, Problem> {
        let Some(bytes) = self.bytes(leaf)? else { return Ok(None) };
        let text = String::from_utf8(bytes.into_owned()).map_err(|_| "a text that is no UTF-8")?;
        Ok(Some(Cow::Owned(text)))
    }

    fn bytes(&mut self, leaf: usize) -> Result<Option<Cow<'static, [u8]>>, Problem> {
        match self.0[leaf].take()? {
            None => Ok(None),
            Some(Cell::Bytes(bytes)) => Ok(Some(Cow::Owned(bytes))),
            Some(other) => Err(format!("{other:?} where bytes belong")),
        }
    }

    fn required<T: FromCell>(&mut self, leaf: usize) -> Result<T, Problem> {
        self.optional(leaf)?.ok_or_else(|| "nothing where a value belongs".to_owned())
    }

    fn optional<T: FromCell>(&mut self, leaf: usize) -> Result<Option<T>, Problem> {
        let Some(cell) = self.0[leaf].take()? else { return Ok(None) };
        T::from_cell(&cell).map(Some).ok_or_else(|| format!("{cell:?} is out of range"))
    }
}

/// What a word names.
fn named<T: DeserializeOwned>(word: Cow<'static, str>) -> Result<T, Problem> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|error| error.to_string())
}

/// What a number of a column can be.
trait FromCell: Sized {
    fn from_cell(cell: &Cell) -> Option<Self>;
}

impl FromCell for f64 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        if let Cell::Double(value) = cell { Some(*value) } else { None }
    }
}

impl FromCell for i64 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        if let Cell::Int64(value) = cell { Some(*value) } else { None }
    }
}

impl FromCell for u64 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

impl FromCell for u32 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Int32(value) => (*value).try_into().ok(),
            Cell::Int64(value) => (*value).try_into().ok(),
            _ => None,
        }
    }
}
