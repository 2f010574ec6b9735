//! What changes logits before the filters (bias, penalties, DRY, bans, masks), against the formulas in f64.

use sortilege::synthetic::SplitMix64;
use sortilege::{Cpu, Dry, Engine, Logits, Request, Row, Sample, SampleInputs, SamplingParams, oracle};

use crate::common::test_each;
use crate::rows::row_of;

/// A row, and what is to change its logits.
#[derive(Debug)]
struct Case {
    row: Vec<f32>,
    params: SamplingParams,
    prompt: Vec<u32>,
    output: Vec<u32>,
    position: u64,
    mask: Option<Vec<u32>>,
}

impl Case {
    fn new(number: u64) -> Self {
        let mut numbers = SplitMix64::new(number);
        let mut below = |n: u64| (numbers.next() % n) as u32;
        let vocab = [40usize, 129, 1000][below(3) as usize];
        let (prompt, output) = (tokens(&mut below, 60), tokens(&mut below, 60));
        let position = output.len() as u64 + u64::from(below(4));
        let params = params(number, &output, &mut below);
        let mask = (0..vocab.div_ceil(32)).map(|_| below(1 << 32) | below(1 << 32) | 1).collect();
        let mask = (below(2) == 0).then_some(mask);
        let row = row_of(["normal", "integers", "mostly -inf"][below(3) as usize], vocab);
        Self { row, params, prompt, output, position, mask }
    }

    /// The changed logits of the definition.
    fn expected(&self) -> Vec<f64> {
        let allows = |token: u32| {
            self.mask.as_ref().is_none_or(|mask| mask[token as usize / 32] >> (token % 32) & 1 == 1)
        };
        oracle::changed_logits(&self.row, &self.params, &self.prompt, &self.output, self.position, &allows)
    }

    /// The request after so many tokens of the output; at first with other parameters, if the number is odd.
    fn request(&self, accepted: usize) -> Request {
        let first = if accepted % 2 == 1 { SamplingParams::default() } else { self.params.clone() };
        let mut request = Request::resume(first, &self.prompt, &self.output[..accepted / 3]).unwrap();
        self.output[accepted / 3..accepted / 2].iter().for_each(|&token| request.accept_token(token));
        request.set_params(self.params.clone()).unwrap();
        self.output[accepted / 2..accepted].iter().for_each(|&token| request.accept_token(token));
        request
    }

    /// The sample of a row that takes what is left of the output for accepted.
    fn sample(&self, accepted: usize) -> Sample {
        let request = self.request(accepted);
        let inputs = SampleInputs { mask: self.mask.as_deref(), draft: None };
        let logits = Logits::f32(&self.row, 1, self.row.len()).unwrap();
        let row = Row { ahead: &self.output[accepted..], ..request.row(self.position).detached() };
        Cpu.sample(&logits, &[row], &inputs).unwrap().remove(0)
    }

    /// The changed logits of the engine: what it lists, and −∞ for the others.
    fn changed(&self) -> Vec<f64> {
        let sample = self.sample(self.output.len());
        let mut changed = vec![f64::NEG_INFINITY; self.row.len()];
        for entry in &sample.processed.top_logprobs {
            changed[entry.token as usize] = f64::from(entry.logit);
        }
        changed
    }
}

fn tokens(below: &mut dyn FnMut(u64) -> u32, most: u64) -> Vec<u32> {
    (0..below(most)).map(|_| below(40)).collect()
}

fn params(seed: u64, output: &[u32], below: &mut dyn FnMut(u64) -> u32) -> SamplingParams {
    let bias = |token: u32| (token, token as f32 / 7.0 - 3.0);
    let mut params = SamplingParams {
        logit_bias: tokens(below, 10).into_iter().map(bias).collect(),
        repetition_penalty: [1.0, 1.3, 0.8][below(3) as usize],
        presence_penalty: [0.0, 0.7, -1.5][below(3) as usize],
        frequency_penalty: [0.0, 0.3, -0.1][below(3) as usize],
        penalty_last_n: [None, Some(0), Some(20), Some(1000)][below(4) as usize],
        no_repeat_ngram_size: [0, 1, 2, 3][below(4) as usize],
        no_repeat_ngram_window: [None, Some(2), Some(20), Some(1000)][below(4) as usize],
        penalty_exempt_token_ids: tokens(below, 8),
        min_tokens: output.len() as u64 + u64::from(below(4)),
        stop_token_ids: tokens(below, 4),
        allowed_token_ids: (below(3) == 0).then(|| [vec![0], tokens(below, 40)].concat()),
        seed: Some(seed),
        processed_logprobs: Some(1024),
        ..SamplingParams::default()
    };
    if below(2) == 0 {
        let sequence_breakers = tokens(below, 3);
        let last_n = [None, Some(30)][below(2) as usize];
        params.dry = Some(Dry { allowed_length: 1 + below(3), last_n, sequence_breakers, ..Dry::default() });
    }
    // Bad words that have come about but for their last token, and others.
    for length in [0, 1, 3] {
        let before = &output[output.len().saturating_sub(length)..];
        params.bad_words.push([before, &[below(40)]].concat());
    }
    params.bad_words.push(vec![below(40), below(40)]);
    params
}

#[test]
fn changed_logits_are_those_of_the_definition() {
    test_each((0..300).map(|number| (format!("case {number}"), Case::new(number))), |case| {
        for (token, (got, expected)) in case.changed().into_iter().zip(case.expected()).enumerate() {
            let is_near = got == expected || (got - expected).abs() <= 5e-7 * (expected.abs() + 10.0);
            let logit = case.row[token];
            assert!(is_near, "token {token}: {got} for {expected} from {logit}, {case:?}");
        }
    });
}

/// Tokens that a row takes for accepted do what accepted tokens do, to the bit.
#[test]
fn tokens_ahead_change_what_accepted_ones_change() {
    test_each((0..300).map(|number| (format!("case {number}"), Case::new(number))), |case| {
        let all = case.sample(case.output.len());
        let most = case.output.len().min(9);
        for ahead in 1..=most {
            assert_eq!(case.sample(case.output.len() - ahead), all, "{ahead} of {case:?}");
        }
    });
}
