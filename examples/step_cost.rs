//! What a step costs on the host: time and allocations of recording it, submitting it and decoding its results, after a
//! warm-up, on the first adapter. `cargo run --release --example step_cost`

#![expect(clippy::print_stdout, reason = "an example")]

use std::alloc::System;
use std::time::{Duration, Instant};

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages};
use sortilege::{
    Answer, Dtype, GpuLogits, GpuOutput, LogprobsParams, Pending, Request, Row, SampleBuffers, SamplingParams,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const VOCAB: usize = 4096; // the device's work hardly matters here
const WARM_UP: u64 = 20;
const STEPS: u64 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = Gpu::any()?;
    println!("host side of a step, {} ({})\n", gpu.info().name, gpu.info().backend);
    println!("| call | rows | record | allocations | submit | allocations | decode | allocations |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for rows in [1, 8, 64] {
        let make = |size: usize, usage| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: size as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let logits = make(rows * VOCAB * 4, BufferUsages::STORAGE);
        let tokens = make(rows * 4, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        let batch = GpuLogits::packed(&logits, Dtype::F32, rows, VOCAB);
        let params = LogprobsParams { top_logprobs: 20, ..LogprobsParams::default() };
        let targets = vec![Some(1); rows];
        report("record, top 20, targets", rows, &gpu, |encoder, _| {
            gpu.sampler().logprobs(encoder, &batch, &params, &targets)
        })?;

        let request =
            SamplingParams { top_p: 0.95, seed: Some(1), raw_logprobs: Some(5), ..SamplingParams::default() };
        let requests: Vec<Request> =
            (0..rows).map(|_| Request::new(request.clone())).collect::<Result<_, _>>()?;
        let buffers = SampleBuffers { tokens: Some(GpuOutput::new(&tokens)), ..SampleBuffers::default() };
        report("sample, top-p, 5 raw logprobs", rows, &gpu, |encoder, step| {
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(step)).collect();
            gpu.sampler().sample(encoder, &batch, &rows, &buffers)
        })?;
    }
    Ok(())
}

/// Medians over the steps.
fn report<R: Answer>(
    name: &str,
    rows: usize,
    gpu: &Gpu,
    mut call: impl FnMut(&mut wgpu::CommandEncoder, u64) -> sortilege::Result<Pending<R>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut parts: [Vec<(Duration, usize)>; 3] = Default::default();
    for step in 0..WARM_UP + STEPS {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (pending, record) = measured(|| call(&mut encoder, step));
        let pending = pending?;
        let (_, submit) = measured(|| gpu.queue().submit([encoder.finish()]));
        while !pending.is_ready() {
            std::thread::yield_now();
        }
        let (results, decode) = measured(|| pending.wait());
        drop(results?);
        if step >= WARM_UP {
            for (part, cost) in parts.iter_mut().zip([record, submit, decode]) {
                part.push(cost);
            }
        }
    }
    print!("| {name} | {rows}");
    for part in &mut parts {
        part.sort_unstable();
        let (time, _) = part[part.len() / 2];
        part.sort_unstable_by_key(|(_, allocations)| *allocations);
        let (_, allocations) = part[part.len() / 2];
        print!(" | {:.1} µs | {allocations}", time.as_secs_f64() * 1e6);
    }
    println!(" |");
    Ok(())
}

fn measured<T>(work: impl FnOnce() -> T) -> (T, (Duration, usize)) {
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    let done = work();
    let time = start.elapsed();
    (done, (time, region.change().allocations))
}
