//! Sampling on devices: the same samples anywhere in a batch, in any chunk, in flight; tokens that stay on the device;
//! uploads of what changed alone; drafts.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use sortilege::cpu::{self, SampleInputs};
use sortilege::device::{Gpu, candidates};
use sortilege::wgpu::{self, BufferUsages, CommandEncoderDescriptor};
use sortilege::{
    Chain, Dtype, Error, GpuInput, GpuLogits, GpuOutput, Logits, Mask, Order, Request, Row, Sample,
    SampleBuffers, SamplingParams, Verification,
};

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
            let mut request = Request::new(params).expect("in range");
            request.accept_token(i as u32 * 3);
            request
        })
        .collect()
}

fn buffer(gpu: &Gpu, bytes: &[u8], usage: BufferUsages) -> wgpu::Buffer {
    let made = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes.len() as u64,
        usage: usage | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&made, 0, bytes);
    made
}

fn read(gpu: &Gpu, from: &wgpu::Buffer) -> Vec<u32> {
    let staging = buffer(gpu, &vec![0; from.size() as usize], BufferUsages::MAP_READ);
    let mut encoder = gpu.device().create_command_encoder(&CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(from, 0, &staging, 0, from.size());
    encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., |_| ());
    gpu.queue().submit([encoder.finish()]);
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device finishes");
    bytemuck::cast_slice(&staging.slice(..).get_mapped_range().expect("mapped")).to_vec()
}

/// A request alone, at every place of batches of 7 and 64, and shuffled: the same sample.
#[test]
fn a_request_draws_the_same_anywhere() {
    let requests = requests(16);
    let alone: Vec<Sample> = (0..16)
        .map(|i| {
            let logits = row(i);
            let logits = Logits::f32(&logits, 1, VOCAB).expect("a row");
            let rows = [requests[i].row(5)];
            cpu::sample(&logits, &rows, &SampleInputs::default()).expect("a sample").remove(0)
        })
        .collect();
    for gpu in common::gpus() {
        for (count, shift) in [(1usize, 0usize), (7, 0), (7, 3), (64, 11)] {
            // Row i is request (i · 5 + shift) mod 16: shuffled, and several times in a large batch.
            let order: Vec<usize> = (0..count).map(|i| (i * 5 + shift) % 16).collect();
            let values: Vec<f32> = order.iter().flat_map(|&i| row(i)).collect();
            let logits = Logits::f32(&values, count, VOCAB).expect("a batch");
            let rows: Vec<Row<'_>> = order.iter().map(|&i| requests[i].row(5)).collect();
            let on_cpu = cpu::sample(&logits, &rows, &SampleInputs::default()).expect("samples");
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
    for gpu in common::gpus() {
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
    let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(2)).collect();
    let values: Vec<f32> = (0..23).flat_map(row).collect();
    let mut values_with_nan = values.clone();
    values_with_nan[4 * VOCAB + 17] = f32::NAN;
    let logits = Logits::f32(&values_with_nan, 23, VOCAB).expect("a batch");
    let expected = cpu::sample(&logits, &rows, &SampleInputs::default()).expect("samples");
    let mut devices = 0;
    for candidate in candidates(true).into_iter().filter(|candidate| candidate.unfit.is_none()) {
        let limits = wgpu::Limits { max_storage_buffer_binding_size: 100_000, ..candidate.limits() };
        let gpu = Gpu::open_unchecked(candidate, limits).expect("opens with small bindings");
        let source = buffer(&gpu, bytemuck::cast_slice(&values_with_nan), BufferUsages::STORAGE);
        let tokens = buffer(&gpu, &[0xa5; 4 * 30], BufferUsages::COPY_SRC);
        let mut encoder = gpu.device().create_command_encoder(&CommandEncoderDescriptor::default());
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput { buffer: &tokens, byte_offset: 12 }),
            ..SampleBuffers::default()
        };
        let batch = GpuLogits::packed(&source, Dtype::F32, 23, VOCAB);
        let pending = gpu.sampler().sample(&mut encoder, &batch, &rows, &buffers).expect("recorded");
        assert_eq!(pending.plan().dispatches(), 2 * 6, "four rows of 20 000 bytes fit: {}", pending.plan());
        gpu.queue().submit([encoder.finish()]);
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
    for gpu in common::gpus() {
        let source = buffer(
            &gpu,
            bytemuck::cast_slice(&(0..8).flat_map(row).collect::<Vec<_>>()),
            BufferUsages::STORAGE,
        );
        let batch = GpuLogits::packed(&source, Dtype::F32, 8, VOCAB);
        let step = |position: u64| {
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(position)).collect();
            let mut encoder = gpu.device().create_command_encoder(&CommandEncoderDescriptor::default());
            let pending = gpu
                .sampler()
                .sample(&mut encoder, &batch, &rows, &SampleBuffers::default())
                .expect("recorded");
            gpu.queue().submit([encoder.finish()]);
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
        let most = pending.plan().bytes_uploaded_unchanged();
        pending.wait().expect("samples");
        let sent = gpu.sampler().traffic().bytes_uploaded - before;
        assert!(sent > 0 && sent <= most, "{sent} bytes, at most {most}");
        assert!(sent * 10 < step(65).plan().bytes_uploaded());
    }
}

/// Sample-and-match gives the tokens of plain decoding; rejection the distribution of the target.
#[test]
fn a_chain_is_verified_in_one_call() {
    let params = SamplingParams {
        temperature: 0.8,
        top_k: 4,
        frequency_penalty: 0.3,
        seed: Some(9),
        ..SamplingParams::default()
    };
    // Plain decoding, one token after the other; the logits of a position depend on its number alone.
    let mut plain = Request::new(params).expect("in range");
    let start = plain.clone();
    for position in 0..5u64 {
        let values = row(position as usize);
        let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
        let samples =
            cpu::sample(&logits, &[plain.row(position)], &SampleInputs::default()).expect("samples");
        plain.accept(&samples[0]);
    }
    let values: Vec<f32> = (0..5).flat_map(row).collect();
    let logits = Logits::f32(&values, 5, VOCAB).expect("a batch");
    for gpu in common::gpus() {
        for right in 0..=4usize {
            let mut draft = plain.output()[..4].to_vec();
            if right < 4 {
                draft[right] = (draft[right] + 1) % VOCAB as u32;
            }
            let chain = Chain::new(&start, 0, &draft, Verification::SampleAndMatch).expect("a chain");
            let samples = gpu.sample(&logits, &chain.rows(), &SampleInputs::default()).expect("samples");
            let verified = chain.verify(&samples);
            assert_eq!(verified.accepted, right);
            assert_eq!(verified.tokens(), plain.output()[..=right]);
        }
    }
}

/// Rejection: a draft with the target's own probabilities always stands, an impossible one never, and what comes out has
/// the target's distribution whatever the draft was.
#[test]
fn rejection_keeps_the_distribution() {
    const TOKENS: usize = 6;
    let target = [0.4f32, 0.3, 0.15, 0.1, 0.05, 0.0];
    let draft = [0.1f32, 0.2, 0.3, 0.1, 0.05, 0.25];
    let logits: Vec<f32> = target.iter().map(|p| p.ln()).collect();
    let positions = 40_000usize;
    let request =
        Request::new(SamplingParams { seed: Some(4), ..SamplingParams::default() }).expect("in range");
    let run = |draft: &[f32; TOKENS], token_of: &dyn Fn(usize) -> u32| -> Vec<Sample> {
        let values: Vec<f32> = logits.iter().copied().cycle().take(positions * TOKENS).collect();
        let drafts: Vec<f32> = draft.iter().copied().cycle().take(positions * TOKENS).collect();
        let rows: Vec<Row<'_>> =
            (0..positions).map(|i| Row { draft: Some(token_of(i)), ..request.row(i as u64) }).collect();
        let inputs = SampleInputs { mask: None, draft: Some(&drafts) };
        cpu::sample(&Logits::f32(&values, positions, TOKENS).expect("a batch"), &rows, &inputs)
            .expect("samples")
    };
    // Draft tokens drawn from the draft, by stratified points.
    let drafted = |i: usize| {
        let point = ((i as f64 + 0.5) * 0.618_033_988_749_895).fract();
        let mut below = 0.0;
        draft
            .iter()
            .position(|p| {
                below += f64::from(*p);
                point < below
            })
            .unwrap_or(TOKENS - 1) as u32
    };
    let samples = run(&draft, &drafted);
    let count = |token: usize| samples.iter().filter(|s| s.draws[0].token == token as u32).count() as f64;
    for (token, p) in target.iter().enumerate() {
        let expected = f64::from(*p) * positions as f64;
        // Five standard deviations of a binomial count; the draft's own shares lie hundreds away.
        let allowed = 5.0 * (expected * (1.0 - f64::from(*p))).sqrt();
        assert!((count(token) - expected).abs() <= allowed, "token {token}: {} of {expected}", count(token));
    }
    let accepted = samples.iter().filter(|sample| sample.accepted == Some(true)).count() as f64;
    let expected: f64 = target.iter().zip(&draft).map(|(p, q)| f64::from(p.min(*q))).sum();
    assert!((accepted / positions as f64 - expected).abs() < 0.01, "{accepted} accepted");
    assert!(
        run(&target, &drafted_of_target)
            .iter()
            .zip(0..)
            .all(|(sample, i)| { sample.accepted == Some(target[drafted_of_target(i) as usize] > 0.0) })
    );
    // Probabilities that sum to far more than one leave nothing: the draw falls back to the target.
    let greedy_draft = run(&[1.0; TOKENS], &|_| 5);
    assert!(greedy_draft.iter().all(|s| s.accepted == Some(false) && s.draws[0].token < 5));
}

/// A draft model that samples with the same seed and positions, as engines do: its numbers are not the residual's.
#[test]
fn a_draft_of_the_same_seed_changes_no_distribution() {
    let target = [0.4f32, 0.1, 0.25, 0.25];
    let draft = [0.5f32, 0.5, 0.0, 0.0];
    let positions = 20_000usize;
    let request =
        Request::new(SamplingParams { seed: Some(8), ..SamplingParams::default() }).expect("in range");
    let batch = |p: &[f32; 4]| -> Vec<f32> { p.iter().map(|p| p.ln()).cycle().take(4 * positions).collect() };
    let sample = |values: &[f32], rows: &[Row<'_>], draft: Option<&[f32]>| {
        let logits = Logits::f32(values, positions, 4).expect("a batch");
        cpu::sample(&logits, rows, &SampleInputs { mask: None, draft }).expect("samples")
    };
    let plain: Vec<Row<'_>> = (0..positions).map(|i| request.row(i as u64)).collect();
    let drafted = sample(&batch(&draft), &plain, None);
    let rows: Vec<Row<'_>> = plain
        .iter()
        .zip(&drafted)
        .map(|(row, sample)| Row { draft: Some(sample.draws[0].token), ..*row })
        .collect();
    let probabilities: Vec<f32> = draft.iter().copied().cycle().take(4 * positions).collect();
    let samples = sample(&batch(&target), &rows, Some(&probabilities));
    for (token, p) in target.iter().enumerate() {
        let count = samples.iter().filter(|s| s.draws[0].token == token as u32).count() as f64;
        let expected = f64::from(*p) * positions as f64;
        // Five standard deviations; with the draw's own numbers, tokens 2 and 3 are off by 3000.
        let allowed = 5.0 * (expected * (1.0 - f64::from(*p))).sqrt();
        assert!((count - expected).abs() <= allowed, "token {token}: {count} of {expected}");
    }
}

fn drafted_of_target(i: usize) -> u32 {
    (i % 6) as u32
}

#[test]
fn every_adapter_passes_the_self_check() {
    for gpu in common::gpus() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            gpu.sampler()
                .self_check_sampling(dtype)
                .unwrap_or_else(|error| panic!("{}: {error}", gpu.info().name));
        }
    }
}

/// What cannot be asked for says why, and nothing is recorded.
#[test]
fn what_cannot_be_sampled_is_named() {
    let gpu = Gpu::any().expect("an adapter");
    let request = Request::new(SamplingParams::default()).expect("in range");
    let values = row(0);
    let source = buffer(&gpu, bytemuck::cast_slice(&values), BufferUsages::STORAGE);
    let plain = buffer(&gpu, &[0; 4], BufferUsages::COPY_SRC);
    let copy_only = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4,
        usage: BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let one = [request.row(0)];
    let drafted = [Row { draft: Some(1), ..request.row(0) }];
    let outside = [Row { draft: Some(VOCAB as u32), ..request.row(0) }];
    let nothing = SampleBuffers::default;
    let cases: [(&str, &[Row<'_>], SampleBuffers<'_>); 7] = [
        ("0 rows of requests for 1 rows", &[], nothing()),
        ("give `draft`", &drafted, nothing()),
        ("draft token 5000 of row 0", &outside, nothing()),
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
    for (words, rows, buffers) in cases {
        let mut encoder = gpu.device().create_command_encoder(&CommandEncoderDescriptor::default());
        let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
        let error = gpu.sampler().sample(&mut encoder, &batch, rows, &buffers).expect_err(words);
        assert!(matches!(error, Error::Params(_) | Error::Logits(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
