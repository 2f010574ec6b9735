//! CSV files as records: consecutive lines of one row make one.

use std::borrow::Cow;
use std::io::{self, Read};

use csv::{ByteRecord, Position, Reader, ReaderBuilder, StringRecord};
use serde::Deserialize;

use super::columns::{LOGPROBS_COLUMNS, SAMPLE_COLUMNS};
use crate::answer::{FinishReason, Status};
use crate::log::error::{LogError, LogResult, other_column};
use crate::log::record::{
    DistributionRecord, DrawRecord, Kind, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};
use crate::log::spelling::text_of_cell;

/// Reads CSV.
pub(crate) struct CsvReader<R> {
    lines: Reader<Tail<R>>,
    names: StringRecord,
    kind: Kind,
    /// The first line of the next record.
    ahead: Option<Line>,
    /// The number of the first line of the last record.
    line: u64,
}

/// A line, or what a cut left of one.
struct Line {
    fields: StringRecord,
    is_cut: bool,
}

/// An input that knows whether it has ended, and by which byte.
struct Tail<R> {
    input: R,
    last: u8,
    has_ended: bool,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.has_ended |= count == 0 && !buffer.is_empty();
        self.last = buffer[..count].last().copied().unwrap_or(self.last);
        Ok(count)
    }
}

impl<R: Read> CsvReader<R> {
    /// A reader that has read the names of the columns.
    pub(crate) fn new(input: R) -> LogResult<Self> {
        let input = Tail { input, last: b'\n', has_ended: false };
        // A line that is cut has fewer fields.
        let mut lines = ReaderBuilder::new().flexible(true).from_reader(input);
        let names = lines.headers().map_err(told)?.clone();
        let theirs: Vec<String> = names.iter().map(str::to_owned).collect();
        let is_sample = theirs.iter().any(|name| name == "draw" || name == "seed");
        let (kind, ours): (Kind, Vec<String>) = if is_sample {
            (Kind::Sample, SAMPLE_COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect())
        } else {
            (Kind::Logprobs, LOGPROBS_COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect())
        };
        if let Some(difference) = other_column(&theirs, &ours) {
            return Err(LogError::Format(format!(
                "the first line has other columns than those that `log` and `sample` write: {difference}"
            )));
        }
        let mut reader = Self { lines, names, kind, ahead: None, line: 0 };
        reader.ahead = reader.line()?;
        Ok(reader)
    }

    /// The next record, if there is one.
    pub(crate) fn read(&mut self) -> LogResult<Option<Record<'static>>> {
        let Some(Line { fields: line, is_cut }) = self.ahead.take() else { return Ok(None) };
        if is_cut {
            return Err(cut(&line));
        }
        self.line = number(&line);
        match self.kind {
            Kind::Logprobs => self.logprobs(line),
            Kind::Sample => self.sample(line),
        }
        .map(Some)
    }

    /// The number of the first line of the last record.
    pub(crate) const fn line_of_record(&self) -> u64 {
        self.line
    }

    fn logprobs(&mut self, mut line: StringRecord) -> LogResult<Record<'static>> {
        let first: LogprobsRow<'_> = row(&self.names, &line)?;
        let mut record = first.record().map_err(|problem| wrong(&line, problem))?;
        loop {
            let row: LogprobsRow<'_> = row(&self.names, &line)?;
            record.top.extend(row.entry().map_err(|problem| wrong(&line, problem))?);
            if row.alternative.unwrap_or(0) != record.top.len() {
                return Err(wrong(&line, OUT_OF_ORDER));
            }
            if !self.goes_on(&mut line, ROW_COLUMNS[0])? {
                return Ok(Record::Logprobs(record));
            }
        }
    }

    fn sample(&mut self, mut line: StringRecord) -> LogResult<Record<'static>> {
        let mut record = row::<SampleRow<'_>>(&self.names, &line)?.record();
        loop {
            let row: SampleRow<'_> = row(&self.names, &line)?;
            record.draws.extend(row.drawn().map_err(|problem| wrong(&line, problem))?);
            if row.draw.unwrap_or(0) != record.draws.len() {
                return Err(wrong(&line, OUT_OF_ORDER));
            }
            if !self.goes_on(&mut line, ROW_COLUMNS[1])? {
                return Ok(Record::Sample(record));
            }
        }
    }

    /// Puts the next line in place of this one if it is of the same row: its alternatives or draws go on. The first so
    /// many columns are those of the row, and the next one numbers the lines.
    fn goes_on(&mut self, line: &mut StringRecord, columns: usize) -> LogResult<bool> {
        self.ahead = self.line()?;
        let Some(Line { fields: next, is_cut }) = &self.ahead else { return Ok(false) };
        if *is_cut {
            // The record is whole if the line is of another one, as far as it goes.
            let is_whole = line.get(columns) == Some("") || begins_another(next, line, columns);
            return if is_whole { Ok(false) } else { Err(cut(next)) };
        }
        let goes_on = !matches!(next.get(columns), None | Some("" | "1"))
            && (0..columns).all(|column| line.get(column) == next.get(column));
        if goes_on && let Some(next) = self.ahead.take() {
            *line = next.fields;
        }
        Ok(goes_on)
    }

    /// The next line. One without its newline is cut: of its last number digits may be missing, and nobody would see it.
    fn line(&mut self) -> LogResult<Option<Line>> {
        let mut line = ByteRecord::new();
        if !self.lines.read_byte_record(&mut line).map_err(told)? {
            return Ok(None);
        }
        let input = self.lines.get_ref();
        if input.has_ended && !matches!(input.last, b'\n' | b'\r') {
            return Ok(Some(Line { fields: StringRecord::from_byte_record_lossy(line), is_cut: true }));
        }
        let fields = StringRecord::from_byte_record(line).map_err(|error| {
            wrong(&StringRecord::from_byte_record_lossy(error.into_byte_record()), NO_UTF_8)
        })?;
        if fields.len() != self.names.len() {
            return Err(wrong(&fields, &format!("{} fields instead of {}", fields.len(), self.names.len())));
        }
        Ok(Some(Line { fields, is_cut: false }))
    }
}

/// Whether a line that is cut is of another row than this one: by its whole fields, and by what there is of its last.
fn begins_another(part: &StringRecord, line: &StringRecord, columns: usize) -> bool {
    part.iter().zip(line).take(columns).enumerate().any(|(column, (part_field, field))| {
        if column + 1 == part.len() { !field.starts_with(part_field) } else { part_field != field }
    })
}

fn cut(line: &StringRecord) -> LogError {
    LogError::Truncated { line: number(line) }
}

fn number(line: &StringRecord) -> u64 {
    line.position().map_or(0, Position::line)
}

const NO_UTF_8: &str = "this is not UTF-8";

/// The fields of a line by their names.
fn row<'l, T: Deserialize<'l>>(names: &'l StringRecord, line: &'l StringRecord) -> LogResult<T> {
    line.deserialize(Some(names)).map_err(told)
}

/// Columns before the number of an alternative, and of a draw: those of the row.
const ROW_COLUMNS: [usize; 2] = [10, 10];

const OUT_OF_ORDER: &str = "its number does not follow that of the line before";

fn wrong(line: &StringRecord, problem: &str) -> LogError {
    LogError::Record { line: number(line), problem: problem.to_owned() }
}

fn told(error: csv::Error) -> LogError {
    let line = error.position().map_or(0, Position::line);
    let problem = match error.into_kind() {
        csv::ErrorKind::Io(error) => return LogError::Reading(error),
        csv::ErrorKind::Utf8 { .. } => NO_UTF_8.to_owned(),
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => format!("field {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        other => format!("{other:?}"),
    };
    LogError::Record { line, problem }
}

/// The fields of a line, by the names of their columns.
#[derive(Deserialize)]
struct LogprobsRow<'l> {
    request: u64,
    position: u64,
    status: Status,
    logsumexp: Option<f64>,
    entropy: Option<f64>,
    token: Option<u32>,
    text: &'l str,
    bytes: &'l str,
    logprob: Option<f64>,
    rank: Option<u32>,
    alternative: Option<usize>,
    alternative_token: Option<u32>,
    alternative_text: &'l str,
    alternative_bytes: &'l str,
    alternative_logprob: Option<f64>,
}

/// The fields of a line, by the names of their columns.
#[derive(Deserialize)]
struct SampleRow<'l> {
    request: u64,
    position: u64,
    status: Status,
    finish_reason: Option<FinishReason>,
    seed: u64,
    stream: u32,
    temperature: Option<f64>,
    kept: u32,
    kept_mass: Option<f64>,
    entropy: Option<f64>,
    draw: Option<usize>,
    token: Option<u32>,
    text: &'l str,
    bytes: &'l str,
    logprob: Option<f64>,
    rank: Option<u32>,
    raw_logprob: Option<f64>,
    raw_rank: Option<u32>,
}

/// Why a line is none.
type Problem = &'static str;

impl LogprobsRow<'_> {
    /// The record without its alternatives.
    fn record(&self) -> Result<LogprobsRecord<'static>, Problem> {
        let (text, bytes) = spelled(self.text, self.bytes)?;
        let &Self { request, position, status, logsumexp, entropy, token, logprob, rank, .. } = self;
        let top = Vec::new();
        let mut record = LogprobsRecord {
            request,
            position,
            token,
            text,
            bytes,
            logprob,
            rank,
            logsumexp,
            entropy,
            top,
            token_logprobs: Vec::new(),
            status,
        };
        record.restore_infinity();
        Ok(record)
    }

    fn entry(&self) -> Result<Option<TokenLogprob<'static>>, Problem> {
        if self.alternative.is_none() {
            return Ok(None);
        }
        let token = self.alternative_token;
        let (text, bytes) = spelled(self.alternative_text, self.alternative_bytes)?;
        let logprob = self.alternative_logprob.ok_or("an alternative without its logprob")?;
        Ok(Some(TokenLogprob { token, text, bytes, logprob }))
    }
}

impl SampleRow<'_> {
    /// The record without its draws.
    fn record(&self) -> SampleRecord<'static> {
        let &Self { request, position, status, finish_reason, seed, stream, .. } = self;
        let &Self { temperature, kept, kept_mass, entropy, .. } = self;
        let processed = DistributionRecord {
            status,
            logsumexp: None,
            entropy,
            top: Vec::new(),
            token_logprobs: Vec::new(),
        };
        let draws = Vec::new();
        SampleRecord {
            request,
            position,
            status,
            finish_reason,
            seed,
            stream,
            temperature,
            kept,
            kept_mass,
            draws,
            processed,
            raw: None,
        }
    }

    fn drawn(&self) -> Result<Option<DrawRecord<'static>>, Problem> {
        let Some(token) = self.token else { return Ok(None) };
        let (text, bytes) = spelled(self.text, self.bytes)?;
        let (Some(logprob), Some(rank)) = (self.logprob, self.rank) else {
            return Err("a drawn token without its logprob or its rank");
        };
        let &Self { raw_logprob, raw_rank, .. } = self;
        Ok(Some(DrawRecord { token, text, bytes, logprob, rank, raw_logprob, raw_rank }))
    }
}

/// Text and bytes, where they are known.
type Spelled = (Option<Cow<'static, str>>, Option<Cow<'static, [u8]>>);

/// Text and bytes of a token, of the fields for them.
fn spelled(text: &str, bytes: &str) -> Result<Spelled, Problem> {
    if bytes.is_empty() && text.is_empty() {
        return Ok((None, None));
    }
    let text = text_of_cell(text).ok_or("a text that is not spelled as in CSV")?;
    // Logs of others may have texts alone.
    let bytes = if bytes.is_empty() {
        None
    } else {
        let bytes: Vec<u8> = serde_json::from_str(bytes).map_err(|_| "bytes that are no list of bytes")?;
        Some(Cow::Owned(bytes))
    };
    Ok((Some(Cow::Owned(text)), bytes))
}
