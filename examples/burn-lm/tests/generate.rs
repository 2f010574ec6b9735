//! What is drawn where Burn's logits lie is what the CPU engine draws from their download: tokens and whole samples, over 200
//! steps that run ahead. And what goes wrong is told.
#![cfg(feature = "generate")]

use std::path::PathBuf;

use burn::prelude::*;
use burn::tensor::{DType, TensorData};
use burn_lm::engine::{Batch, Engine, Owner};
use burn_lm::place::Place;
use sortilege::wgpu::{self, BufferUsages};
use sortilege::{
    Cpu, Dtype, Engine as _, GpuLogits, GpuOutput, Logits, Request, Sample, SampleBuffers, SampleInputs,
    SamplingParams,
};

const STEPS: usize = 200;
const WINDOW: usize = 16;

fn weights() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "model", "model.safetensors"].iter().collect()
}

/// Eight requests: greedy ones among filters of several kinds.
fn requests() -> Vec<Request> {
    let plain =
        |row: u64| SamplingParams { seed: Some(row * 31), raw_logprobs: Some(4), ..Default::default() };
    let params = [
        SamplingParams { temperature: 0.0, ..plain(0) },
        SamplingParams { temperature: 0.8, top_p: 0.95, ..plain(1) },
        SamplingParams { top_k: 40, ..plain(2) },
        SamplingParams { temperature: 0.9, min_p: 0.05, typical_p: 0.95, ..plain(3) },
        plain(4),
        SamplingParams { temperature: 0.0, processed_logprobs: Some(3), ..plain(5) },
        SamplingParams { temperature: 1.4, top_n_sigma: 2.0, ..plain(6) },
        SamplingParams { xtc_threshold: 0.02, xtc_probability: 0.5, ..plain(7) },
    ];
    params.map(|params| Request::new(params).expect("in range")).into()
}

fn prompts(is_ragged: bool) -> Vec<Vec<u32>> {
    let length = |row: u32| if is_ragged { 3 + (row * 5) % 9 } else { 7 };
    (0..8).map(|row| (0..length(row)).map(|i| (row * 577 + i * 131) % 4096).collect()).collect()
}

/// All steps ahead, then all waits.
fn on_device(engine: &Engine, is_ragged: bool) -> (Vec<Vec<Sample>>, Vec<i32>) {
    let mut batch = Batch::new(engine, &prompts(is_ragged), requests(), STEPS).expect("a batch");
    let pending: Vec<_> = (0..STEPS).map(|_| engine.step(&mut batch).expect("recorded")).collect();
    let samples = pending.into_iter().map(|pending| pending.wait().expect("samples")).collect();
    (samples, batch.tokens.into_data().convert::<i32>().try_to_vec().expect("tokens"))
}

/// A step by the host: the logits are downloaded, and the drawn tokens uploaded.
fn on_host(engine: &Engine, sequences: &[Vec<u32>], requests: &[Request], step: u64) -> Vec<Sample> {
    let batch = Batch::new(engine, sequences, requests.to_vec(), 1).expect("a batch");
    let (first, positions) = batch.window(WINDOW).expect("a window");
    let data = engine.logits(&batch.tokens, first).into_data();
    let dtype = if data.dtype() == DType::F16 { Dtype::F16 } else { Dtype::F32 };
    let row_bytes = engine.vocab * dtype.bytes();
    let mut samples = Vec::new();
    for (row, (request, position)) in requests.iter().zip(positions).enumerate() {
        let bytes = &data.bytes()[(row * WINDOW + position) * row_bytes..][..row_bytes];
        let logits = Logits::new(bytes, dtype, 1, engine.vocab).expect("a row");
        samples
            .extend(Cpu.sample(&logits, &[request.row(step)], &SampleInputs::default()).expect("a sample"));
    }
    samples
}

#[test]
fn tokens_and_samples_are_those_of_a_download() {
    for owner in [Owner::Engine, Owner::Burn] {
        let mut engine = Engine::new(&weights(), owner, WINDOW).expect("an engine");
        for dtype in [DType::F32, DType::F16] {
            engine.dtype = dtype;
            for is_ragged in [false, true] {
                equal_to_download(&engine, is_ragged, &format!("{owner:?}, {dtype:?}, ragged {is_ragged}"));
            }
        }
    }
}

fn equal_to_download(engine: &Engine, is_ragged: bool, name: &str) {
    let start = std::time::Instant::now();
    let (samples, tokens) = on_device(engine, is_ragged);
    let on_device = start.elapsed();
    let requests = requests();
    let mut sequences = prompts(is_ragged);
    let capacity = tokens.len() / sequences.len();
    for (step, got) in samples.iter().enumerate() {
        let expected = on_host(engine, &sequences, &requests, step as u64);
        assert_eq!(*got, expected, "{name}, step {step}");
        for (row, sample) in expected.iter().enumerate() {
            let token = sample.draws[0].token;
            let place = row * capacity + sequences[row].len();
            assert_eq!(tokens[place] as u32, token, "{name}, step {step}, row {row} on the device");
            sequences[row].push(token);
        }
    }
    eprintln!(
        "{name}: {} tokens and samples equal; {on_device:.1?} on the device, {:.1?} in all",
        STEPS * 8,
        start.elapsed()
    );
}

/// The comparison sees one token that is another.
#[test]
fn another_seed_is_seen() {
    let engine = Engine::new(&weights(), Owner::Engine, WINDOW).expect("an engine");
    let requests = requests();
    let mut others = requests.clone();
    let params = SamplingParams { seed: Some(99), raw_logprobs: Some(4), ..Default::default() };
    others[4] = Request::new(params).expect("in range");
    let prompts = prompts(false);
    assert_ne!(on_host(&engine, &prompts, &requests, 0), on_host(&engine, &prompts, &others, 0));
}

#[test]
fn what_lies_wrong_is_told() {
    let engine = Engine::new(&weights(), Owner::Engine, WINDOW).expect("an engine");
    let place = |shape: [usize; 3]| {
        let zeros = vec![0f32; shape.iter().product()];
        let tensor = Tensor::<3>::from_data(TensorData::new(zeros, shape), &engine.device);
        Place::of_floats(tensor).expect("a place")
    };
    let logits = place([2, 3, 100]);
    let says = |outcome: anyhow::Result<()>, words: &str| {
        let message = format!("{:#}", outcome.expect_err(words));
        assert!(message.contains(words), "{message}");
    };
    says(logits.offsets(99, &[0, 1]).map(|_| ()), "rows of 100 logits, where the vocabulary has 99 tokens");
    says(logits.offsets(100, &[0]).map(|_| ()), "1 positions for 2 rows");
    says(logits.offsets(100, &[0, 3]).map(|_| ()), "position 3 of logits of 3 positions");
    says(logits.tokens().map(|_| ()), "tokens of F32, shape [2, 3, 100]");
    let turned = Tensor::<3>::zeros([2, 100, 3], &engine.device).swap_dims(1, 2);
    let turned = Place::of_floats(turned).expect("a place");
    says(turned.offsets(100, &[0, 0]).map(|_| ()), "a row has to lie in one piece");
    let far = vec![vec![1; 3], vec![1; 3 + WINDOW]];
    says(
        Batch::new(&engine, &far, requests()[..2].to_vec(), 1).map(|_| ()),
        "they may differ by less than the window of 16",
    );

    // What sortilege says of buffers that are not fit.
    let device = &engine.setup.device;
    let buffer = |device: &wgpu::Device, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4096,
            usage,
            mapped_at_creation: false,
        })
    };
    let (stranger, _) =
        pollster::block_on(engine.setup.adapter.request_device(&Default::default())).expect("opens");
    let both = BufferUsages::STORAGE | BufferUsages::COPY_DST;
    let (good, no_storage) = (buffer(device, both), buffer(device, BufferUsages::COPY_DST));
    let theirs = buffer(&stranger, both);
    let request = &requests()[1];
    let sample = |batch: &GpuLogits<'_>, tokens: &wgpu::Buffer| {
        let mut encoder = device.create_command_encoder(&Default::default());
        let buffers = SampleBuffers { tokens: Some(GpuOutput::new(tokens)), ..Default::default() };
        engine
            .sampler
            .sample(&mut encoder, batch, &[request.row(0)], &buffers)
            .map(drop)
            .map_err(anyhow::Error::new)
    };
    let packed = GpuLogits::packed(&good, Dtype::F32, 1, 1000);
    sample(&packed, &good).expect("all is well");
    says(sample(&GpuLogits { buffer: &no_storage, ..packed }, &good), "lacks the usage STORAGE");
    says(sample(&GpuLogits { vocab: 1025, ..packed }, &good), "the buffer has 4096");
    says(sample(&GpuLogits { row_offsets: &[25], ..packed }, &good), "does not lie in the buffer");
    says(
        sample(&GpuLogits { buffer: &theirs, ..packed }, &good),
        "the device rejected binding the buffers of the call",
    );
    says(sample(&packed, &theirs), "the device rejected copying to the engine's buffer");
}
