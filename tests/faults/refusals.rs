//! wgpu's own backend that does nothing: what it gives back is refused, never taken for an answer.

use std::time::{Duration, Instant};

use sortilege::{
    Dtype, Error, GpuLogits, GpuOutput, Kernels, LogprobsParams, Request, Result, SampleBuffers, Sampler,
    SamplerOptions, SamplingParams,
};
use wgpu::{Backends, BufferUsages, ErrorFilter, InstanceDescriptor};

const OPTIONS: SamplerOptions = SamplerOptions {
    deadline: Duration::from_secs(5),
    compile_deadline: Duration::from_secs(5),
    ..SamplerOptions::DEFAULT
};

/// The device and queue of wgpu's backend that does nothing.
fn device() -> (wgpu::Device, wgpu::Queue) {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::NOOP;
    descriptor.backend_options.noop.enable = true;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(Backends::NOOP));
    let adapter = adapters.into_iter().next().expect("it is always there");
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("a device")
}

fn buffer(device: &wgpu::Device, size: u64) -> wgpu::Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

/// What every call says.
fn outcomes(device: &wgpu::Device, queue: &wgpu::Queue) -> Vec<(&'static str, Result<()>)> {
    let start = Instant::now();
    let sampler = match Sampler::with_options(device, queue, OPTIONS) {
        Ok(sampler) => sampler,
        Err(error) => return vec![("new", Err(error))],
    };
    let [source, out, second] = [0; 3].map(|_| buffer(device, 16_000));
    let packed = GpuLogits::packed(&source, Dtype::F32, 2, 2000);
    let mut open = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let to = GpuOutput::new(&out);
    let request = Request::new(SamplingParams::default()).expect("sound");
    let rows = [request.row(0), request.row(1)];
    let mut outcomes = vec![
        ("log_softmax", sampler.log_softmax(&mut open, &packed, to)),
        ("top_k", sampler.top_k(&mut open, &packed, 1500, to, GpuOutput::new(&second))),
        ("row_max", sampler.row_max(&mut open, &packed, to)),
        ("uses_integers", sampler.uses_integers(Dtype::Bf16).map(drop)),
        ("self_check", sampler.self_check(Kernels::Logprobs, Dtype::F16)),
    ];
    for kernels in [Kernels::Logprobs, Kernels::LongLists, Kernels::Sample] {
        outcomes.push(("prepare", sampler.prepare(kernels, Dtype::F32)));
    }
    let logprobs = sampler.logprobs(&mut open, &packed, &LogprobsParams::default(), &[]);
    let samples = sampler.sample(&mut open, &packed, &rows, &SampleBuffers::default());
    let scope = device.push_error_scope(ErrorFilter::Validation);
    queue.submit([open.finish()]);
    drop(pollster::block_on(scope.pop()));
    outcomes.push(("logprobs", logprobs.and_then(|pending| pending.wait()).map(drop)));
    outcomes.push(("sample", samples.and_then(pollster::block_on).map(drop)));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    outcomes
}

#[test]
fn a_device_that_does_nothing_is_refused() {
    let (device, queue) = device();
    for (what, outcome) in outcomes(&device, &queue) {
        assert!(matches!(outcome, Err(Error::Mismatch(_))), "{what}: {outcome:?}");
    }
}
