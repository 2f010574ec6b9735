//! What is reported: rows without a token, and raw logprobs, which neither see the request nor change its draws.

use sortilege::{Cpu, Distribution, Engine, Logits, Request, Sample, SampleInputs, SamplingParams, Status};

use crate::common::test_each;
use crate::requests::requests;
use crate::rows::row_of;
use crate::{listed, sample_one};

#[test]
fn a_mask_that_allows_nothing_draws_nothing() {
    let params = SamplingParams {
        top_p: 0.9,
        seed: Some(5),
        n: 3,
        raw_logprobs: Some(2),
        processed_logprobs: Some(2),
        ..SamplingParams::default()
    };
    let nothing = SamplingParams { allowed_token_ids: Some(vec![]), ..params.clone() };
    let one = SamplingParams { allowed_token_ids: Some(vec![1]), ..params.clone() };
    let row = [1.0f32, 2.0, 3.0];
    let requests = [params, nothing, one].map(|params| Request::new(listed(&params)).unwrap());
    let logits = row.repeat(3);
    let logits = Logits::f32(&logits, 3, 3).unwrap();
    let rows = [requests[0].row(0), requests[1].row(0), requests[2].row(0)];
    // Token 0 only, for all rows; nothing for the first. Bits past the vocabulary mean nothing.
    let mask = [0xffff_fff8u32, 1, 1];
    let samples = Cpu.sample(&logits, &rows, &SampleInputs { mask: Some(&mask), draft: None }).unwrap();
    for sample in &samples {
        assert_eq!(sample.status, Status::NothingFinite);
        assert_eq!((sample.kept, sample.draws.len(), sample.processed.top_logprobs.len()), (0, 0, 0));
        assert!(
            sample.kept_mass.is_nan() && sample.temperature.is_nan() && sample.processed.entropy.is_nan()
        );
        let raw = sample.raw.as_ref().unwrap();
        assert_eq!((raw.status, raw.top_logprobs[0].token, raw.top_logprobs.len()), (Status::Ok, 2, 2));
    }
    let samples = Cpu.sample(&logits, &rows, &SampleInputs::default()).unwrap();
    assert_eq!(samples[0].draws.len(), 3);
    assert_eq!(samples[1].status, Status::NothingFinite);
    assert!(samples[2].draws.len() == 3 && samples[2].draws.iter().all(|drawn| drawn.token == 1));
}

/// A row, its most probable token, and its raw distribution.
struct Known {
    row: Vec<f32>,
    best: u32,
    raw: Distribution,
}

impl Known {
    fn new(row: Vec<f32>) -> Self {
        let plain = SamplingParams { seed: Some(1), raw_logprobs: Some(20), ..SamplingParams::default() };
        let raw = sample_one(&row, &plain).raw.unwrap();
        Self { row, best: raw.top_logprobs[0].token, raw }
    }

    /// Every other token, and the best.
    fn mask(&self) -> Vec<u32> {
        let mut mask = vec![0x5555_5555u32; self.row.len().div_ceil(32)];
        mask[self.best as usize / 32] |= 1 << (self.best % 32);
        mask
    }

    /// The sample of a request that reports so much.
    fn sample(&self, params: &SamplingParams, inputs: &SampleInputs<'_>, reported: Reported) -> Sample {
        let n = if params.temperature == 0.0 { 1 } else { 4 };
        let (raw_logprobs, processed_logprobs) = reported;
        let logit_bias = vec![(self.best, 0.5)];
        let params = SamplingParams { n, logit_bias, raw_logprobs, processed_logprobs, ..params.clone() };
        let request = Request::new(listed(&params)).unwrap();
        let logits = Logits::f32(&self.row, 1, self.row.len()).unwrap();
        Cpu.sample(&logits, &[request.row(7).detached()], inputs).unwrap().remove(0)
    }

    /// The raw half of a sample is that of the logits alone.
    fn check_raw(&self, sample: &Sample) {
        let raw = sample.raw.as_ref().unwrap();
        assert_eq!(bits(raw), bits(&self.raw), "raw {raw:?} for {:?}", self.raw);
        for drawn in &sample.draws {
            let own = drawn.raw.unwrap();
            let logit = self.row[drawn.token as usize];
            let greater = self.row.iter().filter(|x| **x > logit).count() as u32;
            let logprob = f64::from(logit) - self.raw.logsumexp;
            let is_right = own.logit == logit && own.n_greater == greater;
            let is_near = (own.logprob - logprob).abs() <= 1e-9;
            assert!(is_right && is_near, "{own:?}, not {logit} {logprob} {greater}");
        }
    }
}

/// How many raw and how many processed logprobs.
type Reported = (Option<u32>, Option<u32>);

fn bits(distribution: &Distribution) -> (u32, u64, u64, Vec<(u32, u64)>) {
    let top = distribution.top_logprobs.iter().map(|entry| (entry.token, entry.logprob.to_bits()));
    let Distribution { max, logsumexp, entropy, .. } = distribution;
    (max.to_bits(), logsumexp.to_bits(), entropy.to_bits(), top.collect())
}

fn tokens(sample: &Sample) -> Vec<u32> {
    sample.draws.iter().map(|drawn| drawn.token).collect()
}

/// Whatever a request asks, the raw distribution is that of the logits; and what is reported changes no draw.
#[test]
fn raw_logprobs_and_draws_do_not_see_each_other() {
    let rows = [("normal", 33), ("integers", 4097), ("mostly -inf", 1000), ("peaked", 8191)];
    test_each(rows.map(|(kind, vocab)| (format!("{kind} {vocab}"), row_of(kind, vocab))), |row| {
        let known = Known::new(row);
        let mask = known.mask();
        let seeded = |((name, params), seed)| (name, SamplingParams { seed: Some(seed), ..params });
        test_each(requests().into_iter().zip(0..).map(seeded), |params| {
            for inputs in [SampleInputs::default(), SampleInputs { mask: Some(&mask), draft: None }] {
                let all = known.sample(&params, &inputs, (Some(20), Some(20)));
                known.check_raw(&all);
                for reported in [(None, None), (Some(0), None), (None, Some(1024))] {
                    let other = known.sample(&params, &inputs, reported);
                    assert_eq!((tokens(&other), other.kept), (tokens(&all), all.kept), "{reported:?}");
                }
            }
        });
    });
}
