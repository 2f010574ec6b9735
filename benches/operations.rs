//! `cargo bench`: every operation on one batch, on the CPU engine and on every adapter, checked against each other
//! first.
//!
//! A software adapter's time says nothing about a GPU's; it is listed so that the same code path is measured
//! everywhere. Each call uploads the logits and reads everything back: `sortilege bench` measures the device alone.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sortilege::device::{Gpu, adapters};
use sortilege::{Cpu, Engine, Logits, LogprobsParams, Request, Result, Row, SampleInputs, SamplingParams};

const ROWS: usize = 16;
const VOCAB: usize = 128_256;
const K: u32 = 20;

fn operations(criterion: &mut Criterion) {
    let values: Vec<f32> = (0..ROWS * VOCAB)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 2048.0 - 16.0)
        .collect();
    let logits = Logits::f32(&values, ROWS, VOCAB).expect("a batch");
    let params = LogprobsParams { top_logprobs: K, ..LogprobsParams::default() };
    let targets = [Some(17); ROWS];
    let request = Request::new(SamplingParams { seed: Some(1), ..SamplingParams::default() }).expect("sound");
    let rows: [Row<'_>; ROWS] = std::array::from_fn(|row| request.row(row as u64));
    let inputs = SampleInputs::default();
    let gpus: Vec<(String, Gpu)> = adapters(false)
        .into_iter()
        .filter(|adapter| adapter.unfit.is_none())
        .map(|adapter| (adapter.id.clone(), Gpu::open(adapter).expect("opens")))
        .collect();

    let mut bench = Bench { criterion, gpus: &gpus };
    bench.run(
        "record",
        || Cpu.logprobs(&logits, &params, &targets),
        |gpu| gpu.logprobs(&logits, &params, &targets),
    );
    bench.run("sample", || Cpu.sample(&logits, &rows, &inputs), |gpu| gpu.sample(&logits, &rows, &inputs));
    bench.run("log_softmax", || Cpu.log_softmax(&logits), |gpu| gpu.log_softmax(&logits));
    let reversed: Vec<f32> = values.iter().rev().copied().collect();
    let second = Logits::f32(&reversed, ROWS, VOCAB).expect("a batch");
    bench.run("divergence", || Cpu.divergence(&logits, &second), |gpu| gpu.divergence(&logits, &second));
    bench.run("top_k", || Cpu.top_k(&logits, K), |gpu| gpu.top_k(&logits, K));
}

struct Bench<'a> {
    criterion: &'a mut Criterion,
    gpus: &'a [(String, Gpu)],
}

impl Bench<'_> {
    /// Measures an operation on the CPU engine, and on each device once it has given the same.
    fn run<R: PartialEq>(
        &mut self,
        name: &str,
        on_cpu: impl Fn() -> Result<R>,
        on_gpu: impl Fn(&Gpu) -> Result<R>,
    ) {
        let shape = format!("[{ROWS}][{VOCAB}]");
        let expected = on_cpu().expect("results");
        let mut group = self.criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes((ROWS * VOCAB * 4) as u64));
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("cpu", &shape), |bencher| bencher.iter(&on_cpu));
        for (id, gpu) in self.gpus {
            assert!(on_gpu(gpu).expect("results") == expected, "{name} on {id}");
            group.bench_function(BenchmarkId::new(id, &shape), |bencher| bencher.iter(|| on_gpu(gpu)));
        }
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
