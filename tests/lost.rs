//! A lost device: every method says so, whatever was under way, and a new one works.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sortilege::device::{Gpu, find};
use sortilege::wgpu::{self, BufferUsages};
use sortilege::{
    Cpu, Dtype, Engine, Error, GpuLogits, GpuOutput, Kernels, Logits, LogprobsParams, Request, Result,
    SampleBuffers, Sampler, SamplerOptions, SamplingParams,
};

use common::{buffer, encoder, gpus};

const ROWS: usize = 2;
const VOCAB: usize = 2000;
const OUT: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC);

/// One step: recorded, submitted, waited for.
fn step(gpu: &Gpu, number: u64, draws: bool) -> Result<()> {
    let logits = buffer(gpu, 16_000, BufferUsages::STORAGE);
    let packed = GpuLogits::packed(&logits, Dtype::F32, ROWS, VOCAB);
    let mut open = encoder(gpu);
    if draws {
        let request = Request::new(SamplingParams::default())?;
        let rows = [request.row(number), request.row(number + 1)];
        let pending = gpu.sampler().sample(&mut open, &packed, &rows, &SampleBuffers::default())?;
        gpu.queue().submit([open.finish()]);
        pending.wait().map(|samples| assert_eq!(samples.len(), ROWS))
    } else {
        let pending = gpu.sampler().logprobs(&mut open, &packed, &LogprobsParams::default(), &[])?;
        gpu.queue().submit([open.finish()]);
        let answers = if number.is_multiple_of(2) { pending.wait() } else { pollster::block_on(pending) };
        answers.map(|records| assert_eq!(records.len(), ROWS))
    }
}

/// A device of its own on the adapter of another, whose kernels work.
fn anew(gpu: &Gpu) -> Gpu {
    let list = sortilege::device::adapters(true);
    let id = list
        .iter()
        .find(|adapter| adapter.info.name == gpu.info().name && adapter.info.backend == gpu.info().backend);
    let id = id.expect("it was there").id.clone();
    Gpu::open(find(list, &id).expect("the same")).expect("opens, and passes its self-check")
}

fn is_lost<T: std::fmt::Debug>(what: &str, outcome: Result<T>) {
    assert!(matches!(outcome, Err(Error::DeviceLost { .. })), "{what}: {outcome:?}");
}

#[test]
fn every_method_says_that_the_device_is_lost() {
    for gpu in gpus() {
        step(&gpu, 0, false).expect("it works");
        gpu.device().destroy();
        let source = buffer(&gpu, 16_000, OUT);
        let (out, second) = (buffer(&gpu, 16_000, OUT), buffer(&gpu, 16_000, OUT));
        let packed = GpuLogits::packed(&source, Dtype::F32, ROWS, VOCAB);
        let to = GpuOutput::new(&out);
        let sampler = gpu.sampler();
        for kernels in [Kernels::Logprobs, Kernels::LongLists] {
            is_lost("prepare", sampler.prepare(kernels, Dtype::F32));
            is_lost("self_check", sampler.self_check(kernels, Dtype::F32));
        }
        for &dtype in Dtype::ALL {
            is_lost("uses_integers", sampler.uses_integers(dtype));
        }
        is_lost("new", Sampler::new(gpu.device(), gpu.queue()));
        is_lost("with", sampler.with(SamplerOptions::default()));
        is_lost("buffer", gpu.buffer(64, OUT));
        is_lost("upload", gpu.upload(&[0; 64]));
        let open = &mut encoder(&gpu);
        is_lost("log_softmax", sampler.log_softmax(open, &packed, to));
        is_lost("row_max", sampler.row_max(open, &packed, to));
        is_lost("log_sum_exp", sampler.log_sum_exp(open, &packed, to));
        is_lost("top_k", sampler.top_k(open, &packed, 3, to, GpuOutput::new(&second)));
        // What has everything it needs records without a word, and says it when it is waited for.
        is_lost("logprobs", step(&gpu, 0, false));
        is_lost("logprobs, awaited", step(&gpu, 1, false));
        is_lost("sample", step(&gpu, 0, true));
        let values = vec![0.5; ROWS * VOCAB];
        let logits = Logits::f32(&values, ROWS, VOCAB).expect("a batch");
        is_lost("the engine", gpu.logprobs(&logits, &LogprobsParams::default(), &[]));
        let again = anew(&gpu);
        let params = LogprobsParams::default();
        assert_eq!(again.logprobs(&logits, &params, &[]), Cpu.logprobs(&logits, &params, &[]));
    }
}

/// The device goes while eight threads have steps under way, at ten points of time, four times each. wgpu's `submit` asks
/// whether it is there before it waits for whoever takes its buffers away, and may then complain to the engine.
#[test]
fn a_device_lost_in_flight_is_an_error_for_everybody() {
    const THREADS: u32 = 8;
    for gpu in gpus().into_iter().take(1) {
        for point in (0..40u32).map(|turn| turn % 10) {
            let gpu = anew(&gpu);
            let complaints = Arc::new(Mutex::new(Vec::new()));
            let heard = complaints.clone();
            gpu.device().on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                heard.lock().expect("no panic").push(error.to_string());
            }));
            let done = AtomicU32::new(0);
            let start = Instant::now();
            std::thread::scope(|threads| {
                for thread in 0..THREADS {
                    let (gpu, done) = (&gpu, &done);
                    threads.spawn(move || {
                        let failed = (u64::from(thread)..).find_map(|number| {
                            let outcome = step(gpu, number, false);
                            done.fetch_add(u32::from(outcome.is_ok()), Ordering::Relaxed);
                            outcome.err()
                        });
                        is_lost::<()>("a step", Err(failed.expect("there is no last step")));
                    });
                }
                // Somewhere in the first or a later step of each.
                while done.load(Ordering::Relaxed) < THREADS * point
                    && start.elapsed() < Duration::from_secs(20)
                {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_micros(300) * point);
                gpu.device().destroy();
            });
            assert!(start.elapsed() < Duration::from_secs(30), "point {point}: {:?}", start.elapsed());
            for complaint in complaints.lock().expect("no panic").iter() {
                assert!(complaint.contains("has been destroyed"), "point {point}: {complaint}");
            }
        }
        step(&anew(&gpu), 0, true).expect("a new device works");
    }
}
