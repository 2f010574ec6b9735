//! Devices that wgpu itself makes useless: its backend that does nothing, and budgets of memory that are used up.

use std::time::{Duration, Instant};

use sortilege::{
    Dtype, Error, GpuLogits, GpuOutput, Kernels, LogprobsParams, Request, Result, SampleBuffers, Sampler,
    SamplerOptions, SamplingParams,
};
use wgpu::{BackendOptions, Backends, BufferUsages, ErrorFilter, InstanceDescriptor, MemoryBudgetThresholds};

const OPTIONS: SamplerOptions =
    SamplerOptions { deadline: Duration::from_secs(5), timestamps: false, integers: false };

/// The device and queue of an instance's first adapter, if it gives one.
fn device(descriptor: InstanceDescriptor) -> Option<(wgpu::Device, wgpu::Queue)> {
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    let adapter = adapters.into_iter().next().expect("an adapter: scripts/test installs a software driver");
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).ok()
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
    outcomes.push(("sample", samples.and_then(|pending| pollster::block_on(pending)).map(drop)));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    outcomes
}

#[test]
fn a_device_that_does_nothing_is_refused() {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::NOOP;
    descriptor.backend_options = BackendOptions::default();
    descriptor.backend_options.noop.enable = true;
    let (device, queue) = device(descriptor).expect("wgpu's own");
    for (what, outcome) in outcomes(&device, &queue) {
        assert!(matches!(outcome, Err(Error::Mismatch(_))), "{what}: {outcome:?}");
    }
}

/// A budget of so many hundredths of what the driver gives.
fn budgeted(
    for_resource_creation: Option<u8>,
    for_device_loss: Option<u8>,
) -> Option<(wgpu::Device, wgpu::Queue)> {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN;
    descriptor.memory_budget_thresholds = MemoryBudgetThresholds { for_resource_creation, for_device_loss };
    device(descriptor)
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_over_its_budget_is_lost() {
    let (device, queue) = budgeted(None, Some(0)).expect("a device");
    for (what, outcome) in outcomes(&device, &queue) {
        let is_told = matches!(outcome, Err(Error::OutOfMemory { .. } | Error::DeviceLost { .. }));
        assert!(is_told, "{what}: {outcome:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_budget_that_is_used_up_is_out_of_memory() {
    // The least budget with which a device can be had: little is left of it.
    let (device, queue) = (1..100).find_map(|hundredths| budgeted(Some(hundredths), None)).expect("a device");
    let mut full = Vec::new();
    for bytes in [64 << 20, 4 << 20, 1 << 16, 1 << 10] {
        for _ in 0..400 {
            let scope = device.push_error_scope(ErrorFilter::OutOfMemory);
            full.push(buffer(&device, bytes));
            if pollster::block_on(scope.pop()).is_some() {
                break;
            }
        }
    }
    for (what, outcome) in outcomes(&device, &queue) {
        assert!(matches!(outcome, Err(Error::OutOfMemory { .. })), "{what}: {outcome:?}");
    }
}
