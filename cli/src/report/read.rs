//! The rows that the page shows of a log, by request.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sortilege::log::{LogError, Record};

use super::args::{LARGEST, ReportArgs};
use super::joined::joined;
use super::rows::{Maker, Row, view_names};
use super::words::{Token, Words, clipped};
use crate::failure::{Failure, Result, note};
use crate::files::LogFile;
use crate::input::is_stdin;
use crate::shown::shown_path;

/// Rows of a page: with 20 alternatives each it has some 60 MB, and a browser opens it in seconds.
const MOST_ROWS: usize = 100_000;

/// What the page shows of a log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Log {
    name: String,
    /// Whether its tokens are targets, so that it can be calibrated.
    has_targets: bool,
    /// Names of the distributions of a row.
    views: &'static [&'static str],
    requests: Vec<Request>,
    /// The temperature of the distributions that are held against another log's, where it is known.
    #[serde(skip)]
    temperature: Option<f64>,
}

/// The rows of a request.
#[derive(Serialize)]
struct Request {
    id: u64,
    rows: Vec<Row>,
}

/// The rows of one request, while they come.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// The bytes of each row's token.
    bytes: Vec<Option<Vec<u8>>>,
    /// How many are not shown.
    left: usize,
}

/// What is common to the logs of a page.
pub(super) struct Reading<'a> {
    args: &'a ReportArgs,
    pub(super) words: Words,
    pub(super) notes: Vec<String>,
    /// Rows of all logs so far.
    rows: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn new(args: &'a ReportArgs) -> Self {
        Self { args, words: Words::default(), notes: Vec::new(), rows: 0 }
    }

    /// What is shown of a log.
    pub(super) fn read(&mut self, path: &Path) -> Result<Log> {
        let file = LogFile::open(path)?;
        let temperature = file.asked()?.temperature;
        let mut log =
            Log { name: name(path), has_targets: false, views: &[], requests: Vec::new(), temperature };
        let mut requests: BTreeMap<u64, Rows> = BTreeMap::new();
        for record in file.records()? {
            match record {
                Ok(record) => self.add(&record, path, &mut log, &mut requests)?,
                // What came before is worth a look.
                Err(error @ LogError::Truncated { .. }) => {
                    note!("note: {}: {error}; the rows before are shown", shown_path(path));
                    self.notes.push(format!("{}: {error}", log.name));
                }
                Err(error) => return Err(file.failed(&error)),
            }
        }
        file.check_unchanged()?;
        self.check_requests(path, &requests)?;
        let left: usize = requests.values().map(|rows| rows.left).sum();
        if left > 0 {
            self.notes.push(format!("{}: {left} more rows are not shown", log.name));
        }
        if log.views.contains(&"raw") {
            log.temperature = Some(1.0);
        }
        log.requests = requests
            .into_iter()
            .filter(|(_, rows)| !rows.rows.is_empty())
            .map(|(id, rows)| Request { id, rows: self.joined(rows) })
            .collect();
        Ok(log)
    }

    /// Says that two logs are of two temperatures: their logprobs differ by these too.
    pub(super) fn tell_temperatures(&mut self, logs: &[Log]) {
        let temperatures: Vec<Option<f64>> = logs.iter().map(|log| log.temperature).collect();
        if let [Some(a), Some(b)] = temperatures[..]
            && a != b
        {
            let [a, b] = [(&logs[0].name, a), (&logs[1].name, b)]
                .map(|(name, temperature)| format!("{name} is of temperature {temperature}"));
            let problem = format!("{a}, {b}: their differences are of these too");
            note!("note: {problem}");
            self.notes.push(problem);
        }
    }

    /// Adds a record to its request, if it is asked for.
    fn add(
        &mut self,
        record: &Record<'_>,
        path: &Path,
        log: &mut Log,
        requests: &mut BTreeMap<u64, Rows>,
    ) -> Result<()> {
        let request = requests.entry(record.request()).or_default();
        let is_asked_for = self.args.requests.is_empty() || self.args.requests.contains(&record.request());
        if !is_asked_for || self.args.first.is_some_and(|first| request.rows.len() >= first) {
            request.left += 1;
            return Ok(());
        }
        for (what, number) in [("request", record.request()), ("position", record.position())] {
            if number > LARGEST {
                let problem = format!("{what} {number}: the page counts up to {LARGEST}, as browsers do");
                return Err(Failure::file(path, problem));
            }
        }
        self.rows += 1;
        if self.rows > MOST_ROWS {
            return Err(Failure::Usage(format!(
                "{}: the page would have more than {MOST_ROWS} rows: choose some with --request or --first",
                shown_path(path)
            )));
        }
        let names = view_names(record);
        if log.views.len() < names.len() {
            log.views = names;
        }
        let chosen = record.chosen();
        log.has_targets |= record.is_of_target();
        let token = chosen.as_ref().map(Token::of);
        request.bytes.push(token.and_then(|token| token.known_bytes()).map(<[u8]>::to_vec));
        request.rows.push(Maker { words: &mut self.words, top: self.args.top }.row(record));
        Ok(())
    }

    /// An error if a request is asked for that the log does not have.
    fn check_requests(&self, path: &Path, requests: &BTreeMap<u64, Rows>) -> Result<()> {
        let Some(missing) = self.args.requests.iter().find(|request| !requests.contains_key(request)) else {
            return Ok(());
        };
        let there = match (requests.keys().next(), requests.keys().next_back()) {
            (Some(first), Some(last)) => format!("{} requests, from {first} to {last}", requests.len()),
            _ => "no rows".to_owned(),
        };
        let path = shown_path(path);
        Err(Failure::Usage(format!("{path} has no request {missing}: it has {there}")))
    }

    /// The rows with their texts between their neighbours.
    fn joined(&self, Rows { mut rows, bytes, .. }: Rows) -> Vec<Row> {
        let mut start = 0;
        while start < rows.len() {
            let follows = |row: &usize| {
                bytes[*row].is_some()
                    && (*row == start || rows[row - 1].position.checked_add(1) == Some(rows[*row].position))
            };
            let end = start + (start..rows.len()).take_while(follows).count();
            let known: Vec<&[u8]> = bytes[start..end].iter().flatten().map(Vec::as_slice).collect();
            for (row, joined) in rows[start..end].iter_mut().zip(joined(&known)) {
                let text = clipped(&joined.text);
                let is_other = row.token.and_then(|token| self.words.text(token)) != Some(text.as_str());
                row.shown = is_other.then_some(text);
                row.joined = joined.is_joined;
            }
            start = end.max(start + 1);
        }
        rows
    }
}

/// The name of a log without its folders, which are nobody's business.
pub(super) fn name(path: &Path) -> String {
    match path.file_name() {
        _ if is_stdin(path) => "standard input".to_owned(),
        Some(name) => name.to_string_lossy().into_owned(),
        None => String::new(),
    }
}
