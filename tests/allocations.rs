//! Allocations of a step in which nothing changed but the positions: as many as those of the same calls on wgpu alone.

use std::alloc::System;

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages, PollType};
use sortilege::{
    Dry, Dtype, GpuLogits, GpuOutput, Logprobs, LogprobsParams, Request, Row, Sample, SampleBuffers,
    SamplingParams,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "common/bare.rs"]
mod bare;
mod common;

use bare::BareStep;
use common::buffer;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const VOCAB: usize = 512;
const WARM_UP: u64 = 8;
const STEPS: u64 = 12;

/// Allocations of recording a step, and of reading its results: medians, for what wgpu keeps grows now and then.
fn allocations<T>(
    gpu: &Gpu,
    mut record: impl FnMut(&mut wgpu::CommandEncoder, u64) -> T,
    mut read: impl FnMut(T),
) -> [usize; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for step in 0..WARM_UP + STEPS {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let region = Region::new(ALLOCATOR);
        let pending = record(&mut encoder, step);
        let recorded = region.change().allocations;
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(PollType::wait_indefinitely()).expect("done");
        let region = Region::new(ALLOCATOR);
        read(pending);
        if step >= WARM_UP {
            found[0].push(recorded);
            found[1].push(region.change().allocations);
        }
    }
    found.map(|mut part| {
        part.sort_unstable();
        part[part.len() / 2]
    })
}

/// Those of the calls on wgpu, with uploads at so many places.
fn bare(gpu: &Gpu, record_bytes: u64, tokens: Option<u64>, uploads: u64) -> [usize; 2] {
    let step = BareStep::new(gpu, record_bytes, tokens);
    allocations(gpu, |encoder, _| step.record(gpu, encoder, uploads), |()| step.read(gpu))
}

fn requests(rows: usize) -> Vec<Request> {
    (0..rows)
        .map(|row| {
            let params = SamplingParams {
                top_p: 0.95,
                seed: Some(row as u64),
                raw_logprobs: Some(5),
                logprob_token_ids: vec![3, 500, 8],
                repetition_penalty: if row % 2 == 0 { 1.2 } else { 1.0 },
                dry: (row % 4 == 0).then(|| Dry { allowed_length: 1, ..Dry::default() }),
                bad_words: vec![vec![7, 8], vec![9]],
                min_tokens: 1000,
                stop_token_ids: vec![2],
                allowed_token_ids: (row % 3 == 0).then(|| vec![1, 2, 3, 500]),
                ..SamplingParams::default()
            };
            Request::with_prompt(params, &[1, 2, 3, 1, 2]).expect("in range")
        })
        .collect()
}

/// One test, since every thread's allocations count.
#[test]
fn a_step_allocates_what_wgpu_allocates() {
    let gpu = Gpu::any().expect("an adapter");
    one_more_allocation_is_seen(&gpu);
    two_buffers_in_turns(&gpu);
    rows_and_tokens_that_move(&gpu);
    let logits = buffer(&gpu, 64 * VOCAB as u64 * 4, BufferUsages::STORAGE);
    let tokens = buffer(&gpu, 64 * 4, BufferUsages::STORAGE | BufferUsages::COPY_DST);
    for rows in [1, 20] {
        let batch = GpuLogits::packed(&logits, Dtype::F32, rows, VOCAB);
        let params = LogprobsParams { top_logprobs: 20, ..LogprobsParams::default() };
        let targets = vec![Some(1); rows];
        let mut answers: Vec<Logprobs> = Vec::new();
        let ours = allocations(
            &gpu,
            |encoder, _| gpu.sampler().logprobs(encoder, &batch, &params, &targets).expect("recorded"),
            |pending| pending.wait_into(&mut answers).expect("records"),
        );
        assert_eq!(answers.len(), rows);
        let wgpus = bare(&gpu, rows as u64 * 200, None, 1);
        assert!(is_within(ours, wgpus), "logprobs of {rows} rows: {ours:?}, wgpu {wgpus:?}");

        let lists: Vec<&[u32]> = (0..rows).map(|row| &[5, 500, 7, 8, 9][row % 3..]).collect();
        let ours = allocations(
            &gpu,
            |encoder, _| {
                gpu.sampler().logprobs_of(encoder, &batch, &params, &targets, &lists).expect("recorded")
            },
            |pending| pending.wait_into(&mut answers).expect("records"),
        );
        assert_eq!(answers[0].distribution.token_logprobs.len(), 5);
        assert!(is_within(ours, wgpus), "given tokens of {rows} rows: {ours:?}, wgpu {wgpus:?}");

        let requests = requests(rows);
        let mut asked: Vec<Row<'_>> = Vec::new();
        let buffers = SampleBuffers { tokens: Some(GpuOutput::new(&tokens)), ..SampleBuffers::default() };
        let mut answers: Vec<Sample> = Vec::new();
        let ours = allocations(
            &gpu,
            |encoder, step| {
                asked.clear();
                asked.extend(requests.iter().map(|request| request.row(step).detached()));
                gpu.sampler().sample(encoder, &batch, &asked, &buffers).expect("recorded")
            },
            |pending| pending.wait_into(&mut answers).expect("samples"),
        );
        assert!(answers.len() == rows && answers[0].raw.is_some());
        assert_eq!(answers[0].processed.token_logprobs.len(), 3);
        let wgpus = bare(&gpu, rows as u64 * 200, Some(rows as u64), 2);
        assert!(is_within(ours, wgpus), "samples of {rows} rows: {ours:?}, wgpu {wgpus:?}");
    }
}

/// Two batches of one shape in two buffers, as of an engine that works on halves of a batch in turns: each call finds what
/// the last one of its buffer left.
fn two_buffers_in_turns(gpu: &Gpu) {
    const ROWS: usize = 3;
    let logits = [0, 1].map(|_| buffer(gpu, (ROWS * VOCAB * 4) as u64, BufferUsages::STORAGE));
    let requests = [requests(ROWS), requests(ROWS)];
    let mut asked: [Vec<Row<'_>>; 2] = [Vec::new(), Vec::new()];
    let mut answers: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    let ours = allocations(
        gpu,
        |encoder, step| {
            std::array::from_fn::<_, 2, _>(|half| {
                asked[half].clear();
                asked[half].extend(requests[half].iter().map(|request| request.row(step).detached()));
                let batch = GpuLogits::packed(&logits[half], Dtype::F32, ROWS, VOCAB);
                let buffers = SampleBuffers::default();
                gpu.sampler().sample(encoder, &batch, &asked[half], &buffers).expect("recorded")
            })
        },
        |pending| {
            for (pending, answers) in pending.into_iter().zip(&mut answers) {
                pending.wait_into(answers).expect("samples");
            }
        },
    );
    let halves = [0, 1].map(|_| BareStep::new(gpu, ROWS as u64 * 200, Some(ROWS as u64)));
    let wgpus = allocations(
        gpu,
        |encoder, _| halves.iter().for_each(|half| half.record(gpu, encoder, 2)),
        |()| halves.iter().for_each(|half| half.read(gpu)),
    );
    assert!(is_within(ours, wgpus), "{ours:?}, wgpu {wgpus:?}");
}

/// Prompts of several lengths, whose last positions and next tokens move on with every step: nothing is bound anew.
fn rows_and_tokens_that_move(gpu: &Gpu) {
    const ROWS: usize = 3;
    const CONTEXT: usize = 30;
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
    let logits = buffer(gpu, (ROWS * CONTEXT * VOCAB * 4) as u64, BufferUsages::STORAGE);
    let tokens = buffer(gpu, (ROWS * CONTEXT * 4) as u64, usage);
    let requests = requests(ROWS);
    let mut asked: Vec<Row<'_>> = Vec::new();
    let mut answers: Vec<Sample> = Vec::new();
    let ours = allocations(
        gpu,
        |encoder, step| {
            asked.clear();
            asked.extend(requests.iter().map(|request| request.row(step).detached()));
            let place = |row: usize| (row * CONTEXT + row) as u64 + step;
            let row_offsets: [u64; ROWS] = std::array::from_fn(|row| place(row) * VOCAB as u64);
            let token_offsets: [u64; ROWS] = std::array::from_fn(|row| place(row) + 1);
            let packed = GpuLogits::packed(&logits, Dtype::F32, ROWS, VOCAB);
            let batch = GpuLogits { row_offsets: &row_offsets, ..packed };
            let out = Some(GpuOutput::new(&tokens));
            let buffers =
                SampleBuffers { tokens: out, token_offsets: &token_offsets, ..SampleBuffers::default() };
            gpu.sampler().sample(encoder, &batch, &asked, &buffers).expect("recorded")
        },
        |pending| pending.wait_into(&mut answers).expect("samples"),
    );
    // A copy for each token, in place of one for all.
    let wgpus = bare(gpu, ROWS as u64 * 200, Some(ROWS as u64), 2);
    let wgpus = [wgpus[0] + ROWS, wgpus[1] + ROWS];
    assert!(is_within(ours, wgpus), "{ours:?}, wgpu {wgpus:?}");
}

fn is_within(ours: [usize; 2], wgpus: [usize; 2]) -> bool {
    ours.iter().zip(wgpus).all(|(ours, wgpus)| *ours <= wgpus)
}

/// The comparison sees a single allocation more.
fn one_more_allocation_is_seen(gpu: &Gpu) {
    let step = BareStep::new(gpu, 200, None);
    let record = |encoder: &mut wgpu::CommandEncoder, more: usize| {
        step.record(gpu, encoder, 1);
        drop(std::hint::black_box(vec![1u8; more]));
    };
    let plain = allocations(gpu, |encoder, _| record(encoder, 0), |()| step.read(gpu));
    let more = allocations(gpu, |encoder, _| record(encoder, 1), |()| step.read(gpu));
    assert_eq!([plain[0] + 1, plain[1]], more);
    assert!(is_within(plain, plain) && !is_within(more, plain));
}
