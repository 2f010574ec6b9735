//! Two logs of `sortilege log` compared, record by record: what they hold of the rows, without the logits.

use std::collections::HashMap;
use std::path::Path;

use sortilege::compare::{Comparison, ComparisonReport, Divergences, records};
use sortilege::log::{Record, TokenBytes};

use super::args::CompareArgs;
use super::pass::{Outcome, Pass};
use super::sides::Told;
use crate::failure::{Failure, Result, note};
use crate::files::LogFile;
use crate::shown::shown_path;

/// The two logs.
pub(super) struct Logs<'a> {
    paths: [&'a Path; 2],
    logs: [LogFile; 2],
    /// Whether their sidecars tell one temperature.
    has_temperatures: bool,
}

/// Bytes of the tokens that logs told, by their ids.
#[derive(Default)]
pub(super) struct ToldTexts(HashMap<u32, Vec<u8>>);

impl<'a> Logs<'a> {
    /// The logs, if the files are logs. An error if one of them is, or if options are of logits.
    pub(super) fn of(args: &'a CompareArgs) -> Result<Option<Self>> {
        let (a, b) = args.paths();
        let is_a = LogFile::is_at(a)?;
        let is_b = b.map_or(Ok(false), LogFile::is_at)?;
        match (is_a, b, is_b) {
            (false, _, false) => return Ok(None),
            (true, Some(b), true) => {
                if let Some(option) = args.option_of_logits() {
                    return Err(Failure::Usage(format!(
                        "{option} is of logits: logs have been made, leave it out"
                    )));
                }
                let (paths, logs) = ([a, b], [LogFile::open(a)?, LogFile::open(b)?]);
                let has_temperatures = check_temperatures(&logs)?;
                return Ok(Some(Self { paths, logs, has_temperatures }));
            }
            _ => {}
        }
        let log = if is_a { Some(a) } else { b };
        Err(Failure::Usage(format!(
            "{} is a log, which is compared with another log: make one of the other logits by `sortilege log`",
            log.map(shown_path).unwrap_or_default()
        )))
    }

    /// Compares all records, and the texts that the logs tell.
    pub(super) fn compare(
        &self,
        [top, worst]: [usize; 2],
        each_request: impl FnMut(u64, &ComparisonReport) -> Result<()>,
    ) -> Result<(Outcome, ToldTexts)> {
        let Self { paths: [path_a, path_b], logs: [log_a, log_b], .. } = self;
        let (mut a, mut b) = (log_a.records()?, log_b.records()?);
        let bar = log_a.progress_bar();
        let mut pass = Pass::new(Comparison::new(true, Divergences::Coarse), false, worst, each_request);
        let (mut texts, mut shortest) = (ToldTexts::default(), usize::MAX);
        loop {
            let a = a.next().transpose().map_err(|error| log_a.failed(&error))?;
            let b = b.next().transpose().map_err(|error| log_b.failed(&error))?;
            let (a, b) = match (a, b) {
                (Some(a), Some(b)) => (a, b),
                (None, None) => break,
                (a, _) => {
                    let longer = if a.is_some() { path_a } else { path_b };
                    return Err(Failure::Usage(format!(
                        "{} has more records than the other log: compare logs of the same rows",
                        shown_path(longer)
                    )));
                }
            };
            [&a, &b].into_iter().for_each(|record| texts.add(record));
            shortest = shortest.min(a.top().len()).min(b.top().len());
            let target = a.chosen().and_then(|chosen| chosen.token);
            pass.add(a.request(), a.position(), target, records(&a, &b, top)?)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.logs.iter().try_for_each(LogFile::check_unchanged)?;
        if !self.has_temperatures {
            note!(
                "note: the temperatures of the logs are unknown without their sidecars: of two, numbers differ by these"
            );
        }
        if shortest < top {
            note!(
                "note: lists are as short as {shortest} tokens: the overlap is of what both have, up to --top {top}"
            );
        }
        Ok((pass.finish()?, texts))
    }

    /// What is said of them, with their hashes where these are wanted.
    pub(super) fn told(&self, is_hashed: bool) -> Result<[Told<'static>; 2]> {
        let Self { paths: [path_a, path_b], logs: [log_a, log_b], .. } = self;
        let hash = |log: &LogFile| is_hashed.then(|| log.sha256()).transpose();
        Ok([Told::log(path_a, hash(log_a)?), Told::log(path_b, hash(log_b)?)])
    }
}

/// Whether both temperatures are known; an error if they are two.
fn check_temperatures(logs: &[LogFile; 2]) -> Result<bool> {
    let temperatures = logs.each_ref().map(|log| log.asked().temperature);
    match temperatures {
        [Some(a), Some(b)] if a != b => Err(Failure::Usage(format!(
            "A is of temperature {a}, B of {b}, as their sidecars say: compare logs of one temperature"
        ))),
        _ => Ok(temperatures.iter().all(Option::is_some)),
    }
}

impl ToldTexts {
    fn add(&mut self, record: &Record<'_>) {
        let chosen = record.chosen().and_then(|chosen| Some((chosen.token?, chosen.bytes?)));
        let listed = record.top().iter().filter_map(|one| Some((one.token?, one.bytes.as_deref()?)));
        for (token, bytes) in chosen.into_iter().chain(listed) {
            self.0.entry(token).or_insert_with(|| bytes.to_vec());
        }
    }
}

impl TokenBytes for ToldTexts {
    fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.0.get(&token).map(Vec::as_slice)
    }
}
