//! Device memory that logging takes, by the report of the device's allocator, after one step and after many; beside it what
//! a stored top-k array and a log-softmax of the whole batch take. `cargo run --release --example logging_cost [ADAPTER]`

#![expect(clippy::print_stdout, reason = "an example")]

use sortilege::device::{Gpu, adapters, find};
use sortilege::wgpu::{self, BufferUsages, PollType};
use sortilege::{DeviceLimits, Dtype, GpuLogits, LogprobsParams, Plan, Shape};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const VOCAB: usize = 128_256;
const STEPS: usize = 50;

fn main() -> Result<()> {
    let name = std::env::args().nth(1);
    println!("| rows | k | table | scratch | upload | records | staging | after 1 step | after {STEPS} |");
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for rows in [1, 16] {
        for k in [0, 5, 20, 1024] {
            // A device of its own, whose buffers no other case has made.
            let gpu = match &name {
                Some(name) => Gpu::open(find(adapters(false), name)?)?,
                None => Gpu::any()?,
            };
            measure(&gpu, rows, k)?;
        }
    }
    println!(
        "\nStored elsewhere, {STEPS} steps of 16 rows:\n\n| k | token and logprob of k tokens, each step kept | one log-softmax [16][{VOCAB}] f32 |"
    );
    println!("|---:|---:|---:|");
    for k in [5, 20, 1024] {
        println!("| {k} | {} | {} |", STEPS * 16 * k * 8, 16 * VOCAB * 4);
    }
    Ok(())
}

/// Runs steps of a batch, and prints the memory after the first and after the last.
fn measure(gpu: &Gpu, rows: usize, k: u32) -> Result<()> {
    let logits = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("logits"),
        size: (rows * VOCAB * 2) as u64,
        usage: BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let batch = GpuLogits::packed(&logits, Dtype::F16, rows, VOCAB);
    let params = LogprobsParams { top_logprobs: k, entropy: true, ..LogprobsParams::default() };
    let targets = vec![Some(7); rows];
    let mut after = Vec::new();
    for step in 0..STEPS {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let pending = gpu.sampler().logprobs(&mut encoder, &batch, &params, &targets)?;
        gpu.queue().submit([encoder.finish()]);
        assert_eq!(pending.wait()?.len(), rows);
        if step == 0 || step + 1 == STEPS {
            gpu.device().poll(PollType::wait_indefinitely())?;
            after.push(Memory::of(gpu)?);
        }
    }
    let [first, last] = [after[0], after[1]];
    assert_eq!(first.sum(), last.sum(), "memory grew with the steps");
    let shape = Shape { dtype: Dtype::F16, rows, vocab: VOCAB, row_stride: VOCAB, byte_offset: 0 };
    let cost = Plan::logprobs(&shape, k, &DeviceLimits::default())?.cost();
    assert!(cost.bytes_back <= first.records && cost.bytes_scratch <= first.scratch, "the plan tells less");
    let Memory { table, scratch, upload, records, staging } = first;
    let [first, last] = [first.sum(), last.sum()];
    println!("| {rows} | {k} | {table} | {scratch} | {upload} | {records} | {staging} | {first} | {last} |");
    Ok(())
}

/// Bytes of the sampler's buffers.
#[derive(Clone, Copy, Default)]
struct Memory {
    table: u64,
    scratch: u64,
    upload: u64,
    records: u64,
    staging: u64,
}

impl Memory {
    /// Those that the allocator tells, by their labels.
    fn of(gpu: &Gpu) -> Result<Self> {
        let report =
            gpu.device().generate_allocator_report().ok_or("this backend has no allocator report")?;
        let mut memory = Self::default();
        for allocation in report.allocations {
            match allocation.name.strip_prefix("sortilege ") {
                Some("table") => memory.table += allocation.size,
                Some("scratch") => memory.scratch += allocation.size,
                Some("records") => memory.records += allocation.size,
                Some("staging") => memory.staging += allocation.size,
                Some("upload") => memory.upload += allocation.size,
                _ => {}
            }
        }
        Ok(memory)
    }

    fn sum(self) -> u64 {
        self.table + self.scratch + self.upload + self.records + self.staging
    }
}
