//! CSV files as records: consecutive lines of one row make one.

use std::borrow::Cow;
use std::io::{self, Read};

use csv::{Position, Reader, StringRecord};
use serde::Deserialize;

use super::columns::{LOGPROBS_COLUMNS, SAMPLE_COLUMNS};
use crate::answer::Status;
use crate::log::error::{LogError, LogResult};
use crate::log::record::{
    DistributionRecord, DrawRecord, Kind, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};
use crate::log::spelling::text_of_cell;

/// An input whose last byte is remembered.
struct LastByte<R> {
    input: R,
    last: Option<u8>,
}

impl<R> LastByte<R> {
    /// Whether what was read ends within a line.
    fn is_cut(&self) -> bool {
        self.last.is_some_and(|byte| byte != b'\n')
    }
}

impl<R: Read> Read for LastByte<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.last = buffer[..count].last().copied().or(self.last);
        Ok(count)
    }
}

/// Reads CSV.
pub(crate) struct CsvReader<R> {
    lines: Reader<LastByte<R>>,
    names: StringRecord,
    kind: Kind,
    /// The first line of the next record.
    ahead: Option<StringRecord>,
}

impl<R: Read> CsvReader<R> {
    /// A reader that has read the names of the columns.
    pub(crate) fn new(input: R) -> LogResult<Self> {
        let mut lines = Reader::from_reader(LastByte { input, last: None });
        let names = lines.headers().map_err(told)?.clone();
        let kind = if LOGPROBS_COLUMNS.iter().map(|(name, _)| *name).eq(&names) {
            Kind::Logprobs
        } else if SAMPLE_COLUMNS.iter().map(|(name, _)| *name).eq(&names) {
            Kind::Sample
        } else {
            return Err(LogError::Format(
                "the first line has other columns than those that `log` and `sample` write".to_owned(),
            ));
        };
        let mut reader = Self { lines, names, kind, ahead: None };
        reader.ahead = reader.line()?;
        Ok(reader)
    }

    /// The next record, if there is one.
    pub(crate) fn read(&mut self) -> LogResult<Option<Record<'static>>> {
        let Some(line) = self.ahead.take() else { return Ok(None) };
        match self.kind {
            Kind::Logprobs => self.logprobs(line),
            Kind::Sample => self.sample(line),
        }
        .map(Some)
        .map_err(|error| self.or_cut(error))
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
        let is_same = |next: &StringRecord| {
            !matches!(next.get(columns), None | Some("" | "1"))
                && (0..columns).all(|column| line.get(column) == next.get(column))
        };
        let goes_on = self.ahead.as_ref().is_some_and(is_same);
        if goes_on && let Some(next) = self.ahead.take() {
            *line = next;
        }
        Ok(goes_on)
    }

    /// What is wrong with a line, which is that it was cut where it is the last one and has no end.
    fn or_cut(&mut self, error: LogError) -> LogError {
        let LogError::Record { line, .. } = error else { return error };
        let is_last =
            self.ahead.is_none() && matches!(self.lines.read_record(&mut StringRecord::new()), Ok(false));
        if is_last && self.lines.get_ref().is_cut() { LogError::Truncated { line } } else { error }
    }

    /// The next line. The last of a log ends as every other does: one without its end was cut, and what is left of a
    /// number is another number.
    fn line(&mut self) -> LogResult<Option<StringRecord>> {
        let mut line = StringRecord::new();
        match self.lines.read_record(&mut line) {
            Ok(true) => Ok(Some(line)),
            Ok(false) if self.lines.get_ref().is_cut() => {
                Err(LogError::Truncated { line: self.lines.position().line() })
            }
            Ok(false) => Ok(None),
            Err(error) => Err(self.or_cut(told(error))),
        }
    }
}

/// The fields of a line by their names.
fn row<'l, T: Deserialize<'l>>(names: &'l StringRecord, line: &'l StringRecord) -> LogResult<T> {
    line.deserialize(Some(names)).map_err(told)
}

/// Columns before the number of an alternative, and of a draw: those of the row.
const ROW_COLUMNS: [usize; 2] = [10, 9];

const OUT_OF_ORDER: &str = "its number does not follow that of the line before";

fn wrong(line: &StringRecord, problem: &str) -> LogError {
    LogError::Record { line: line.position().map_or(0, Position::line), problem: problem.to_owned() }
}

fn told(error: csv::Error) -> LogError {
    let line = error.position().map_or(0, Position::line);
    let problem = match error.into_kind() {
        csv::ErrorKind::Io(error) => return LogError::Reading(error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields instead of {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "this is not UTF-8".to_owned(),
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
            token_ids: Vec::new(),
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
        let &Self { request, position, status, seed, stream, temperature, kept, kept_mass, entropy, .. } =
            self;
        let processed =
            DistributionRecord { status, logsumexp: None, entropy, top: Vec::new(), token_ids: Vec::new() };
        let draws = Vec::new();
        SampleRecord {
            request,
            position,
            status,
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
