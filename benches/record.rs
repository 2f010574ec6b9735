//! `cargo bench`: records of one batch, on the CPU engine and on every adapter, checked against each other first.
//!
//! A software adapter's time says nothing about a GPU's; it is listed so that the same code path is measured everywhere.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sortilege::device::{Gpu, candidates};
use sortilege::{Logits, Params, cpu};

const ROWS: usize = 16;
const VOCAB: usize = 128_256;

fn record(criterion: &mut Criterion) {
    let values: Vec<f32> = (0..ROWS * VOCAB)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 2048.0 - 16.0)
        .collect();
    let logits = Logits::f32(&values, ROWS, VOCAB).expect("a batch");
    let params = Params { top_k: 20, ..Params::default() };
    let targets = [Some(17); ROWS];
    let expected = cpu::record(&logits, &params, &targets).expect("records");

    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Bytes(size_of_val(&values[..]) as u64));
    group.sample_size(20);
    group.bench_function(BenchmarkId::new("cpu", format!("[{ROWS}][{VOCAB}]")), |bencher| {
        bencher.iter(|| cpu::record(&logits, &params, &targets));
    });
    for candidate in candidates(false).into_iter().filter(|candidate| candidate.unfit.is_none()) {
        let id = candidate.id.clone();
        let gpu = Gpu::open(candidate).expect("opens");
        assert_eq!(gpu.record(&logits, &params, &targets).expect("records"), expected, "{id}");
        group.bench_function(BenchmarkId::new(id, format!("[{ROWS}][{VOCAB}]")), |bencher| {
            bencher.iter(|| gpu.record(&logits, &params, &targets));
        });
    }
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
