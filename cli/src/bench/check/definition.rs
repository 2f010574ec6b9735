//! The CPU engine against the definition in f64, as the library's oracle has it: within an error, and in everything but
//! which token is drawn.

use sortilege::oracle::{self, Truth};
use sortilege::validate::{ERROR_FLOOR, ERROR_LIMIT};
use sortilege::{Logits, Logprobs, NO_TOKEN, Sample, Status, TopLogprob};

use super::bits::{bits, difference_of_lists, first_middle_last};
use crate::bench::data::Source;
use crate::bench::task::{Output, Task};
use crate::failure::Result;

/// Rows with what the definition says of them, made once for all tasks.
pub(crate) struct Truths(pub(super) Vec<KnownRow>);

/// A row with what the definition says of it.
pub(super) struct KnownRow {
    pub(super) row: usize,
    pub(super) values: Vec<f32>,
    /// None of what is no distribution.
    pub(super) truth: Option<RawAndProcessed>,
}

/// A distribution at temperature 1 and at the one that is asked for, which is 1 if that is 0: a greedy request says of
/// its draw what it is at 1.
pub(super) struct RawAndProcessed {
    raw: Truth,
    pub(super) processed: Truth,
}

impl Truths {
    /// What the definition says of the first row, the middle one and the last one.
    pub(crate) fn new(source: &Source, temperature: f32) -> Result<Self> {
        let known_row = |row| {
            let bytes = source.read(row..row + 1)?;
            let values = Logits::new(&bytes, source.dtype, 1, source.vocab)?.row(0);
            let truth = RawAndProcessed::new(&values, if temperature == 0.0 { 1.0 } else { temperature });
            Ok(KnownRow { row, values, truth })
        };
        Ok(Self(first_middle_last(source).into_iter().map(known_row).collect::<Result<_>>()?))
    }

    /// An error unless the CPU engine agrees with the definition.
    pub(crate) fn check(&self, task: &Task, source: &Source) -> Result<()> {
        for known_row in &self.0 {
            let row = known_row.row;
            let bytes = source.read(row..row + 1)?;
            let logits = Logits::new(&bytes, source.dtype, 1, source.vocab)?;
            let got = task.on_cpu(&logits, row..row + 1)?;
            if let Some(what) = known_row.objection(&got, task) {
                return Err(task.mismatch("cpu against the definition", source, row, &what));
            }
        }
        Ok(())
    }
}

impl RawAndProcessed {
    fn new(values: &[f32], temperature: f32) -> Option<Self> {
        let raw = oracle::truth(values, 1.0)?;
        let processed = if temperature == 1.0 { raw.clone() } else { oracle::truth(values, temperature)? };
        Some(Self { raw, processed })
    }
}

impl KnownRow {
    /// What the definition has against an output of this row.
    pub(super) fn objection(&self, got: &Output, task: &Task) -> Option<String> {
        let raw = self.truth.as_ref().map(|truth| &truth.raw);
        match got {
            Output::Records(records) => self.objection_to_record(&records[0], task),
            Output::Samples(samples) => objection_to_sample(&samples[0], task, self.truth.as_ref()),
            Output::Logprobs(logprobs) => objection_to_logprobs(logprobs, raw),
            Output::Entries(logits, tokens) => objection_to_entries(logits, tokens, task, &self.values, raw),
        }
    }

    fn objection_to_record(&self, record: &Logprobs, task: &Task) -> Option<String> {
        let Some(RawAndProcessed { processed: truth, .. }) = &self.truth else {
            return (record.distribution.status == Status::Ok)
                .then(|| "a status ok of what is no distribution".to_owned());
        };
        let target = record.target;
        let expected = task.targets[self.row].map(|token| (token, Truth::rank_counts(&self.values, token)));
        let got = target.map(|target| (target.token, (target.n_greater, target.n_equal)));
        // Of a large sum f64 itself has 16 digits.
        let limit = ERROR_LIMIT * (1.0 + truth.logsumexp.abs() * 1e-9);
        let summary = [
            ("log-sum-exp", record.distribution.logsumexp, truth.logsumexp, limit),
            ("entropy", record.distribution.entropy, truth.entropy, ERROR_LIMIT),
        ];
        (record.distribution.status != Status::Ok)
            .then(|| format!("status {}", record.distribution.status.name()))
            .or_else(|| (got != expected).then(|| format!("target and rank {got:?} instead of {expected:?}")))
            .or_else(|| {
                target.and_then(|target| {
                    objection_to_logprob("the target", target.logprob, truth.logprobs[target.token as usize])
                })
            })
            .or_else(|| {
                let (name, got, truth, _) =
                    summary.into_iter().find(|(_, got, truth, limit)| !is_near(*got, *truth, *limit))?;
                Some(format!("{name} {got} instead of {truth}"))
            })
            .or_else(|| objection_to_top(&record.distribution.top_logprobs, task.workload.k(), truth))
    }
}

/// NaN is near nothing.
fn is_near(got: f64, truth: f64, limit: f64) -> bool {
    (got - truth).abs() <= limit
}

/// Whether a logprob is wrong; those of tokens that hardly ever occur are promised nothing.
fn is_off(got: f64, truth: f64, rounding: f64) -> bool {
    if truth == f64::NEG_INFINITY {
        return got != truth;
    }
    truth > ERROR_FLOOR.ln() && !is_near(got, truth, ERROR_LIMIT + rounding)
}

/// An objection to a logprob that is wrong.
fn objection_to_logprob(what: &str, got: f64, truth: f64) -> Option<String> {
    is_off(got, truth, 0.0).then(|| format!("{what} is {got} instead of {truth}"))
}

fn objection_to_top(top: &[TopLogprob], k: u32, truth: &Truth) -> Option<String> {
    let tokens: Vec<u32> = top.iter().map(|entry| entry.token).collect();
    difference_of_lists(&tokens, &truth.order[..truth.order.len().min(k as usize)]).or_else(|| {
        top.iter()
            .find_map(|e| objection_to_logprob("a logprob", e.logprob, truth.logprobs[e.token as usize]))
    })
}

/// The draw itself is a matter of the generator, which the definition does not know; its probability is not.
fn objection_to_sample(sample: &Sample, task: &Task, truth: Option<&RawAndProcessed>) -> Option<String> {
    let Some(RawAndProcessed { raw, processed }) = truth else {
        return (sample.status == Status::Ok).then(|| "a status ok of what is no distribution".to_owned());
    };
    let (drawn, expected) = (sample.draws.len(), task.workload.draws_made() as usize);
    let first = processed.order.first().copied();
    (sample.status != Status::Ok)
        .then(|| format!("status {}", sample.status.name()))
        .or_else(|| (drawn != expected).then(|| format!("{drawn} draws instead of {expected}")))
        .or_else(|| {
            let possible = processed.order.len();
            (sample.kept as usize != possible).then(|| format!("{} tokens kept, not {possible}", sample.kept))
        })
        .or_else(|| {
            sample.draws.iter().find_map(|draw| {
                let truth = processed.logprobs.get(draw.token as usize).copied().unwrap_or(f64::NEG_INFINITY);
                (truth == f64::NEG_INFINITY)
                    .then(|| format!("token {} was drawn, which is impossible", draw.token))
                    .or_else(|| {
                        (task.workload.is_greedy() && Some(draw.token) != first)
                            .then(|| format!("the greedy token {} instead of {first:?}", draw.token))
                    })
                    .or_else(|| objection_to_logprob("a draw", draw.logprob, truth))
            })
        })
        .or_else(|| match (&sample.raw, task.workload.k()) {
            (Some(distribution), k) => objection_to_top(&distribution.top_logprobs, k, raw),
            (None, 0) => None,
            (None, _) => Some("no raw distribution".to_owned()),
        })
}

fn objection_to_logprobs(got: &[f32], truth: Option<&Truth>) -> Option<String> {
    let Some(truth) = truth else {
        return (!got.iter().all(|x| x.is_nan())).then(|| "logprobs of what is no distribution".to_owned());
    };
    if got.len() != truth.logprobs.len() {
        return Some(format!("{} logprobs instead of {}", got.len(), truth.logprobs.len()));
    }
    let half_ulp = |truth: f64| truth.abs() * f64::from(f32::EPSILON) / 2.0;
    let mut pairs = got.iter().zip(&truth.logprobs).enumerate();
    let place = pairs.find(|(_, (got, truth))| is_off(f64::from(**got), **truth, half_ulp(**truth)));
    place.map(|(token, (got, truth))| format!("the logprob of token {token} is {got} instead of {truth}"))
}

fn objection_to_entries(
    logits: &[f32],
    tokens: &[u32],
    task: &Task,
    values: &[f32],
    truth: Option<&Truth>,
) -> Option<String> {
    let k = task.workload.k() as usize;
    let order = truth.map_or(&[][..], |truth| &truth.order[..truth.order.len().min(k)]);
    let mut expected = order.to_vec();
    expected.resize(k, NO_TOKEN);
    // -0 comes back as 0
    let logit = |token: &u32| values.get(*token as usize).map_or(f32::NEG_INFINITY, |logit| logit + 0.0);
    let expected_logits: Vec<f32> = expected.iter().map(logit).collect();
    difference_of_lists(tokens, &expected)
        .or_else(|| difference_of_lists(&bits(logits), &bits(&expected_logits)))
}
