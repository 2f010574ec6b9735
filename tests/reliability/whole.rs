//! Results are whole: every word that a caller can see was written by the call, no word beside them was, and nothing of an
//! earlier call is among them.

use sortilege::device::Gpu;
use sortilege::wgpu::CommandEncoder;
use sortilege::{
    Dtype, GpuLogits, GpuOutput, LogprobsParams, Request, Row, SampleBuffers, Sampler, SamplingParams,
};

use crate::GPUS;
use crate::common::{encoder, read, test_each, upload};

const ROWS: usize = 5;
const VOCAB: usize = 777;
/// Words before and after the results.
const AROUND: usize = 70;

/// Logits; of rows that are no distribution too.
fn batch() -> Vec<f32> {
    let mut values: Vec<f32> = (0..ROWS * VOCAB).map(|i| ((i * 7919) % 1009) as f32 / 90.0).collect();
    values[VOCAB + 5] = f32::NAN;
    values[2 * VOCAB..3 * VOCAB].fill(f32::NEG_INFINITY);
    values[3 * VOCAB..4 * VOCAB - 2].fill(f32::NEG_INFINITY);
    values
}

/// Records an operation whose results go where it is told.
type Record = fn(&Sampler, &mut CommandEncoder, &GpuLogits<'_>, [GpuOutput<'_>; 2]);

/// An operation, the words of its results in each output, and which outputs it has.
const OPERATIONS: [(&str, Record, [usize; 2]); 6] = [
    (
        "row_max",
        |sampler, open, logits, [out, _]| sampler.row_max(open, logits, out).expect("recorded"),
        [ROWS, 0],
    ),
    (
        "log_sum_exp",
        |sampler, open, logits, [out, _]| sampler.log_sum_exp(open, logits, out).expect("recorded"),
        [ROWS, 0],
    ),
    (
        "log_softmax",
        |sampler, open, logits, [out, _]| sampler.log_softmax(open, logits, out).expect("recorded"),
        [ROWS * VOCAB, 0],
    ),
    (
        "top_k",
        |sampler, open, logits, [a, b]| sampler.top_k(open, logits, 9, a, b).expect("recorded"),
        [ROWS * 9; 2],
    ),
    (
        "top_k of more than there are",
        |sampler, open, logits, [a, b]| sampler.top_k(open, logits, 1100, a, b).expect("recorded"),
        [ROWS * 1100; 2],
    ),
    (
        "tokens of a sample",
        |sampler, open, logits, [out, _]| {
            let request =
                Request::new(SamplingParams { seed: Some(1), ..Default::default() }).expect("in range");
            let rows: Vec<Row<'_>> = (0..ROWS as u64).map(|position| request.row(position)).collect();
            let buffers = SampleBuffers { tokens: Some(out), ..Default::default() };
            drop(sampler.sample(open, logits, &rows, &buffers).expect("recorded"));
        },
        [ROWS, 0],
    ),
];

/// Both outputs after an operation, in buffers that were full of a word.
fn outputs(gpu: &Gpu, record: Record, words: [usize; 2], filled: u32) -> [Vec<u32>; 2] {
    let source = upload(gpu, bytemuck::cast_slice(&batch()));
    let logits = GpuLogits::packed(&source, Dtype::F32, ROWS, VOCAB);
    let made = words.map(|words| upload(gpu, bytemuck::cast_slice(&vec![filled; words + 2 * AROUND])));
    let outs = [0, 1].map(|i| GpuOutput { buffer: &made[i], byte_offset: 4 * AROUND as u64 });
    let mut open = encoder(gpu);
    record(gpu.sampler(), &mut open, &logits, outs);
    gpu.queue().submit([open.finish()]);
    made.map(|made| read(gpu, &made))
}

/// What is wrong with results in buffers that were full of one word, and of another.
fn complaint(words: usize, of_one: &[u32], of_other: &[u32], filled: [u32; 2]) -> Option<String> {
    let inside = AROUND..AROUND + words;
    (0..words + 2 * AROUND).find_map(|at| {
        let (one, other) = (of_one[at], of_other[at]);
        let is_kept = [one, other] == filled;
        match inside.contains(&at) {
            true if one != other => {
                Some(format!("word {at} of the result is not the call's: {one:x}, {other:x}"))
            }
            false if !is_kept => Some(format!("word {at} beside the result was written: {one:x}, {other:x}")),
            _ => None,
        }
    })
}

const FILLED: [u32; 2] = [0xa5a5_a5a5, 0x3c3c_c3c3];

#[test]
fn every_word_of_a_result_is_the_calls() {
    for gpu in GPUS.iter() {
        test_each(OPERATIONS.map(|(name, record, words)| (name, (record, words))), |(record, words)| {
            let [one, other] = FILLED.map(|filled| outputs(gpu, record, words, filled));
            for i in 0..2 {
                assert_eq!(complaint(words[i], &one[i], &other[i], FILLED), None);
            }
        });
    }
}

/// A word that was left, a word that was written beside, first and last: the test above must find each.
#[test]
fn a_word_that_is_not_the_calls_is_found() {
    let sound = |filled: u32| {
        let mut words = vec![filled; 10 + 2 * AROUND];
        words[AROUND..AROUND + 10].fill(7);
        words
    };
    let [one, other] = FILLED.map(sound);
    assert_eq!(complaint(10, &one, &other, FILLED), None);
    for at in [AROUND, AROUND + 9] {
        let [mut one, mut other] = [one.clone(), other.clone()];
        (one[at], other[at]) = (FILLED[0], FILLED[1]);
        assert!(complaint(10, &one, &other, FILLED).is_some_and(|what| what.contains("not the call's")));
    }
    for at in [0, AROUND - 1, AROUND + 10, 9 + 2 * AROUND] {
        let [mut one, mut other] = [one.clone(), other.clone()];
        (one[at], other[at]) = (7, 7);
        assert!(complaint(10, &one, &other, FILLED).is_some_and(|what| what.contains("beside")));
    }
}

/// A small call in the buffers of a large one that came before says what it says on a sampler of its own.
#[test]
fn nothing_of_an_earlier_call_is_told() {
    let values = batch();
    for gpu in GPUS.iter() {
        let source = upload(gpu, bytemuck::cast_slice(&values));
        let large = GpuLogits::packed(&source, Dtype::F32, ROWS, VOCAB);
        let small = GpuLogits::packed(&source, Dtype::F32, 2, 100);
        let lists = SamplingParams {
            seed: Some(9),
            n: 16,
            raw_logprobs: Some(200),
            processed_logprobs: Some(300),
            ..Default::default()
        };
        let [long, short] = [lists, SamplingParams { seed: Some(3), ..Default::default() }]
            .map(|params| Request::new(params).expect("in range"));
        let run = |sampler: &Sampler, logits: &GpuLogits<'_>, request: &Request, listed: u32| {
            let rows = vec![request.row(4); logits.rows];
            let params = LogprobsParams { top_logprobs: listed, ..Default::default() };
            let mut open = encoder(gpu);
            let samples =
                sampler.sample(&mut open, logits, &rows, &SampleBuffers::default()).expect("recorded");
            let records = sampler.logprobs(&mut open, logits, &params, &[]).expect("recorded");
            gpu.queue().submit([open.finish()]);
            (samples.wait().expect("samples"), records.wait().expect("records"))
        };
        let fresh = || gpu.sampler().with(gpu.sampler().options()).expect("a sampler");
        let expected = run(&fresh(), &small, &short, 1);
        let used = fresh();
        // A plan of its own is found again after eight calls, another's buffers after as many more.
        for _ in 0..12 {
            run(&used, &large, &long, 700);
        }
        for call in 0..24 {
            assert_eq!(run(&used, &small, &short, 1), expected, "call {call}");
        }
    }
}
