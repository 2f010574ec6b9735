//! Two logs of `sortilege log` compared, record by record: what they hold of the rows, without the logits.

use std::collections::HashMap;

use sortilege::compare::{Comparison, ComparisonReport, Divergences, records};
use sortilege::log::{Record, TokenBytes};

use super::args::CompareArgs;
use super::pass::{Outcome, Pass};
use super::sides::Told;
use crate::failure::{Failure, Result, note};
use crate::files::LogFile;
use crate::foreign;
use crate::input::Opened;
use crate::shown::shown_path;
use crate::text::Vocab;

/// The two logs.
pub(super) struct Logs {
    logs: [LogFile; 2],
    /// Whether their sidecars tell one temperature.
    has_temperatures: bool,
}

/// Bytes of the tokens that logs told, by their ids, and those of the others in a vocabulary that is given.
pub(super) struct KnownTexts {
    told: HashMap<u32, Vec<u8>>,
    others: Option<Vocab>,
}

impl Logs {
    /// The logs in two files. An error if options are of logits.
    pub(super) fn open(args: &CompareArgs, [a, b]: [Opened; 2]) -> Result<Self> {
        if let Some(option) = args.option_of_logits() {
            return Err(Failure::Usage(format!("{option} is of logits: logs have been made, leave it out")));
        }
        let logs = [LogFile::of(a)?, LogFile::of(b)?];
        let has_temperatures = check_temperatures(&logs)?;
        Ok(Self { logs, has_temperatures })
    }

    /// Compares all records, and the texts that the logs tell.
    pub(super) fn compare(
        &self,
        [top, worst]: [usize; 2],
        vocab: Option<Vocab>,
        each_request: impl FnMut(u64, &ComparisonReport) -> Result<()>,
    ) -> Result<(Outcome, KnownTexts)> {
        let Self { logs: [log_a, log_b], .. } = self;
        let (mut a, mut b) = (log_a.records()?, log_b.records()?);
        let bar = log_a.progress_bar();
        let mut pass = Pass::new(Comparison::new(true, Divergences::Coarse), false, worst, each_request);
        let (mut texts, mut shortest) = (KnownTexts { told: HashMap::new(), others: vocab }, usize::MAX);
        loop {
            let a = a.next().transpose().map_err(|error| log_a.failed(&error))?;
            let b = b.next().transpose().map_err(|error| log_b.failed(&error))?;
            let (a, b) = match (a, b) {
                (Some(a), Some(b)) => (a, b),
                (None, None) => break,
                (a, _) => {
                    let longer = if a.is_some() { log_a } else { log_b };
                    return Err(Failure::Usage(format!(
                        "{} has more records than the other log: compare logs of the same rows",
                        shown_path(longer.path())
                    )));
                }
            };
            [&a, &b].into_iter().for_each(|record| texts.add(record));
            let (target, row) = (a.chosen().and_then(|chosen| chosen.token), records(&a, &b, top)?);
            // A row that is no distribution has no list.
            if row.is_sound() {
                shortest = shortest.min(a.top().len()).min(b.top().len());
            }
            pass.add(a.request(), a.position(), target, row)?;
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
        let [a, b] = &self.logs;
        let hash = |log: &LogFile| is_hashed.then(|| log.sha256()).transpose();
        Ok([Told::log(a.path(), hash(a)?), Told::log(b.path(), hash(b)?)])
    }
}

/// An error if one of the files is a log, and the other is none.
pub(super) fn check_both(a: &Opened, b: Option<&Opened>) -> Result<()> {
    let (alone, other) = match (LogFile::is_log(a), b.filter(|b| LogFile::is_log(b))) {
        (true, None) => (a, b),
        (false, Some(b)) => (b, Some(a)),
        _ => return Ok(()),
    };
    // Compressed, or in another encoding: it may be a log too.
    let packed =
        other.and_then(|other| foreign::name(&other.head).filter(|foreign| foreign.remedy.is_some()));
    if let Some((foreign, other)) = packed.zip(other) {
        return Err(Failure::file(&other.path, foreign.told("give another log")));
    }
    let is_json = |other: &Opened| matches!(other.head.trim_ascii_start(), [b'{' | b'[', ..]);
    let remedy = if other.is_some_and(is_json) { "`sortilege convert`" } else { "`sortilege log`" };
    Err(Failure::Usage(format!(
        "{} is a log, which is compared with another log: make one of the other file by {remedy}",
        shown_path(&alone.path)
    )))
}

/// Whether both temperatures are known; an error if they are two.
fn check_temperatures(logs: &[LogFile; 2]) -> Result<bool> {
    let [a, b] = logs.each_ref().map(LogFile::asked);
    let temperatures = [a?.temperature, b?.temperature];
    match temperatures {
        [Some(a), Some(b)] if a != b => Err(Failure::Usage(format!(
            "A is of temperature {a}, B of {b}, as their sidecars say: compare logs of one temperature"
        ))),
        _ => Ok(temperatures.iter().all(Option::is_some)),
    }
}

impl KnownTexts {
    fn add(&mut self, record: &Record<'_>) {
        let chosen = record.chosen().and_then(|chosen| Some((chosen.token?, chosen.bytes?)));
        let listed = record.top().iter().filter_map(|one| Some((one.token?, one.bytes.as_deref()?)));
        for (token, bytes) in chosen.into_iter().chain(listed) {
            self.told.entry(token).or_insert_with(|| bytes.to_vec());
        }
    }
}

impl TokenBytes for KnownTexts {
    fn bytes(&self, token: u32) -> Option<&[u8]> {
        let of_vocab = || self.others.as_ref().and_then(|vocab| vocab.bytes(token));
        self.told.get(&token).map(Vec::as_slice).or_else(of_vocab)
    }
}
