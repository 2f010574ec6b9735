//! Tokens of a row that runs ahead which all want the same places of the table of changes: they find room, or the row says that
//! it has lost its history.

use super::{Gpu, GpuLogits, Pending, SampleBuffers};
use crate::answer::{Sample, Status};
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::Result;
use crate::logits::{Dtype, Logits};
use crate::params::SamplingParams;
use crate::request::table::homes;
use crate::request::{Request, SampleInputs};

const VOCAB: usize = 16_384;
/// Of the table of a row that names more than half as many tokens, each of which it bans.
const BUCKETS: usize = 16;

/// So many tokens that may lie in the first and in the second of these buckets; of any second but the first without one.
fn tokens(first: usize, second: Option<usize>, count: usize) -> Vec<u32> {
    let wants =
        |homes: [usize; 2]| homes[0] == first && second.map_or(homes[1] > 2, |second| homes[1] == second);
    let tokens: Vec<u32> = (0..16_384).filter(|&token| wants(homes(token, BUCKETS))).take(count).collect();
    assert_eq!(tokens.len(), count, "so many are in the vocabulary");
    tokens
}

/// The samples of a request that may not stop with any of these tokens yet, and is allowed one other; with histories or without.
fn drawn(gpu: &Gpu, banned: &[u32], with_histories: bool) -> (Result<Vec<Sample>>, Vec<Sample>) {
    let params = SamplingParams {
        stop_token_ids: banned.to_vec(),
        min_tokens: 9,
        presence_penalty: 0.1,
        temperature: 0.0,
        raw_logprobs: Some(1),
        ..SamplingParams::default()
    };
    let request = Request::new(params).expect("in range");
    let rows = [request.row(0)];
    // What is banned would be drawn first, all of it.
    let mut values = vec![0.0f32; VOCAB];
    banned.iter().for_each(|&token| values[token as usize] = 5.0);
    let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
    let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("a sample");
    assert!(!banned.contains(&expected[0].draws[0].token));
    let source = gpu.upload(bytemuck::cast_slice(&values)).expect("uploaded");
    let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
    let histories = gpu.sampler().histories(1, 8).expect("made");
    let buffers =
        SampleBuffers { histories: with_histories.then_some(&histories), ..SampleBuffers::default() };
    let pending = gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, &rows, &buffers));
    (pending.and_then(Pending::wait), expected)
}

#[test]
fn tokens_without_a_place_are_told() {
    let gpu = Gpu::any().expect("an adapter");
    // Two buckets of four for all of them.
    let same = tokens(3, Some(7), 12);
    let (got, expected) = drawn(&gpu, &same[..8], true);
    assert_eq!(got, Ok(expected), "eight fill both");
    for count in 9..=12 {
        let (got, _) = drawn(&gpu, &same[..count], true);
        assert_eq!(got.expect("answered")[0].status, Status::LostHistory, "{count}");
        let (got, expected) = drawn(&gpu, &same[..count], false);
        assert_eq!(got, Ok(expected), "{count}, without histories");
    }
    // Others make room: of each bucket five, which may lie elsewhere too, before what wants both.
    let crowded = [tokens(0, None, 5), tokens(1, None, 5), tokens(0, Some(1), 2)].concat();
    let (got, expected) = drawn(&gpu, &crowded, true);
    assert_eq!(got, Ok(expected), "one moves");
}

/// A row that lost its history, drawn once more without them as `Status::LostHistory` says, costs nobody else theirs.
#[test]
fn what_was_lost_is_found_again() {
    let gpu = Gpu::any().expect("an adapter");
    let banned = tokens(3, Some(7), 12);
    let params = SamplingParams {
        stop_token_ids: banned.clone(),
        min_tokens: 1,
        presence_penalty: 0.1,
        seed: Some(3),
        ..SamplingParams::default()
    };
    let mut request = Request::new(params).expect("in range");
    let values = vec![0.0f32; VOCAB];
    let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
    let source = gpu.upload(bytemuck::cast_slice(&values)).expect("uploaded");
    let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
    let histories = gpu.sampler().histories(1, 8).expect("made");
    for position in 0..4 {
        let rows = [request.row(position)];
        let draw = |histories: Option<&_>| {
            let buffers = SampleBuffers { histories, ..SampleBuffers::default() };
            let pending = gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, &rows, &buffers));
            pending.and_then(Pending::wait).expect("answered").remove(0)
        };
        let lost_or_drawn = draw(Some(&histories));
        let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("a sample").remove(0);
        let drawn = if position == 0 {
            assert_eq!(lost_or_drawn.status, Status::LostHistory);
            draw(None)
        } else {
            lost_or_drawn.clone()
        };
        assert_eq!(drawn, Sample { reopened: drawn.reopened, ..expected }, "position {position}");
        for sample in [&lost_or_drawn, &drawn].into_iter().skip(usize::from(position > 0)) {
            request.accept(sample).expect("in turn");
        }
    }
}
