//! Sampling on devices: the same samples anywhere in a batch, in any chunk, in flight; tokens that stay on the device;
//! uploads of what changed alone; drafts.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;
mod drafts;
mod history;
mod long_lists;
mod long_rows;

use sortilege::device::{Gpu, adapters};
use sortilege::wgpu::{BufferUsages, Limits, PollType};
use sortilege::{
    Cpu, Dtype, Engine, Error, GpuInput, GpuLogits, GpuOutput, Kernels, Logits, LogprobsParams, Mask, Order,
    Request, Row, Sample, SampleBuffers, SampleInputs, SamplingParams,
};

use common::{buffer, encoder, gpus, read, test_each, upload};

const VOCAB: usize = 5000;

/// Logits with some order in them, different for each number.
fn row(number: usize) -> Vec<f32> {
    (0..VOCAB).map(|i| ((i * 7919 + number * 104_729) % 10_007) as f32 / 900.0 - 5.0).collect()
}

/// Requests that differ in everything.
fn requests(count: usize) -> Vec<Request> {
    (0..count)
        .map(|i| {
            let params = SamplingParams {
                temperature: [1.0, 0.7, 0.0, 1.3][i % 4],
                top_p: [1.0, 0.9, 0.5][i % 3],
                top_k: [0, 40, 2000, 0, 7][i % 5],
                min_p: [0.0, 0.02][i / 2 % 2],
                frequency_penalty: [0.0, 0.4][i / 3 % 2],
                order: if i % 7 == 6 { Order::Llama } else { Order::Vllm },
                seed: Some(i as u64 * 17),
                raw_logprobs: [None, Some(3), Some(20)][i % 3],
                processed_logprobs: [Some(2), None][i % 2],
                n: [1, 1, 3][i % 3],
                ..SamplingParams::default()
            };
            Request::resume(params, &[], &[i as u32 * 3]).expect("in range")
        })
        .collect()
}

/// A request alone, at every place of batches of 7 and 64, and shuffled: the same sample.
#[test]
fn a_request_draws_the_same_anywhere() {
    let requests = requests(16);
    let alone: Vec<Sample> = (0..16)
        .map(|i| {
            let logits = row(i);
            let logits = Logits::f32(&logits, 1, VOCAB).expect("a row");
            let rows = [requests[i].row(5).detached()];
            Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("a sample").remove(0)
        })
        .collect();
    for gpu in gpus() {
        for (count, shift) in [(1usize, 0usize), (7, 0), (7, 3), (64, 11)] {
            // Row i is request (i · 5 + shift) mod 16: shuffled, and several times in a large batch.
            let order: Vec<usize> = (0..count).map(|i| (i * 5 + shift) % 16).collect();
            let values: Vec<f32> = order.iter().flat_map(|&i| row(i)).collect();
            let logits = Logits::f32(&values, count, VOCAB).expect("a batch");
            let rows: Vec<Row<'_>> = order.iter().map(|&i| requests[i].row(5).detached()).collect();
            let on_cpu = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
            let on_gpu = gpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
            for (place, &i) in order.iter().enumerate() {
                assert_eq!(on_cpu[place], alone[i], "request {i} at {place} of {count} on the CPU");
                assert_eq!(
                    on_gpu[place],
                    alone[i],
                    "request {i} at {place} of {count} on {}",
                    gpu.info().name
                );
            }
        }
    }
}

/// Logprobs, seeds and masks that allow everything never change a token.
#[test]
fn what_is_asked_for_changes_no_token() {
    let values = row(1);
    let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
    let plain = SamplingParams { temperature: 0.9, top_p: 0.8, seed: Some(3), ..SamplingParams::default() };
    let asked =
        SamplingParams { raw_logprobs: Some(20), processed_logprobs: Some(20), n: 5, ..plain.clone() };
    let everything = vec![u32::MAX; VOCAB.div_ceil(32)];
    for gpu in gpus() {
        for position in 0..6 {
            let token = |params: &SamplingParams, mask| {
                let request = Request::new(params.clone()).expect("in range");
                let inputs = SampleInputs { mask, draft: None };
                gpu.sample(&logits, &[request.row(position)], &inputs).expect("a sample")[0].draws[0].token
            };
            let expected = token(&plain, None);
            assert_eq!(token(&asked, None), expected);
            assert_eq!(token(&asked, Some(&everything[..])), expected);
        }
    }
}

/// A device that allows small bindings cuts the batch into chunks; tokens go to the engine's buffer, and nowhere else.
#[test]
fn tokens_stay_on_the_device_under_any_chunking() {
    let requests = requests(23);
    let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(2).detached()).collect();
    let values: Vec<f32> = (0..23).flat_map(row).collect();
    let mut values_with_nan = values.clone();
    values_with_nan[4 * VOCAB + 17] = f32::NAN;
    let logits = Logits::f32(&values_with_nan, 23, VOCAB).expect("a batch");
    let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
    let mut devices = 0;
    for adapter in adapters(true).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        let limits = Limits { max_storage_buffer_binding_size: 100_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        let source = upload(&gpu, bytemuck::cast_slice(&values_with_nan));
        let tokens = buffer(&gpu, 4 * 30, BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
        gpu.queue().write_buffer(&tokens, 0, &[0xa5; 4 * 30]);
        let mut open = encoder(&gpu);
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput { buffer: &tokens, byte_offset: 12 }),
            ..SampleBuffers::default()
        };
        let batch = GpuLogits::packed(&source, Dtype::F32, 23, VOCAB);
        let pending = gpu.sampler().sample(&mut open, &batch, &rows, &buffers).expect("recorded");
        assert_eq!(
            pending.plan().cost().dispatches,
            2 * 6,
            "four rows of 20 000 bytes fit: {}",
            pending.plan()
        );
        gpu.queue().submit([open.finish()]);
        assert_eq!(pending.wait().expect("samples"), expected);
        let first = |sample: &Sample| sample.draws.first().map_or(u32::MAX, |drawn| drawn.token);
        let got = read(&gpu, &tokens);
        assert_eq!(got[3..26], expected.iter().map(first).collect::<Vec<_>>());
        assert_eq!(got[7], u32::MAX, "a row without a token");
        assert!(got[..3].iter().chain(&got[26..]).all(|&word| word == 0xa5a5_a5a5), "written beside");
        devices += 1;
    }
    assert!(devices > 0, "no adapter");
}

/// 64 steps without a wait give what 64 waits give, and unchanged requests are not uploaded again.
#[test]
fn steps_in_flight_upload_only_what_changed() {
    let requests = requests(8);
    for gpu in gpus() {
        let source = upload(&gpu, bytemuck::cast_slice(&(0..8).flat_map(row).collect::<Vec<_>>()));
        let batch = GpuLogits::packed(&source, Dtype::F32, 8, VOCAB);
        let step = |position: u64| {
            let rows: Vec<Row<'_>> =
                requests.iter().map(|request| request.row(position).detached()).collect();
            let mut open = encoder(&gpu);
            let pending =
                gpu.sampler().sample(&mut open, &batch, &rows, &SampleBuffers::default()).expect("recorded");
            gpu.queue().submit([open.finish()]);
            pending
        };
        let waited: Vec<Vec<Sample>> =
            (0..64).map(|position| step(position).wait().expect("samples")).collect();
        let in_flight: Vec<_> = (0..64).map(step).collect();
        for (pending, expected) in in_flight.into_iter().zip(&waited) {
            assert_eq!(pending.wait().expect("samples"), *expected);
        }
        // All 64 buffers of the ring hold these requests now: a step sends the positions and its own number.
        let before = gpu.sampler().traffic().bytes_uploaded;
        let pending = step(64);
        let most = pending.plan().cost().bytes_uploaded_unchanged;
        pending.wait().expect("samples");
        let sent = gpu.sampler().traffic().bytes_uploaded - before;
        assert!(sent > 0 && sent <= most, "{sent} bytes, at most {most}");
        assert!(sent * 10 < step(65).plan().cost().bytes_uploaded);
    }
}

/// Calls of two kinds in turns, and calls that nobody waits for, find what they left: nothing is uploaded anew.
#[test]
fn what_a_call_leaves_is_found_again() {
    let requests = requests(8);
    for gpu in gpus() {
        let source = upload(&gpu, bytemuck::cast_slice(&(0..8).flat_map(row).collect::<Vec<_>>()));
        let batch = GpuLogits::packed(&source, Dtype::F32, 8, VOCAB);
        let params = LogprobsParams { top_logprobs: 5, ..LogprobsParams::default() };
        let targets = [Some(7); 8];
        let step = |position: u64, is_forgotten: bool| {
            let rows: Vec<Row<'_>> =
                requests.iter().map(|request| request.row(position).detached()).collect();
            let mut open = encoder(&gpu);
            let samples =
                gpu.sampler().sample(&mut open, &batch, &rows, &SampleBuffers::default()).expect("recorded");
            let records = gpu.sampler().logprobs(&mut open, &batch, &params, &targets).expect("recorded");
            let most = samples.plan().cost().bytes_uploaded_unchanged
                + records.plan().cost().bytes_uploaded_unchanged;
            if is_forgotten {
                drop((samples, records));
                gpu.queue().submit([open.finish()]);
                gpu.device().poll(PollType::wait_indefinitely()).expect("done");
            } else {
                gpu.queue().submit([open.finish()]);
                samples.wait().expect("samples");
                records.wait().expect("records");
            }
            most
        };
        step(0, false);
        for position in 1..12 {
            let before = gpu.sampler().traffic().bytes_uploaded;
            let most = step(position, position % 3 == 1);
            let sent = gpu.sampler().traffic().bytes_uploaded - before;
            assert!(sent > 0 && sent <= most, "step {position}: {sent} bytes, at most {most}");
        }
    }
}

#[test]
fn every_adapter_passes_the_self_check() {
    for gpu in gpus() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            for kernels in [Kernels::Sample, Kernels::Histories] {
                gpu.sampler()
                    .self_check(kernels, dtype)
                    .unwrap_or_else(|error| panic!("{}, {kernels:?}: {error}", gpu.info().name));
            }
        }
    }
}

/// What cannot be asked for says why, and nothing is recorded.
#[test]
fn what_cannot_be_sampled_is_named() {
    let gpu = Gpu::any().expect("an adapter");
    let request = Request::new(SamplingParams::default()).expect("in range");
    let values = row(0);
    let source = upload(&gpu, bytemuck::cast_slice(&values));
    let plain = buffer(&gpu, 4, BufferUsages::COPY_SRC | BufferUsages::COPY_DST);
    let copy_only = buffer(&gpu, 4, BufferUsages::COPY_SRC);
    let one = [request.row(0)];
    let drafted = [Row { draft: &[1], ..request.row(0) }];
    let outside = [Row { draft: &[VOCAB as u32], ..request.row(0) }];
    let second_outside = [Row { draft: &[1, VOCAB as u32], ..request.row(0) }];
    let twice = [Row { draft: &[1, 2, 1], ..request.row(0) }];
    let siblings: Vec<u32> = (0..=Row::MAX_DRAFT_TOKENS as u32).collect();
    let many = [Row { draft: &siblings, ..request.row(0) }];
    let later = [Row { draft: &[1], block_place: Some(1), ..request.row(0) }];
    let far = [Row { draft: &[1], block_place: Some(65), ..request.row(0) }];
    let alone = [Row { draft: &[1], block_place: Some(0), ..request.row(0) }];
    let both = [Row { draft: &[1, 2], block_place: Some(0), ..request.row(0) }];
    let nothing = SampleBuffers::default;
    let cases: &[(&str, &[Row<'_>], SampleBuffers<'_>)] = &[
        ("0 rows of requests for 1 rows", &[], nothing()),
        ("give `draft`", &drafted, nothing()),
        ("draft token 5000 of row 0", &outside, nothing()),
        ("draft token 5000 of row 0", &second_outside, nothing()),
        ("draft token 1 of row 0 is there twice", &twice, nothing()),
        ("65 draft tokens, over the limit of 64: leave out the last 1", &many, nothing()),
        (
            "row 0 has place 1 in a block of draft tokens, but the row before it does not have place 0",
            &later,
            nothing(),
        ),
        ("row 0 has place 65 in a block of draft tokens, over the limit of 64", &far, nothing()),
        ("row 0 has 2 draft tokens and is in a block", &both, nothing()),
        ("row 0 is the last of its block and has draft token 1", &alone, nothing()),
        (
            "the grammar mask has 3 words",
            &one,
            SampleBuffers { mask: Some(Mask::Host(&[0; 3])), ..nothing() },
        ),
        (
            "lacks the usage STORAGE",
            &one,
            SampleBuffers { mask: Some(Mask::Gpu(GpuInput::new(&plain))), ..nothing() },
        ),
        (
            "does not fit a buffer of 20000",
            &drafted,
            SampleBuffers { draft: Some(GpuInput { buffer: &source, byte_offset: 4 }), ..nothing() },
        ),
        (
            "lacks the usage COPY_DST",
            &one,
            SampleBuffers { tokens: Some(GpuOutput::new(&copy_only)), ..nothing() },
        ),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(words, rows, buffers)| {
        let mut open = encoder(&gpu);
        let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
        let error = gpu.sampler().sample(&mut open, &batch, rows, buffers).expect_err(words);
        assert!(matches!(error.kind(), Error::Params(_) | Error::Logits(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    });
}
