//! What the requests of the grid ask for: every parameter alone and in company.
#![expect(clippy::cast_possible_truncation, reason = "words cut out of wider numbers, and sizes of the grid")]

use super::grid::Case;
use super::synthetic::mix;
use crate::filter::{self, Setting};
use crate::params::{Dry, LogprobsParams, Order, SamplingParams, SamplingStep as Step};
use crate::request::Request;

/// Settings of which no filter's file knows: no filter at all, or several, or changes of logits.
const COMBINED: &[Setting] = &[
    ("plain", |_| ()),
    ("greedy", |p| p.temperature = 0.0),
    ("typical_p, top_p", |p| (p.typical_p, p.top_p) = (0.3, 0.8)),
    ("eta and top_a, llama", |p| {
        (p.eta_cutoff, p.top_a, p.temperature, p.order) = (0.01, 0.1, 1.3, Order::Llama);
    }),
    ("usual", |p| (p.temperature, p.top_k, p.top_p, p.min_p, p.n) = (0.8, 50, 0.95, 0.02, 3)),
    ("temperature 0.6", |p| p.temperature = 0.6),
    ("xtc sometimes", |p| (p.xtc_threshold, p.xtc_probability) = (0.02, 0.5)),
    ("temperature, xtc sometimes", |p| {
        (p.temperature, p.xtc_threshold, p.xtc_probability, p.order) = (0.8, 0.02, 0.3, Order::Vllm);
    }),
    ("xtc sometimes, top_k", |p| (p.xtc_threshold, p.xtc_probability, p.top_k) = (0.02, 0.5, 20)),
    ("dynamic temperature", |p| (p.dynatemp_range, p.dynatemp_exponent) = (0.9, 1.3)),
    ("dynamic temperature, llama", |p| {
        (p.temperature, p.dynatemp_range, p.top_k, p.order) = (3.0, 1.0, 40, Order::Llama);
    }),
    ("dynamic temperature, top_p", |p| (p.dynatemp_range, p.top_p) = (0.5, 0.8)),
    ("a list", |p| {
        p.order = Order::List(vec![Step::TopP, Step::Temperature, Step::MinP, Step::TopK]);
        (p.temperature, p.top_p, p.min_p, p.top_k) = (1.4, 0.99, 0.01, 100);
    }),
    ("all", |p| {
        (p.top_k, p.top_p, p.min_p, p.typical_p) = (500, 0.97, 0.001, 0.9);
        (p.top_n_sigma, p.epsilon_cutoff, p.xtc_threshold, p.xtc_probability) = (3.0, 1e-5, 0.2, 0.7);
        (p.temperature, p.order) = (1.2, Order::Llama);
    }),
    ("penalties", |p| {
        (p.repetition_penalty, p.presence_penalty, p.frequency_penalty) = (1.3, 0.4, 0.2);
        (p.dry, p.top_p) = (Some(Dry { allowed_length: 1, ..Dry::default() }), 0.9);
    }),
    ("penalties spare some", |p| {
        (p.repetition_penalty, p.frequency_penalty, p.penalty_last_n) = (1.5, 1.0, Some(4));
        p.penalty_exempt_token_ids = (0..2000).step_by(2).collect();
        (p.xtc_threshold, p.xtc_probability) = (1e-4, 1.0);
        p.xtc_exempt_token_ids = (0..40).map(|i| i * 5).collect();
    }),
    ("typical_p, xtc spares what is gone", |p| {
        (p.typical_p, p.xtc_threshold, p.xtc_probability) = (0.3, 0.001, 1.0);
        p.xtc_exempt_token_ids = vec![0];
    }),
    ("bias", |p| {
        p.logit_bias = (0..60).zip([3.5, 0.1, 1e-39, -7.3].into_iter().cycle()).collect();
        p.logit_bias.push((1, -1e38));
        p.temperature = 0.7;
    }),
    ("bans", |p| {
        (p.bad_words, p.min_tokens, p.stop_token_ids) = (vec![vec![2], vec![0, 1]], 9, vec![0, 3]);
        p.n = 16;
    }),
    ("finished", |p| {
        (p.max_tokens, p.stop_token_ids, p.n) = (Some(7), (0..900).step_by(16).collect(), 2);
    }),
    ("greedy, at a stop token", |p| {
        (p.temperature, p.stop_token_ids) = (0.0, (0..2000).step_by(7).collect())
    }),
    ("no repeated pair", |p| (p.no_repeat_ngram_size, p.n) = (2, 8)),
    ("no repeated token", |p| (p.no_repeat_ngram_size, p.no_repeat_ngram_window, p.n) = (1, Some(3), 4)),
    ("allowed", |p| (p.allowed_token_ids, p.top_k) = (Some(vec![0, 5, 31, 32, 63, 64, 127, 128]), 3)),
];

/// Settings that only batches of their own have.
const ALONE: &[Setting] = &[
    // Of a sum with a logit near 0, the lower half of that logit's bits is lost.
    ("large bias", |p| {
        p.logit_bias = (0..300).map(|token| (token, 20_000.0)).collect();
        p.temperature = 0.7;
    }),
    ("p_less at a token", |p| {
        (p.p_less, p.allowed_token_ids) = (true, Some(vec![0, 1, 2]));
        p.logit_bias = vec![(1, f32::from_bits(0xbe3d_89de)), (2, f32::from_bits(0xbf3d_f7a0))];
    }),
    ("typical_p 0.995", |p| p.typical_p = 0.995),
    ("xtc among ties", |p| (p.xtc_threshold, p.xtc_probability) = (0.001, 1.0)),
    ("xtc spares all", |p| {
        (p.xtc_threshold, p.xtc_probability) = (0.1, 1.0);
        p.xtc_exempt_token_ids = (0..63).collect();
    }),
];

/// What the requests of a batch ask for, in turn: several filters together, then those of every filter alone.
fn settings() -> impl Iterator<Item = &'static Setting> {
    COMBINED.iter().chain(filter::ALL.iter().flat_map(|spec| spec.settings))
}

/// Those of a row.
pub(super) fn of_row(case: &Case, row: usize) -> &'static Setting {
    if let Some(wanted) = case.setting {
        return settings().chain(ALONE).find(|(name, _)| *name == wanted).expect("a setting of this name");
    }
    let number = (row + case.seed as usize) % settings().count();
    settings().nth(number).expect("below their number")
}

/// A number of a row's own for each purpose.
pub(super) fn noise(case: &Case, row: usize, what: u64) -> u64 {
    mix(case.seed << 32 ^ (row as u64) << 8 ^ what)
}

/// A token likewise.
pub(super) fn token(case: &Case, row: usize, what: u64) -> u32 {
    (noise(case, row, what) % case.vocab as u64) as u32
}

/// The request of a row, after some tokens.
pub(super) fn request(case: &Case, row: usize) -> Request {
    let listed = case.params.top_logprobs;
    let is_long = listed > LogprobsParams::MAX_SHORT_LIST;
    // Both lists of the batch are long, and of other lengths where the vocabulary lets them.
    let processed = if is_long { (listed * 3 / 4).max(1025) - row as u32 } else { listed.min(40) };
    let mut params = SamplingParams {
        seed: Some(noise(case, row, 1)),
        stream: row as u32,
        // Rows of a batch want lists of different lengths.
        raw_logprobs: (row % 3 != 1).then_some(if row % 6 == 5 { listed / 2 } else { listed }),
        entropy: row % 5 != 3,
        processed_logprobs: (row % 4 != 2).then_some(processed),
        logprob_token_ids: case.token_ids(row),
        ..SamplingParams::default()
    };
    of_row(case, row).1(&mut params);
    // A request that has finished, within a block, unless it has to have more tokens.
    if row % 28 == 6 && params.max_tokens.is_none() && params.min_tokens <= 1 {
        params.max_tokens = Some(1);
    }
    params.fit(case.vocab);
    let prompt = [2, 3].map(|what| token(case, row, what));
    let mut request = Request::with_prompt(params, &prompt).expect("the parameters are in range");
    for what in [4, 5, 4, 6, 4] {
        request.accept_token(token(case, row, what));
    }
    request
}

impl SamplingParams {
    /// Leaves out the tokens that a vocabulary does not have.
    fn fit(&mut self, vocab: usize) {
        let is_in = |token: &u32| (*token as usize) < vocab;
        self.logit_bias.retain(|(token, _)| is_in(token));
        self.bad_words.retain(|word| word.iter().all(is_in));
        for list in
            [&mut self.stop_token_ids, &mut self.xtc_exempt_token_ids, &mut self.penalty_exempt_token_ids]
        {
            list.retain(is_in);
        }
        if let Some(allowed) = &mut self.allowed_token_ids {
            allowed.retain(is_in);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FinishReason;
    use crate::proof::grid::{self, Extent};
    use crate::proof::synthetic::KINDS;

    /// The quick grid, which tests run, has not every setting at every place of a batch. A request that is refused panics.
    #[test]
    fn every_row_of_the_full_grid_has_a_request_and_some_have_finished() {
        let requests = |case: Case| (0..case.rows).map(move |row| request(&case, row));
        let reasons: Vec<_> = grid::cases(Extent::Full)
            .into_iter()
            .filter(|case| case.samples)
            .flat_map(requests)
            .filter_map(|request| request.finish_reason())
            .collect();
        for reason in [FinishReason::Stop, FinishReason::Length] {
            assert!(reasons.contains(&reason), "no row has finished by {reason:?}");
        }
    }

    /// If their numbers shared a factor, the rows of a batch would meet few of the requests.
    #[test]
    fn every_kind_of_row_meets_every_request() {
        let count = settings().count();
        let shared = (2..=KINDS.len()).find(|n| KINDS.len().is_multiple_of(*n) && count.is_multiple_of(*n));
        assert_eq!(shared, None, "{count} settings for {} kinds: add one", KINDS.len());
        let names: Vec<&str> = settings().map(|(name, _)| *name).collect();
        let double = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
        assert_eq!(double, None, "a name stands twice");
    }
}
