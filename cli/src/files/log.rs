//! A log that is read, whatever its format and whether it is a file or comes through a pipe.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Once;

use indicatif::ProgressBar;
use sortilege::log::{LogError, LogReader, LogResult, Record, is_log};

use super::sidecar::{Asked, asked_of};
use crate::failure::{Failure, Result, note};
use crate::foreign;
use crate::input::{Input, Opened};
use crate::progress;
use crate::shown::{shown, shown_path};

/// A log that was opened.
pub(crate) struct LogFile {
    input: Input,
    /// Its first bytes.
    head: Vec<u8>,
}

impl LogFile {
    /// Whether this is a log of ours: by its first bytes, or by its name where it has none.
    pub(crate) fn is_log(opened: &Opened) -> bool {
        let is_named = |end| opened.path.extension().is_some_and(|name| name.eq_ignore_ascii_case(end));
        let is_empty = opened.head.trim_ascii_start().is_empty();
        is_log(&opened.head) || is_empty && ["jsonl", "csv"].into_iter().any(is_named)
    }

    /// The log at a path, or that of standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::of(Opened::new(path)?)
    }

    /// The log of an open file.
    pub(crate) fn of(opened: Opened) -> Result<Self> {
        let head = opened.head.clone();
        Ok(Self { input: opened.seekable(None)?, head })
    }

    /// What its sidecar says of how its numbers were asked for. If it is not that of these bytes, it says nothing of their numbers;
    /// the positions that it asks for still stand.
    pub(crate) fn asked(&self) -> Result<Asked> {
        let Some((asked, told)) = asked_of(&self.input.path) else { return Ok(Asked::default()) };
        let Some(told) = told else { return Ok(asked) };
        let hash = self.sha256()?;
        if told == hash {
            return Ok(asked);
        }
        note!(
            "note: {} is not as it was written: its SHA-256 is {hash}, its sidecar tells {}, and is not believed about \
             temperatures",
            shown_path(&self.input.path),
            shown(&told)
        );
        Ok(Asked { temperature: None, ..asked })
    }

    /// Its records from the first one, of which there must be one.
    pub(crate) fn records(&self) -> Result<Records> {
        let (reader, path) = (self.reader()?, self.input.path.clone());
        Ok(Records { reader, path, is_empty: true, places: Places::default() })
    }

    /// Its records from the first one, if there are any.
    pub(crate) fn reader(&self) -> Result<LogReader<BufReader<File>>> {
        tell_no_panic_of_parquet();
        let mut file = self.input.file()?;
        file.seek(SeekFrom::Start(0)).map_err(|error| Failure::file(&self.input.path, error))?;
        LogReader::of_file(file).map_err(|error| match (&error, foreign::name(&self.head)) {
            (LogError::Format(_), Some(foreign)) if !self.head.starts_with(b"PAR1") => Failure::file(
                &self.input.path,
                foreign.told(
                    "give a log of `log` or `sample`, or logprobs as OpenAI, vLLM or llama-server give them",
                ),
            ),
            _ => self.failed(&error),
        })
    }

    /// Calls `work` with each record in turn; an error if the log did not stay what it was.
    pub(crate) fn each(&self, mut work: impl FnMut(Record<'static>) -> Result<()>) -> Result<()> {
        let bar = self.progress_bar();
        for record in self.records()? {
            work(record.map_err(|error| self.failed(&error))?)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.check_unchanged()
    }

    /// As the user gives it.
    pub(crate) fn path(&self) -> &Path {
        &self.input.path
    }

    /// The failure of a record that cannot be read.
    pub(crate) fn failed(&self, error: &LogError) -> Failure {
        Failure::file(&self.input.path, error)
    }

    /// The failure of a record that cannot be written, for which it may be to blame.
    pub(crate) fn refused(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::InvalidInput => Failure::file(&self.input.path, error),
            _ => Failure::writing(error),
        }
    }

    /// The hash of its bytes.
    pub(crate) fn sha256(&self) -> Result<String> {
        self.input.sha256()
    }

    /// An error if it is not what it was.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.input.check_unchanged()
    }

    /// Progress through records whose number is not known.
    pub(crate) fn progress_bar(&self) -> ProgressBar {
        progress::bar(0, "{spinner} {pos} records, {per_sec}")
    }
}

/// The records of a log that has some. After the last one it says how many were there before.
pub(crate) struct Records {
    reader: LogReader<BufReader<File>>,
    path: PathBuf,
    /// Whether none was read.
    is_empty: bool,
    places: Places,
}

/// Whether each record of a log stands behind those of its request.
#[derive(Default)]
struct Places {
    records: u64,
    /// The last position of each request.
    last: HashMap<u64, u64>,
    /// Records that are not behind it, and which is the first: its number, request and position.
    behind: u64,
    first: Option<[u64; 3]>,
}

impl Places {
    fn add(&mut self, record: &Record<'_>) {
        let (request, position) = (record.request(), record.position());
        if self.last.get(&request).is_some_and(|&last| position <= last) {
            self.behind += 1;
            self.first.get_or_insert([self.records, request, position]);
        } else {
            self.last.insert(request, position);
        }
        self.records += 1;
    }

    /// Says how many records a log has twice, or in another order than their positions.
    fn tell(&self, path: &Path) {
        if let Some([record, request, position]) = self.first {
            note!(
                "note: {}: {} of {} records are doubled or out of order, first record {record} (request {request}, \
                 position {position}); each is taken as it stands",
                shown_path(path),
                self.behind,
                self.records
            );
        }
    }
}

impl Iterator for Records {
    type Item = LogResult<Record<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.reader.next();
        let is_empty = std::mem::take(&mut self.is_empty);
        if record.is_none() && is_empty {
            let of_others = self.reader.format().is_none();
            return Some(Err(LogError::Format(if of_others { NO_TOKEN } else { EMPTY }.to_owned())));
        }
        match &record {
            Some(Ok(record)) => self.places.add(record),
            Some(Err(_)) => {}
            None => self.places.tell(&self.path),
        }
        record
    }
}

const NO_TOKEN: &str = "there is no record in it: its responses have no token with a logprob";

const EMPTY: &str = "there is no record in it: its run had no rows, or was interrupted before the first";

/// The library makes errors of the panics of `parquet` at damaged files: from now on they say nothing of themselves.
fn tell_no_panic_of_parquet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.location().is_some_and(|place| place.file().contains("parquet-")) {
                before(info);
            }
        }));
    });
}
