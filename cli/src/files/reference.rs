//! Reference files: what `compare` keeps of logits, as tensors of a .safetensors file that any reader of the format opens.
//! What a row of it means is the library's matter.
//!
//! The file is written column by column into temporary files, and put together when all rows are there.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use serde_json::json;
use sortilege::compare::{ReferenceRow, ReferenceTarget};
use sortilege::{NO_TOKEN, Status};

use super::atomic_file::AtomicFile;
use super::formats::Header;
use crate::failure::{Failure, Result};
use crate::input::{Input, Opened, cannot_spool, is_stdin, temporary};
use crate::shown::shown;

/// What `__metadata__` says the file is, by this key.
const KEY: &str = "sortilege";
const KIND: &str = "reference 1";

/// A tensor of the file: its name, the format's name of its type, the bytes of an element, and whether it has one for each
/// listed token or one a row. The widest come first, so that each lies aligned.
struct Column(&'static str, &'static str, usize, bool);

const ENTROPY: Column = Column("entropy", "F64", 8, false);
const MAX_LOGPROB: Column = Column("max_logprob", "F64", 8, false);
const MASS_OUTSIDE: Column = Column("mass_outside", "F64", 8, false);
const TOP_TOKENS: Column = Column("top_tokens", "U32", 4, true);
const TOP_LOGITS: Column = Column("top_logits", "F32", 4, true);
const TARGET_TOKEN: Column = Column("target_token", "U32", 4, false);
const TARGET_LOGIT: Column = Column("target_logit", "F32", 4, false);
const TARGET_RANK: Column = Column("target_rank", "U32", 4, false);
const STATUS: Column = Column("status", "U8", 1, false);

const COLUMNS: [Column; 9] = [
    ENTROPY,
    MAX_LOGPROB,
    MASS_OUTSIDE,
    TOP_TOKENS,
    TOP_LOGITS,
    TARGET_TOKEN,
    TARGET_LOGIT,
    TARGET_RANK,
    STATUS,
];

/// Codes of a row's status in the file.
const STATUSES: [Status; 4] = [Status::Ok, Status::Nan, Status::PositiveInfinity, Status::NothingFinite];

/// What is said of all rows of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// The shape of the logits without the vocabulary.
    pub(crate) leading: Vec<usize>,
    pub(crate) vocab: usize,
    /// Tokens that are listed of each row.
    pub(crate) listed: usize,
    pub(crate) has_targets: bool,
    /// The position, in its request, that the first row predicts.
    pub(crate) first: usize,
    pub(crate) source: Source,
}

/// Where the logits of a reference came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) sha256: String,
    pub(crate) dtype: String,
    pub(crate) device: String,
    /// Whether the logits were rounded before this program read them.
    pub(crate) is_approximate: bool,
}

/// Names in the file of what is said of the source.
const SOURCE_NAMES: [&str; 4] = ["source", "source_sha256", "source_dtype", "device"];

/// Writes a reference row by row; the file is there once it is finished.
pub(crate) struct ReferenceWriter {
    file: AtomicFile,
    path: std::path::PathBuf,
    listed: usize,
    columns: [BufWriter<File>; COLUMNS.len()],
    rows: usize,
    /// Rows that are no distribution.
    pub(crate) unsound: usize,
}

impl ReferenceWriter {
    /// One that lists so many tokens of each row.
    pub(crate) fn new(path: &Path, listed: usize) -> Result<Self> {
        let file = AtomicFile::new(path)?;
        let columns: Vec<BufWriter<File>> =
            COLUMNS.iter().map(|_| temporary(path).map(BufWriter::new)).collect::<Result<_>>()?;
        let columns = columns.try_into().expect("one for each column");
        Ok(Self { file, path: path.to_owned(), listed, columns, rows: 0, unsound: 0 })
    }

    /// Writes a row.
    pub(crate) fn add(&mut self, row: &ReferenceRow) -> Result<()> {
        let tokens = |i: usize| row.top.get(i).map_or(NO_TOKEN, |entry| entry.0).to_le_bytes();
        let logits = |i: usize| row.top.get(i).map_or(f32::NEG_INFINITY, |entry| entry.1).to_le_bytes();
        let target = row.target.unwrap_or(ReferenceTarget { token: NO_TOKEN, logit: f32::NAN, rank: 0 });
        let status = STATUSES.iter().position(|status| *status == row.status).unwrap_or(STATUSES.len());
        let bytes: [Vec<u8>; COLUMNS.len()] = [
            row.entropy.to_le_bytes().to_vec(),
            row.max_logprob.to_le_bytes().to_vec(),
            row.mass_outside().to_le_bytes().to_vec(),
            (0..self.listed).flat_map(tokens).collect(),
            (0..self.listed).flat_map(logits).collect(),
            target.token.to_le_bytes().to_vec(),
            target.logit.to_le_bytes().to_vec(),
            target.rank.to_le_bytes().to_vec(),
            vec![u8::try_from(status).unwrap_or(u8::MAX)],
        ];
        self.rows += 1;
        self.unsound += usize::from(row.status != Status::Ok);
        let mut each = self.columns.iter_mut().zip(bytes);
        each.try_for_each(|(column, bytes)| column.write_all(&bytes))
            .map_err(|error| cannot_spool(&self.path, &error))
    }

    /// Puts the file in its place.
    pub(crate) fn finish(self, about: &About) -> Result<()> {
        let Self { mut file, path, columns, rows, .. } = self;
        let header = header(about, rows).to_string();
        // Eight bytes are the header's length; the tensors behind it lie aligned.
        let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
        let failed = |error: io::Error| Failure::writing(&error);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
        file.write_all(header.as_bytes()).map_err(failed)?;
        for column in columns {
            let mut column = column.into_inner().map_err(|error| cannot_spool(&path, error.error()))?;
            column.seek(SeekFrom::Start(0)).map_err(failed)?;
            io::copy(&mut column, &mut file).map_err(failed)?;
        }
        AtomicFile::keep_all([file])
    }
}

/// The header of a file of so many rows.
fn header(about: &About, rows: usize) -> serde_json::Value {
    let mut said = serde_json::Map::new();
    said.insert(KEY.to_owned(), json!(KIND));
    let leading: Vec<String> = about.leading.iter().map(usize::to_string).collect();
    let numbers = [
        ("shape", leading.join(",")),
        ("vocab", about.vocab.to_string()),
        ("has_targets", about.has_targets.to_string()),
        ("first_position", about.first.to_string()),
        ("source_approximate", about.source.is_approximate.to_string()),
    ];
    let Source { file, sha256, dtype, device, .. } = about.source.clone();
    let source = SOURCE_NAMES.into_iter().zip([file, sha256, dtype, device]);
    said.extend(numbers.into_iter().chain(source).map(|(name, text)| (name.to_owned(), json!(text))));
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), said.into());
    let mut end = 0;
    for Column(name, dtype, bytes, is_list) in COLUMNS {
        let shape = if is_list { vec![rows, about.listed] } else { vec![rows] };
        let start = end;
        end += shape.iter().product::<usize>() * bytes;
        header.insert(name.to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
    }
    header.into()
}

/// A reference that is read.
pub(crate) struct ReferenceFile {
    pub(crate) data: Input,
    pub(crate) about: About,
    pub(crate) rows: usize,
    /// Where each column begins.
    starts: [u64; COLUMNS.len()],
}

impl ReferenceFile {
    /// Whether a file is a reference. The first bytes of a stream must say so, whose rest is read once, and of what a link
    /// such as `/dev/stdin` leads to: opened again, it may be where the first one is.
    pub(crate) fn is_reference(opened: &Opened) -> Result<bool> {
        if opened.head.get(8) != Some(&b'{') {
            return Ok(false);
        }
        let is_file = opened.path.symlink_metadata().is_ok_and(|found| found.is_file());
        if opened.is_stream() || is_stdin(&opened.path) || !is_file {
            let says = format!("\"{KEY}\":\"reference");
            return Ok(opened.head.windows(says.len()).any(|bytes| bytes == says.as_bytes()));
        }
        let data = Opened::new(&opened.path)?.seekable(None)?;
        Ok(Header::read(&data).is_ok_and(|header| header.about.contains_key(KEY)))
    }

    /// The reference in a file.
    pub(crate) fn of(opened: Opened) -> Result<Self> {
        let data = opened.seekable(None)?;
        let bad = |problem: String| Failure::file(&data.path, format!("no readable reference: {problem}"));
        let header = Header::read(&data)?;
        let kind = header.about.get(KEY).map_or("", String::as_str);
        if kind != KIND {
            return Err(bad(format!("it is \"{}\", and this program reads \"{KIND}\"", shown(kind))));
        }
        let (about, rows) = about(&header).map_err(bad)?;
        let mut starts = [0; COLUMNS.len()];
        for (start, Column(name, dtype, _, is_list)) in starts.iter_mut().zip(COLUMNS) {
            let shape = if is_list { vec![rows, about.listed] } else { vec![rows] };
            match header.tensor(name) {
                Some((bytes, found, found_shape)) if found == dtype && found_shape == shape => {
                    *start = bytes.start;
                }
                _ => return Err(bad(format!("{name} is no tensor {dtype} of shape {shape:?}"))),
            }
        }
        Ok(Self { data, about, rows, starts })
    }

    /// The rows of this range.
    pub(crate) fn read(&self, rows: &Range<usize>) -> Result<Vec<ReferenceRow>> {
        let listed = self.about.listed;
        let column = |Column(name, _, bytes, is_list): &Column| {
            let place = COLUMNS.iter().position(|column| column.0 == *name).expect("one of them");
            let width = bytes * if *is_list { listed } else { 1 };
            let mut buffer = vec![0; rows.len() * width];
            self.data.read(self.starts[place] + (rows.start * width) as u64, &mut buffer).map(|()| buffer)
        };
        let f64s = |of: &Column| column(of).map(|bytes| numbers(&bytes, f64::from_le_bytes));
        let f32s = |of: &Column| column(of).map(|bytes| numbers(&bytes, f32::from_le_bytes));
        let u32s = |of: &Column| column(of).map(|bytes| numbers(&bytes, u32::from_le_bytes));
        let (entropy, max_logprob, outside) = (f64s(&ENTROPY)?, f64s(&MAX_LOGPROB)?, f64s(&MASS_OUTSIDE)?);
        let (tokens, logits) = (u32s(&TOP_TOKENS)?, f32s(&TOP_LOGITS)?);
        let (target, target_logit, rank) = (u32s(&TARGET_TOKEN)?, f32s(&TARGET_LOGIT)?, u32s(&TARGET_RANK)?);
        let status = column(&STATUS)?;
        let row = |i: usize| {
            let list = i * listed..(i + 1) * listed;
            let entries = tokens[list.clone()].iter().copied().zip(logits[list].iter().copied());
            let status = STATUSES.get(usize::from(status[i])).copied().ok_or_else(|| {
                Failure::file(&self.data.path, format!("row {} has no status {}", rows.start + i, status[i]))
            })?;
            let read = ReferenceRow {
                status,
                entropy: entropy[i],
                max_logprob: max_logprob[i],
                top: entries.take_while(|(token, _)| *token != NO_TOKEN).collect(),
                target: (target[i] != NO_TOKEN).then_some(ReferenceTarget {
                    token: target[i],
                    logit: target_logit[i],
                    rank: rank[i],
                }),
            };
            let problem = match read.check(self.about.vocab) {
                // Of a row that is no distribution nothing is used.
                Ok(()) if status != Status::Ok => return Ok(read),
                Err(error) => error.to_string(),
                Ok(()) if read.entropy.is_nan() => "its entropy is NaN".to_owned(),
                Ok(()) if (read.mass_outside() - outside[i]).abs() <= 1e-9 => return Ok(read),
                Ok(()) => format!("the mass outside of its list is {}", outside[i]),
            };
            let row = rows.start + i;
            Err(Failure::file(&self.data.path, format!("row {row} is of no logits: {problem}")))
        };
        (0..rows.len()).map(row).collect()
    }
}

/// Little-endian numbers of so many bytes.
fn numbers<T, const N: usize>(bytes: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

/// What the header says of all rows, and how many there are.
fn about(header: &Header) -> Result<(About, usize), String> {
    let said = |name: &str| header.about.get(name).cloned().unwrap_or_default();
    let whole = |name: &str, text: &str| {
        text.parse::<usize>().map_err(|_| format!("its {name} is \"{}\"", shown(text)))
    };
    let leading: Vec<usize> = match said("shape").as_str() {
        "" => Vec::new(),
        text => text.split(',').map(|side| whole("shape", side)).collect::<Result<_, _>>()?,
    };
    let rows = leading.iter().try_fold(1, |rows: usize, &side| rows.checked_mul(side));
    let rows = rows.ok_or("its shape is more than memory can hold")?;
    let listed = match header.tensor(TOP_TOKENS.0) {
        Some((_, _, &[_, listed])) if listed > 0 => listed,
        _ => return Err(format!("{} lists no token", TOP_TOKENS.0)),
    };
    let [file, sha256, dtype, device] = SOURCE_NAMES.map(said);
    let is_approximate = said("source_approximate") == "true";
    let source = Source { file, sha256, dtype, device, is_approximate };
    let (vocab, first) = (whole("vocab", &said("vocab"))?, whole("first_position", &said("first_position"))?);
    let has_targets = said("has_targets") == "true";
    if first.checked_add(rows).is_none() {
        return Err(format!("its first_position is {first}"));
    }
    Ok((About { leading, vocab, listed, has_targets, first, source }, rows))
}
