//! Requests whose tokens change logits, step after step, while others come and go: what a device holds of them follows.

use sortilege::synthetic::SplitMix64;
use sortilege::{
    Cpu, Dry, Dtype, Engine, GpuLogits, Logits, Mask, Mirostat, Request, Row, Sample, SampleBuffers,
    SampleInputs, SamplingParams,
};

use crate::common::{encoder, gpus, upload};
use crate::{VOCAB, row};

const MOST_ROWS: usize = 9;

/// A request of one of the kinds that look at tokens, or at none.
fn request(kind: u64, seed: u64) -> Request {
    let mut params =
        SamplingParams { seed: Some(seed), processed_logprobs: Some(40), ..SamplingParams::default() };
    match kind % 7 {
        0 => (params.repetition_penalty, params.penalty_last_n) = (1.3, Some(7)),
        1 => (params.presence_penalty, params.frequency_penalty) = (0.7, 0.2),
        2 => params.dry = Some(Dry { allowed_length: 1, ..Dry::default() }),
        3 => params.allowed_token_ids = Some((0..3000).step_by(3).collect()),
        4 => params.logit_bias = (0..700).map(|token| (token * 7, token as f32 / 100.0)).collect(),
        5 => {
            (params.no_repeat_ngram_size, params.temperature) = (2, 0.2);
            params.penalty_exempt_token_ids = vec![5];
        }
        _ => {}
    }
    (params.min_tokens, params.stop_token_ids) = (seed % 30, vec![1, 2]);
    Request::with_prompt(params, &[5, 6, 7, 5, 6]).expect("in range")
}

/// Requests, and who of them takes part.
struct Batch {
    numbers: SplitMix64,
    requests: Vec<Request>,
}

impl Batch {
    fn below(&mut self, n: usize) -> usize {
        (self.numbers.next() % n as u64) as usize
    }

    /// One leaves, one comes, two change places, one gets other parameters: now and then.
    fn change(&mut self, step: u64) {
        let seed = self.numbers.next();
        if self.requests.len() < 2 || (step.is_multiple_of(3) && self.requests.len() < MOST_ROWS) {
            let place = self.below(self.requests.len() + 1);
            self.requests.insert(place, request(step / 3, seed));
        } else if step % 5 == 1 {
            let place = self.below(self.requests.len());
            self.requests.remove(place);
        } else if step % 7 == 2 {
            let (a, b) = (self.below(self.requests.len()), self.below(self.requests.len()));
            self.requests.swap(a, b);
        } else if step % 11 == 3 {
            let place = self.below(self.requests.len());
            let params = request(step, seed).params().clone();
            self.requests[place].set_params(params).expect("in range");
        }
    }
}

/// Rows of the requests; the last one stands in two rows, the second of which takes a token for accepted.
fn rows<'a>(requests: &'a [Request], ahead: &'a [u32]) -> Vec<Row<'a>> {
    let row = |request: &'a Request| request.row(request.output().len() as u64);
    let last =
        requests.last().map(|last| Row { ahead, position: last.output().len() as u64 + 1, ..row(last) });
    requests.iter().map(row).chain(last).collect()
}

#[test]
fn a_device_follows_requests_that_come_go_and_grow() {
    let values: Vec<f32> = (0..MOST_ROWS + 2).flat_map(row).collect();
    for gpu in gpus() {
        let source = upload(&gpu, bytemuck::cast_slice(&values));
        let mut batch = Batch { numbers: SplitMix64::new(1), requests: Vec::new() };
        for step in 0..45 {
            batch.change(step);
            let ahead = [batch.below(VOCAB) as u32];
            let asked = rows(&batch.requests, &ahead);
            let words = asked.len() * VOCAB.div_ceil(32);
            let mask: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(0x9e37_79b1) | 0xffff).collect();
            let mask = (step % 4 == 1).then_some(&mask[..]);
            let logits = Logits::f32(&values[..asked.len() * VOCAB], asked.len(), VOCAB).expect("a batch");
            let expected = Cpu.sample(&logits, &asked, &SampleInputs { mask, draft: None }).expect("samples");

            let packed = GpuLogits::packed(&source, Dtype::F32, asked.len(), VOCAB);
            let buffers = SampleBuffers { mask: mask.map(Mask::Host), ..SampleBuffers::default() };
            let mut open = encoder(&gpu);
            // Two calls in flight, of which one is forgotten now and then.
            let record =
                |open: &mut _| gpu.sampler().sample(open, &packed, &asked, &buffers).expect("recorded");
            let (first, second) = (record(&mut open), record(&mut open));
            gpu.queue().submit([open.finish()]);
            if step.is_multiple_of(6) {
                drop(first);
            } else {
                assert_eq!(first.wait().expect("samples"), expected, "step {step}");
            }
            let got: Vec<Sample> = second.wait().expect("samples");
            assert_eq!(got, expected, "step {step}");
            for (request, sample) in batch.requests.iter_mut().zip(&got) {
                request.accept(sample).expect("in turn");
            }
        }
    }
}

/// A row that runs ahead of the tokens that something looks at is refused, and no other is.
#[test]
fn a_row_without_the_tokens_before_it_is_refused() {
    type Change = fn(&mut SamplingParams);
    let cases: [(&str, Change); 14] = [
        ("penalties", |p| p.frequency_penalty = 0.1),
        ("penalties", |p| (p.repetition_penalty, p.temperature) = (1.2, 0.0)),
        ("DRY", |p| p.dry = Some(Dry::default())),
        ("bad words of several tokens", |p| p.bad_words = vec![vec![7], vec![3, 4]]),
        ("a no-repeat n-gram", |p| p.no_repeat_ngram_size = 2),
        ("Mirostat", |p| p.mirostat = Some(Mirostat { tau: 3.0, eta: 0.1 })),
        ("", |p| (p.bad_words, p.logit_bias) = (vec![vec![7]], vec![(1, 2.0)])),
        ("", |p| (p.presence_penalty, p.penalty_last_n) = (1.0, Some(0))),
        ("", |p| p.dry = Some(Dry { multiplier: 0.0, ..Dry::default() })),
        ("", |p| p.dry = Some(Dry { last_n: Some(0), ..Dry::default() })),
        ("", |p| p.mirostat = Some(Mirostat { tau: 3.0, eta: 0.0 })),
        ("", |p| (p.mirostat, p.temperature) = (Some(Mirostat { tau: 3.0, eta: 0.1 }), 0.0)),
        ("", |p| (p.no_repeat_ngram_size, p.no_repeat_ngram_window) = (2, Some(0))),
        ("", |p| (p.min_tokens, p.stop_token_ids) = (9, vec![1])),
    ];
    let values = row(0);
    let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
    let gpus = gpus();
    let engines: Vec<&dyn Engine> =
        gpus.iter().map(|gpu| gpu as &dyn Engine).chain([&Cpu as &dyn Engine]).collect();
    for (words, change) in cases {
        let mut params = SamplingParams { seed: Some(1), ..SamplingParams::default() };
        change(&mut params);
        let request = Request::resume(params.clone(), &[5, 6], &[2]).expect("in range");
        let ahead = Row { ahead: &[3, 9], ..request.row(3) };
        let resumed = Request::resume(params, &[5, 6], &[2, 8, 3, 8, 0]).expect("in range");
        for engine in &engines {
            let sample = |row: Row<'_>| engine.sample(&logits, &[row], &SampleInputs::default());
            let mut known = vec![
                request.row(0),
                request.row(1),
                resumed.row(5),
                request.row(Row::LAST_POSITION).detached(),
            ];
            let mut unknown = vec![request.row(2), resumed.row(6), request.row(Row::LAST_POSITION)];
            // Not behind the tokens that it takes for accepted; or of Mirostat, which none can be taken for accepted by.
            unknown.extend([2, 4].map(|position| Row { position, ..ahead }));
            if words == "Mirostat" { &mut unknown } else { &mut known }.push(ahead);
            for row in known {
                sample(row).expect("nothing is missing");
            }
            for row in unknown {
                match sample(row) {
                    Ok(_) => assert_eq!(words, ""),
                    Err(error) => {
                        let said = format!("draws token {}, and with {words} needs", row.position);
                        let message = error.to_string();
                        assert!(!words.is_empty() && message.contains(&said), "{message}");
                    }
                }
            }
        }
    }
}
