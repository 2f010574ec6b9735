//! What was drawn from a row, and what is said of it.

use super::distribution::{Expected, judge_none, status_of};
use super::row::KnownRow;
use super::verdict::Verdict;
use crate::answer::{FinishReason, Sample, Status};
use crate::arithmetic::rng::{Key, Purpose};
use crate::params::SamplingParams;
use crate::proof::oracle::{self, Truncated, Truth};
use crate::request::{Row, Steps};

/// A filter's decision nearer than this to its boundary may fall either way: a share of it, twice the bound of
/// docs/exact.md, 12; of logits, which [`SamplingStep::TopNSigma`](crate::SamplingStep::TopNSigma) compares, in nats.
const LEAST_MARGIN: f64 = 1e-6;
const LEAST_SIGMA_MARGIN: f64 = 1e-4;

impl KnownRow {
    /// Verdict about what was drawn from this row, for this row of requests and its own part of a grammar mask,
    /// `[ceil(vocab / 32)]`. Which of the kept tokens a generator draws is not for the definition to say, nor how far a
    /// block stands, and whether a draft token is accepted only for greedy requests; that the token is kept, its logprobs and its
    /// ranks are.
    /// Where a filter's decision is too near to call, nothing is said of what it leaves.
    pub fn sample(&self, answer: &Sample, row: &Row<'_>, mask: Option<&[u32]>) -> Verdict {
        let mut verdict = Verdict::default();
        // What it hears of the other rows of its block, it alone does not say.
        let alone = Row { block_place: None, ..*row };
        let (rows, mut steps) = ([alone], Steps::default());
        let inputs = match steps.check(&rows, 1, self.logits().len(), mask) {
            Ok(inputs) => inputs,
            Err(error) => {
                verdict.fails(|| format!("the request is none: {error}"));
                return verdict;
            }
        };
        let [before, with] = finish_of(answer, row);
        verdict.same("finish reason", answer.finish_reason, before.or(with));
        verdict.same("seed", answer.seed, row.request.seed());
        verdict.same("acceptance of a draft", answer.accepted.is_some(), row.is_verified());
        // A block may end with a row from which nothing is drawn.
        let alone_accepts = answer.accepted == Some(true) && row.block_place.is_none_or(|place| place == 0);
        if before.is_some() {
            verdict.same("a raw answer", answer.raw.is_some(), false);
            verdict.same("accepted", alone_accepts, false);
            verdict.and(judge_nothing(answer, Status::Finished));
            return verdict;
        }
        let changes = inputs.changes(0);
        let changed: Vec<f32> = (0..)
            .zip(self.logits())
            .map(|(token, logit)| f32::from_bits(changes.apply(token, logit.to_bits())))
            .collect();
        let drawn = Drawing { row, changed: &changed };
        match oracle_of(row, &changed) {
            Some(truth) => verdict.and(drawn.judge(answer, &truth)),
            None => {
                verdict.same("accepted", alone_accepts, false);
                verdict.and(judge_nothing(answer, status_of(&changed)));
            }
        }
        verdict.and(self.raw(answer, row.request.params()));
        verdict
    }

    fn whole<'a>(&'a self, truth: &'a Truth, listed: u32, params: &SamplingParams) -> Expected<'a> {
        Expected::whole(self.logits(), truth, listed, &params.logprob_token_ids, params.entropy)
    }

    /// The raw distribution and what it says of the draws, where that was asked for.
    fn raw(&self, answer: &Sample, params: &SamplingParams) -> Verdict {
        let mut verdict = Verdict::default();
        let (wanted, truth) = (params.raw_logprobs, self.truth(1.0));
        verdict.same("an answer", answer.raw.is_some(), wanted.is_some());
        let expected = truth.as_ref().zip(wanted);
        let expected = expected.map(|(truth, listed)| (truth, self.whole(truth, listed, params)));
        if let (Some(raw), Some(_)) = (&answer.raw, wanted) {
            verdict.and(match &expected {
                Some((_, expected)) => expected.judge(raw),
                None => judge_none(raw, self.status()),
            });
        }
        for drawn in &answer.draws {
            if let Some((truth, expected)) = &expected {
                let logprob = truth.logprobs.get(drawn.token as usize).copied().unwrap_or(f64::NAN);
                verdict.and(expected.judge_target(drawn.raw.as_ref(), drawn.token, logprob));
            } else {
                verdict.same("what is said of a draw", drawn.raw.map(|raw| raw.token), None);
            }
        }
        verdict.within("raw")
    }
}

/// What the definition leaves of the changed logits.
fn oracle_of(row: &Row<'_>, changed: &[f32]) -> Option<Truncated> {
    let (request, params) = (row.request, row.request.params());
    let key = Key { seed: request.seed(), position: row.position, stream: params.stream };
    // docs/sampling.md: XTC's coin acts below round(probability · 2^32), and below 1 at least.
    let share = (f64::from(params.xtc_probability) * 4_294_967_296.0).round().max(1.0);
    let acts = f64::from(key.words(Purpose::Xtc)[0]) < share;
    let steps = oracle::steps(&params.order, params.mirostat.is_some());
    oracle::sampling(changed, params, &steps, request.mu(), acts)
}

/// A draw from a row.
struct Drawing<'a> {
    row: &'a Row<'a>,
    /// Logits after all changes.
    changed: &'a [f32],
}

/// A sample of what is nothing to draw from.
fn judge_nothing(answer: &Sample, status: Status) -> Verdict {
    let mut verdict = judge_none(&answer.processed, status);
    verdict.same("status", answer.status, status);
    verdict.same("number of draws", answer.draws.len(), 0);
    verdict.same("number of kept tokens", answer.kept, 0);
    for (what, value) in [("temperature", answer.temperature), ("kept mass", answer.kept_mass)] {
        verdict.none(what, value);
    }
    verdict
}

/// Why the request has finished before a row, and why with its first draw.
fn finish_of(answer: &Sample, row: &Row<'_>) -> [Option<FinishReason>; 2] {
    let Row { request, position, ahead, .. } = *row;
    let params = request.params();
    let output = [request.output(), ahead].concat();
    let first = request.next_position() - request.output().len() as u64;
    let drawn = answer.draws.first().map(|drawn| drawn.token);
    [
        oracle::finish_reason(params, first, &output, position),
        drawn.and_then(|token| oracle::finish_reason(params, position, &[token], position.saturating_add(1))),
    ]
}

impl Drawing<'_> {
    /// A sample of a distribution.
    fn judge(&self, answer: &Sample, truth: &Truncated) -> Verdict {
        let params = self.row.request.params();
        let mut verdict = Verdict::default();
        verdict.same("status", answer.status, Status::Ok);
        let n_draws = if params.temperature == 0.0 { 1 } else { params.n as usize };
        verdict.same("number of draws", answer.draws.len(), n_draws);
        if self.row.block_place == Some(0) {
            verdict.same("accepted", answer.accepted, Some(true));
        }
        if answer.accepted == Some(true) && self.row.block_place.is_none() {
            let stands = answer.draws.first().is_some_and(|drawn| self.row.draft.contains(&drawn.token));
            verdict.same("the accepted token is a draft token", stands, true);
        }
        let drift = drift(truth, params);
        if !is_clear(truth, drift) {
            return verdict;
        }
        if params.temperature == 0.0 {
            let first = truth.kept.first().copied();
            verdict.same("the greedy token", answer.draws.first().map(|drawn| drawn.token), first);
            let accepted = first.is_some_and(|first| self.row.draft.contains(&first));
            let alone = answer.accepted.filter(|_| self.row.block_place.is_none());
            verdict.same("accepted", alone.unwrap_or(accepted), accepted);
        }
        verdict.same("number of kept tokens", answer.kept as usize, truth.kept.len());
        let temperature_error = if drift > 0.0 { (drift + 1e-6) * truth.temperature } else { 0.0 };
        let distance = (answer.temperature - truth.temperature).abs();
        if distance.is_nan() || distance > temperature_error {
            verdict
                .fails(|| format!("temperature is {} instead of {}", answer.temperature, truth.temperature));
        }
        verdict.near(|| "kept mass".to_owned(), answer.kept_mass, truth.kept_mass, 0.0);
        verdict.and(self.judge_processed(answer, truth, drift));
        verdict
    }

    /// The distribution that was drawn from, and what it says of the draws.
    fn judge_processed(&self, answer: &Sample, truth: &Truncated, drift: f64) -> Verdict {
        let params = self.row.request.params();
        let listed = params.processed_logprobs.unwrap_or(0);
        let place = |token: u32| truth.kept.iter().position(|&kept| kept == token);
        let logprob = |token| place(token).map_or(f64::NEG_INFINITY, |place| truth.logprobs[place]);
        let listed = truth.kept.iter().copied().zip(truth.logprobs.iter().copied()).take(listed as usize);
        let largest = f64::from(self.changed[truth.kept[0] as usize]) / truth.temperature;
        let expected = Expected {
            logits: self.changed,
            order: &truth.kept,
            listed: listed.collect(),
            given: params.logprob_token_ids.iter().map(|&token| (token, logprob(token))).collect(),
            logsumexp: largest - truth.logprobs[0],
            entropy: truth.entropy,
            asks_entropy: params.entropy,
            drift,
        };
        let mut verdict = expected.judge(&answer.processed);
        let ends = [0, truth.kept.len() - 1].map(|place| (truth.kept[place], truth.logprobs[place]));
        for (got, (token, logprob)) in answer.kept_ends.iter().flatten().zip(ends) {
            verdict.same("an end of what is kept", got.token, token);
            verdict.same_bits("the logit of an end", got.logit, self.changed[token as usize] + 0.0);
            verdict.logprob(
                || format!("logprob of the end {token}"),
                got.logprob,
                logprob,
                expected.allowance(logprob),
            );
        }
        let filters = truth.is_filtered;
        verdict.same("the ends of what is kept", answer.kept_ends.is_some(), filters);
        for drawn in &answer.draws {
            let Some(place) = place(drawn.token) else {
                verdict.fails(|| format!("drew token {}, which is not kept", drawn.token));
                continue;
            };
            verdict.and(expected.judge_target(Some(&drawn.processed), drawn.token, truth.logprobs[place]));
            if drawn.logprob.to_bits() != drawn.processed.logprob.to_bits() {
                let (own, processed) = (drawn.logprob, drawn.processed.logprob);
                verdict.fails(|| format!("logprob of a draw is {own} and {processed}"));
            }
        }
        verdict
    }
}

/// Relative error of a dynamic temperature, which has 22 fraction bits and comes from an entropy of 26.
fn drift(truth: &Truncated, params: &SamplingParams) -> f64 {
    truth.spread.map_or(0.0, |spread| {
        let raised = |by: f64| (spread + by).clamp(0.0, 1.0).powf(f64::from(params.dynatemp_exponent));
        let error = 3e-7 + 2.0 * f64::from(params.dynatemp_range) * (raised(3e-7) - raised(-3e-7));
        error / truth.temperature
    })
}

/// Whether every filter decided clearly. A mass moves with the temperature as far as an entropy does.
fn is_clear(truth: &Truncated, drift: f64) -> bool {
    truth.margin > LEAST_MARGIN + 100.0 * drift && truth.sigma_margin > LEAST_SIGMA_MARGIN
}
