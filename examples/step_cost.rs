//! What a step costs on the host, on the first adapter: time, allocations and uploaded bytes of recording it, time and
//! allocations of reading its results, after a warm-up; beside them the allocations of the same calls on wgpu alone. Then
//! what the history of a request costs, from 1000 tokens to 131 072. `cargo run --release --example step_cost`

#![expect(clippy::print_stdout, reason = "an example")]

use std::alloc::System;
use std::time::{Duration, Instant};

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages, PollType};
use sortilege::{
    Answer, Dry, Dtype, GpuLogits, GpuOutput, LogprobsParams, Pending, Request, Row, SampleBuffers,
    SamplingParams,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../tests/common/bare.rs"]
mod bare;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const VOCAB: usize = 4096; // the device's work hardly matters here
const WARM_UP: u64 = 20;
const STEPS: u64 = 100;

fn main() -> Result<()> {
    let gpu = Gpu::any()?;
    println!("host side of a step, {} ({})\n", gpu.info().name, gpu.info().backend);
    println!("| call | rows | record | uploaded | allocations | wgpu's | read | allocations | wgpu's |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for rows in [1, 8, 64] {
        batch(&gpu, rows)?;
    }
    let of_ngrams = |size| SamplingParams { no_repeat_ngram_size: size, ..SamplingParams::default() };
    for (what, params) in [
        ("penalties, DRY, bad words and early stops", penalised()),
        ("no token twice", of_ngrams(1)),
        ("no three tokens twice", of_ngrams(3)),
    ] {
        println!("\none row with {what}, one token accepted per step\n");
        println!("| history | new request | accept | record | uploaded |");
        println!("|---:|---:|---:|---:|---:|");
        for tokens in [1 << 10, 1 << 13, 1 << 15, 1 << 17] {
            history(&gpu, tokens, params.clone())?;
        }
    }
    Ok(())
}

fn buffer(gpu: &Gpu, size: usize, usage: BufferUsages) -> wgpu::Buffer {
    let size = size as u64;
    gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// Steps in which nothing changes but the positions.
fn batch(gpu: &Gpu, rows: usize) -> Result<()> {
    let logits = buffer(gpu, rows * VOCAB * 4, BufferUsages::STORAGE);
    let tokens = buffer(gpu, rows * 4, BufferUsages::STORAGE | BufferUsages::COPY_DST);
    let batch = GpuLogits::packed(&logits, Dtype::F32, rows, VOCAB);
    let params = LogprobsParams { top_logprobs: 20, ..LogprobsParams::default() };
    let targets = vec![Some(1); rows];
    let ours = steps(gpu, |encoder, _| gpu.sampler().logprobs(encoder, &batch, &params, &targets))?;
    report("logprobs, top 20, targets", rows, &ours, &bare_steps(gpu, rows, false)?);

    let params =
        SamplingParams { top_p: 0.95, seed: Some(1), raw_logprobs: Some(5), ..SamplingParams::default() };
    let requests = vec![Request::new(params)?; rows];
    let buffers = SampleBuffers { tokens: Some(GpuOutput::new(&tokens)), ..SampleBuffers::default() };
    let mut asked: Vec<Row<'_>> = Vec::new();
    let ours = steps(gpu, |encoder, step| {
        asked.clear();
        asked.extend(requests.iter().map(|request| request.row(step)));
        gpu.sampler().sample(encoder, &batch, &asked, &buffers)
    })?;
    report("sample, top-p, 5 raw logprobs", rows, &ours, &bare_steps(gpu, rows, true)?);
    Ok(())
}

/// Cost of a part of a step.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    allocations: usize,
    uploaded: u64,
}

/// Costs of recording and of reading: medians over the steps.
fn steps<R: Answer>(
    gpu: &Gpu,
    mut record: impl FnMut(&mut wgpu::CommandEncoder, u64) -> sortilege::Result<Pending<R>>,
) -> Result<[Cost; 2]> {
    let mut rows = Vec::new();
    let parts = (0..WARM_UP + STEPS).map(|step| {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (pending, recorded) = measured(gpu, || record(&mut encoder, step));
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(PollType::wait_indefinitely())?;
        let (done, read) = measured(gpu, || pending?.wait_into(&mut rows));
        done?;
        Ok([recorded, read])
    });
    medians(parts)
}

/// Those of the same calls on wgpu alone.
fn bare_steps(gpu: &Gpu, rows: usize, with_tokens: bool) -> Result<[Cost; 2]> {
    let step = bare::BareStep::new(gpu, rows as u64 * 200, with_tokens.then_some(rows as u64));
    let uploads = 1 + u64::from(with_tokens);
    medians((0..WARM_UP + STEPS).map(|_| {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let ((), recorded) = measured(gpu, || step.record(gpu, &mut encoder, uploads));
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(PollType::wait_indefinitely())?;
        let ((), read) = measured(gpu, || step.read(gpu));
        Ok([recorded, read])
    }))
}

fn medians(parts: impl Iterator<Item = Result<[Cost; 2]>>) -> Result<[Cost; 2]> {
    let parts: Vec<[Cost; 2]> = parts.skip(usize::try_from(WARM_UP)?).collect::<Result<_>>()?;
    Ok(std::array::from_fn(|part| {
        let costs = || parts.iter().map(|costs| costs[part]);
        Cost {
            time: median(costs().map(|cost| cost.time)),
            allocations: median(costs().map(|cost| cost.allocations)),
            uploaded: median(costs().map(|cost| cost.uploaded)),
        }
    }))
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn measured<T>(gpu: &Gpu, work: impl FnOnce() -> T) -> (T, Cost) {
    let before = gpu.sampler().traffic().bytes_uploaded;
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    let done = work();
    let (time, allocations) = (start.elapsed(), region.change().allocations);
    let uploaded = gpu.sampler().traffic().bytes_uploaded - before;
    (done, Cost { time, allocations, uploaded })
}

fn report(name: &str, rows: usize, [recorded, read]: &[Cost; 2], [wgpu_recorded, wgpu_read]: &[Cost; 2]) {
    println!(
        "| {name} | {rows} | {:.1} µs | {} B | {} | {} | {:.1} µs | {} | {} |",
        recorded.time.as_secs_f64() * 1e6,
        recorded.uploaded,
        recorded.allocations,
        wgpu_recorded.allocations,
        read.time.as_secs_f64() * 1e6,
        read.allocations,
        wgpu_read.allocations,
    );
}

/// Words of a text: of a large vocabulary, the first ones often (Zipf's law).
fn words(count: usize) -> impl Iterator<Item = u32> {
    const WORDS: f64 = 32_000.0;
    (0..count).map(|i| {
        let point = (i as f64 * 0.754_877_666_246_692_7 + 0.5).fract();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 32 000")]
        let word = (WORDS.powf(point) - 1.0) as u32;
        word
    })
}

fn penalised() -> SamplingParams {
    SamplingParams {
        repetition_penalty: 1.1,
        presence_penalty: 0.1,
        frequency_penalty: 0.1,
        dry: Some(Dry::default()),
        bad_words: (0..1000).map(|word| vec![word, word + 1]).collect(),
        min_tokens: 1000,
        stop_token_ids: vec![2],
        ..SamplingParams::default()
    }
}

/// Steps of a request with a long history.
fn history(gpu: &Gpu, tokens: usize, params: SamplingParams) -> Result<()> {
    const VOCAB: usize = 32_768;
    let params = SamplingParams { seed: Some(1), ..params };
    let prompt: Vec<u32> = words(tokens).collect();
    let logits = buffer(gpu, VOCAB * 4, BufferUsages::STORAGE);
    let batch = GpuLogits::packed(&logits, Dtype::F32, 1, VOCAB);
    let (request, new) = measured(gpu, || Request::with_prompt(params, &prompt));
    let mut request = request?;
    let mut costs = Vec::new();
    let mut rows = Vec::new();
    for (step, token) in (0..).zip(words(tokens + 60).skip(tokens)) {
        let ((), accepted) = measured(gpu, || request.accept_token(token));
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let row = [request.row(step)];
        let (pending, recorded) =
            measured(gpu, || gpu.sampler().sample(&mut encoder, &batch, &row, &SampleBuffers::default()));
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(PollType::wait_indefinitely())?;
        pending?.wait_into(&mut rows)?;
        costs.push([accepted, recorded]);
    }
    let costs = &costs[10..];
    println!(
        "| {tokens} | {:.2} ms | {:.2} µs | {:.1} µs | {} B |",
        new.time.as_secs_f64() * 1e3,
        median(costs.iter().map(|cost| cost[0].time)).as_secs_f64() * 1e6,
        median(costs.iter().map(|cost| cost[1].time)).as_secs_f64() * 1e6,
        median(costs.iter().map(|cost| cost[1].uploaded)),
    );
    Ok(())
}
