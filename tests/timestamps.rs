//! A sampler with timestamps says how long each dispatch took, and nothing else changes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages, CommandEncoder, Features};
use sortilege::{
    Cpu, Dtype, Engine, Error, GpuLogits, GpuOutput, Logits, LogprobsParams, Request, SampleBuffers,
    SampleInputs, Sampler, SamplerOptions, SamplingParams, Timing,
};

use common::{buffer, encoder, gpus, upload};

const TIMESTAMPS: SamplerOptions = SamplerOptions { timestamps: true, ..SamplerOptions::DEFAULT };

const ROWS: usize = 3;
const VOCAB: usize = 5000;

fn values() -> Vec<f32> {
    (0..ROWS * VOCAB).map(|i| ((i * 7919) % 10_007) as f32 / 700.0).collect()
}

/// Submits and waits, the way of an engine.
fn finish(gpu: &Gpu, encoder: CommandEncoder) {
    let done = Arc::new(AtomicBool::new(false));
    let told = done.clone();
    encoder.on_submitted_work_done(move || told.store(true, Ordering::Release));
    gpu.queue().submit([encoder.finish()]);
    gpu.wait_until(|| done.load(Ordering::Acquire)).expect("it gets done");
}

fn only(timings: Vec<Timing>) -> Timing {
    let [timing] = <[Timing; 1]>::try_from(timings).expect("one call");
    timing
}

/// The kernels are these, the copy follows where it can be measured, and the parts do not pass the whole.
fn check(timing: &Timing, kernels: &[&str], has_copy: bool, what: &str) {
    let mut names: Vec<&str> = kernels.to_vec();
    names.extend(has_copy.then_some("copy"));
    assert_eq!(timing.passes.iter().map(|pass| pass.name).collect::<Vec<_>>(), names, "{what}");
    let sum: Duration = timing.passes.iter().map(|pass| pass.time).sum();
    let rounding = Duration::from_nanos(names.len() as u64);
    assert!(timing.total > Duration::ZERO && sum <= timing.total + rounding, "{what}: {timing:?}");
    assert!(timing.total < Duration::from_secs(60), "{what}: {timing:?}");
}

#[test]
fn every_call_is_timed_and_its_bits_are_the_same() {
    let values = values();
    let logits = Logits::f32(&values, ROWS, VOCAB).expect("a batch");
    let params = LogprobsParams::default();
    let request = Request::new(SamplingParams { seed: Some(1), ..SamplingParams::default() }).expect("sound");
    for gpu in gpus() {
        let id = gpu.info().name.clone();
        let sampler = gpu.sampler().with(TIMESTAMPS);
        let features = gpu.device().features();
        if !features.contains(Features::TIMESTAMP_QUERY) {
            assert!(matches!(sampler, Err(Error::Limit(_))), "{id}: an adapter without timestamps");
            continue;
        }
        let sampler = sampler.expect("timestamps");
        let has_copy = features.contains(Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);
        let source = upload(&gpu, bytemuck::cast_slice(&values));
        let [out, more] = [(); 2].map(|()| buffer(&gpu, source.size(), BufferUsages::STORAGE));
        let batch = GpuLogits::packed(&source, Dtype::F32, ROWS, VOCAB);
        assert_eq!(sampler.take_timings(), [], "nothing yet");

        // An encoder that is dropped leaves no timing behind, and does not keep others back.
        drop(sampler.logprobs(&mut encoder(&gpu), &batch, &params, &[]).expect("recorded"));
        for _ in 0..2 {
            let mut open = encoder(&gpu);
            let pending = sampler.logprobs(&mut open, &batch, &params, &[]).expect("recorded");
            gpu.queue().submit([open.finish()]);
            assert_eq!(
                pending.wait().expect("records"),
                Cpu.logprobs(&logits, &params, &[]).expect("records")
            );
            check(&only(sampler.take_timings()), &["tile_stats", "row_logprobs"], has_copy, &id);
            assert_eq!(sampler.take_timings(), [], "each is told once");
        }

        let rows = [request.row(0); ROWS];
        let mut open = encoder(&gpu);
        let pending = sampler.sample(&mut open, &batch, &rows, &SampleBuffers::default()).expect("recorded");
        gpu.queue().submit([open.finish()]);
        let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
        assert_eq!(pending.wait().expect("samples"), expected);
        check(&only(sampler.take_timings()), &["tile_stats", "row_sample"], has_copy, &id);

        // Two calls in one encoder, the older first; nothing is copied.
        let mut open = encoder(&gpu);
        sampler.log_softmax(&mut open, &batch, GpuOutput::new(&out)).expect("recorded");
        sampler.row_max(&mut open, &batch, GpuOutput::new(&more)).expect("recorded");
        finish(&gpu, open);
        let timings = sampler.take_timings();
        assert_eq!(timings.len(), 2);
        check(&timings[0], &["tile_stats", "row_logprobs", "log_softmax"], false, &id);
        check(&timings[1], &["tile_stats", "row_logprobs", "row_scalar"], false, &id);

        assert_eq!(gpu.sampler().take_timings(), [], "without the option there are none");
    }
}

#[test]
fn a_device_without_timestamps_says_so() {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends.remove(wgpu::Backends::GL);
    let instance = wgpu::Instance::new(descriptor);
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
        .expect("an adapter: scripts/test installs a software driver");
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("a device");
    let error = Sampler::with_options(&device, &queue, TIMESTAMPS).expect_err("no such feature");
    assert!(error.to_string().contains("Features::TIMESTAMP_QUERY"), "{error}");
}
