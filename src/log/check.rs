//! Whether what a record says can be true at all. A log may be anybody's; the first number that cannot be one is named, and
//! the first list that is none.

use std::fmt;

use super::record::{
    DistributionRecord, DrawRecord, GivenToken, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};

use crate::answer::Status;
use crate::arithmetic::format::MAX_VOCAB;

/// What cannot be, by its field.
type Checked = Result<(), String>;

/// How far a number may be beyond its limit: the bound of a logprob here (docs/exact.md), and more than f32 rounds one
/// near 0, in which others compute.
const ROUNDING: f64 = 1e-6;

impl Record<'_> {
    /// An error unless each number is one that a row of logits may have.
    pub(super) fn check(&self) -> Checked {
        match self {
            Self::Logprobs(record) => record.check(),
            Self::Sample(record) => record.check(),
        }
    }
}

impl LogprobsRecord<'_> {
    fn check(&self) -> Checked {
        id(format_args!("token"), self.token)?;
        logprob(format_args!("logprob"), self.logprob)?;
        rank(format_args!("rank"), self.rank)?;
        none(self.status, format_args!("logprob"), self.logprob)?;
        none(self.status, format_args!("rank"), self.rank)?;
        sums("", self.status, self.logsumexp, self.entropy)?;
        lists("", self.status, &self.top, &self.token_logprobs)
    }
}

impl SampleRecord<'_> {
    fn check(&self) -> Checked {
        let is_mass = |mass: f64| (0.0..=1.0 + ROUNDING).contains(&mass);
        check(format_args!("kept_mass"), self.kept_mass, is_mass, "a probability is from 0 to 1")?;
        let is_temperature = |temperature: f64| temperature.is_finite() && temperature >= 0.0;
        check(format_args!("temperature"), self.temperature, is_temperature, "no temperature is below 0")?;
        none(self.status, format_args!("kept_mass"), self.kept_mass)?;
        none(self.status, format_args!("length of draws"), length(&self.draws))?;
        self.draws.iter().enumerate().try_for_each(|(place, draw)| draw.check(place))?;
        self.processed.check("processed.")?;
        self.raw.as_ref().map_or(Ok(()), |raw| raw.check("raw."))
    }
}

impl DrawRecord<'_> {
    fn check(&self, place: usize) -> Checked {
        id(format_args!("draws[{place}].token"), Some(self.token))?;
        possible(format_args!("draws[{place}].logprob"), self.logprob)?;
        rank(format_args!("draws[{place}].rank"), Some(self.rank))?;
        logprob(format_args!("draws[{place}].raw_logprob"), self.raw_logprob)?;
        rank(format_args!("draws[{place}].raw_rank"), self.raw_rank)
    }
}

impl DistributionRecord<'_> {
    fn check(&self, of: &str) -> Checked {
        sums(of, self.status, self.logsumexp, self.entropy)?;
        lists(of, self.status, &self.top, &self.token_logprobs)
    }
}

/// Log-sum-exp and entropy.
fn sums(of: &str, status: Status, logsumexp: Option<f64>, entropy: Option<f64>) -> Checked {
    check(format_args!("{of}logsumexp"), logsumexp, f64::is_finite, "a log-sum-exp is finite")?;
    let is_entropy = |entropy: f64| entropy.is_finite() && entropy >= -ROUNDING;
    check(format_args!("{of}entropy"), entropy, is_entropy, "an entropy is finite and at least 0")?;
    none(status, format_args!("{of}logsumexp"), logsumexp)?;
    none(status, format_args!("{of}entropy"), entropy)
}

fn lists(of: &str, status: Status, top: &[TokenLogprob<'_>], given: &[GivenToken<'_>]) -> Checked {
    let mut least = f64::INFINITY;
    for (place, entry) in top.iter().enumerate() {
        id(format_args!("{of}top[{place}].token"), entry.token)?;
        let name = format_args!("{of}top[{place}].logprob");
        possible(name, entry.logprob)?;
        check(name, Some(entry.logprob), |value| value <= least, "the most probable tokens come first")?;
        least = entry.logprob;
    }
    let mut tokens: Vec<u32> = top.iter().filter_map(|entry| entry.token).collect();
    tokens.sort_unstable();
    if let Some(pair) = tokens.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{of}top has token {} twice: each token is listed once", pair[0]));
    }
    for (place, entry) in given.iter().enumerate() {
        id(format_args!("{of}token_logprobs[{place}].token"), Some(entry.token))?;
        logprob(format_args!("{of}token_logprobs[{place}].logprob"), Some(entry.logprob))?;
        rank(format_args!("{of}token_logprobs[{place}].rank"), Some(entry.rank))?;
        logprob(format_args!("{of}token_logprobs[{place}].set_logprob"), Some(entry.set_logprob))?;
    }
    none(status, format_args!("length of {of}top"), length(top))?;
    none(status, format_args!("length of {of}token_logprobs"), length(given))
}

/// The length of a list, if there is one.
fn length<T>(list: &[T]) -> Option<usize> {
    Some(list.len()).filter(|length| *length > 0)
}

/// An error if a row that is no distribution has this number.
fn none<T: fmt::Debug>(status: Status, name: fmt::Arguments<'_>, value: Option<T>) -> Checked {
    match value {
        Some(value) if status != Status::Ok => {
            Err(format!("{name} is {value:?}: of a row of status {} there are no numbers", status.name()))
        }
        _ => Ok(()),
    }
}

fn id(name: fmt::Arguments<'_>, value: Option<u32>) -> Checked {
    check(name, value, |value| (value as usize) < MAX_VOCAB, "ids are below 2^20")
}

fn logprob(name: fmt::Arguments<'_>, value: Option<f64>) -> Checked {
    check(name, value, |value| value <= ROUNDING, "a logprob is at most 0")
}

/// Of a token that is listed for its probability, or drawn.
fn possible(name: fmt::Arguments<'_>, value: f64) -> Checked {
    logprob(name, Some(value))?;
    check(name, Some(value), f64::is_finite, "a token of probability 0 is neither listed nor drawn")
}

fn rank(name: fmt::Arguments<'_>, value: Option<u32>) -> Checked {
    check(name, value, |value| value > 0, "ranks count from 1")
}

/// An error if there is a number that is not what it must be.
fn check<T: Copy + fmt::Debug>(
    name: fmt::Arguments<'_>,
    value: Option<T>,
    holds: impl Fn(T) -> bool,
    rule: &str,
) -> Checked {
    match value.filter(|&value| !holds(value)) {
        Some(value) => Err(format!("{name} is {value:?}: {rule}")),
        None => Ok(()),
    }
}
