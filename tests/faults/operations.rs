//! What is done on a device, and compared with the CPU engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::Duration;

use sortilege::device::{Adapter, Gpu, adapters, find};
use sortilege::{
    Cpu, Divergence, Dtype, Engine, Error, GpuLogits, Kernels, Logits, Logprobs, LogprobsParams, Pending,
    Request, Result, Sample, SampleInputs, Sampler, SamplerOptions, SamplingParams,
};
use wgpu::{BufferUsages, CommandEncoderDescriptor, ErrorFilter};

pub(crate) const OPTIONS: SamplerOptions = SamplerOptions {
    // Four processes compile at once, from the driver's cache.
    deadline: Duration::from_secs(20),
    // And without it.
    compile_deadline: Duration::from_secs(100),
    ..SamplerOptions::DEFAULT
};
const ROWS: usize = 2;
const VOCAB: usize = 2000;
const LONG: u32 = 1500;

/// Something asked of a device, whose answer is checked.
pub(crate) type Operation = fn(&Gpu) -> Result<()>;

pub(crate) const OPERATIONS: &[(&str, Operation)] = &[
    ("open", |_| Gpu::open(adapter()).map(drop)),
    ("Sampler::new", |gpu| Sampler::with_options(gpu.device(), gpu.queue(), OPTIONS).map(drop)),
    ("prepare", |gpu| {
        let sampler = Sampler::with_options(gpu.device(), gpu.queue(), OPTIONS)?;
        [Kernels::Logprobs, Kernels::LongLists, Kernels::Divergence]
            .into_iter()
            .try_for_each(|kernels| sampler.prepare(kernels, Dtype::F32))
    }),
    ("self_check", |gpu| gpu.sampler().self_check(Kernels::Logprobs, Dtype::F32)),
    ("logprobs", step),
    ("logprobs awaited", |gpu| logprobs_of_an_engine(gpu, pollster::block_on)),
    ("logprobs polled", |gpu| {
        logprobs_of_an_engine(gpu, |pending| {
            while !pending.is_ready() {}
            pending.wait()
        })
    }),
    ("sample", sample),
    ("log_softmax", |gpu| {
        let got = gpu.log_softmax(&logits())?;
        assert!(got == EXPECTED.log_softmax, "wrong");
        Ok(())
    }),
    ("divergence", |gpu| {
        let got = gpu.divergence(&logits(), &reversed())?;
        assert!(got == EXPECTED.divergence, "wrong");
        Ok(())
    }),
    ("long top_k", |gpu| {
        let got = gpu.top_k(&logits(), LONG)?;
        assert!(got == EXPECTED.top_k, "wrong");
        Ok(())
    }),
];

/// The CPU engine's answers.
struct Expected {
    logprobs: Vec<Logprobs>,
    samples: Vec<Sample>,
    log_softmax: Vec<f32>,
    top_k: (Vec<f32>, Vec<u32>),
    divergence: Vec<Divergence>,
}

static VALUES: LazyLock<Vec<f32>> =
    LazyLock::new(|| (0..ROWS * VOCAB).map(|i| (i * 7919 % 4001) as f32 / 256.0 - 8.0).collect());

static EXPECTED: LazyLock<Expected> = LazyLock::new(|| Expected {
    logprobs: Cpu.logprobs(&logits(), &LogprobsParams::default(), &[]).expect("answers"),
    samples: samples(&Cpu).expect("answers"),
    log_softmax: Cpu.log_softmax(&logits()).expect("answers"),
    top_k: Cpu.top_k(&logits(), LONG).expect("answers"),
    divergence: Cpu.divergence(&logits(), &reversed()).expect("answers"),
});

fn logits() -> Logits<'static> {
    Logits::f32(&VALUES, ROWS, VOCAB).expect("a batch")
}

static REVERSED: LazyLock<Vec<f32>> = LazyLock::new(|| VALUES.iter().rev().copied().collect());

fn reversed() -> Logits<'static> {
    Logits::f32(&REVERSED, ROWS, VOCAB).expect("a batch")
}

fn samples(engine: &impl Engine) -> Result<Vec<Sample>> {
    let request = Request::new(SamplingParams {
        seed: Some(7),
        top_p: 0.9,
        processed_logprobs: Some(LONG),
        ..SamplingParams::default()
    })?;
    engine.sample(&logits(), &[request.row(0), request.row(1)], &SampleInputs::default())
}

fn sample(gpu: &Gpu) -> Result<()> {
    let got = samples(gpu)?;
    assert!(got == EXPECTED.samples, "wrong: {got:?}");
    Ok(())
}

/// The plainest thing that a device is for.
pub(crate) fn step(gpu: &Gpu) -> Result<()> {
    let got = gpu.logprobs(&logits(), &LogprobsParams::default(), &[])?;
    assert!(got == EXPECTED.logprobs, "wrong: {got:?}");
    Ok(())
}

fn adapter() -> Adapter {
    let list = adapters(false);
    // The hardware of a machine without a software driver.
    let id = list.iter().find(|adapter| adapter.id == "lavapipe").or(list.first());
    let id = id.expect("an adapter: scripts/test installs a software driver").id.clone();
    find(list, &id).expect("it is there")
}

/// A new device, on which a step works.
pub(crate) fn new_device() -> Gpu {
    let adapter = adapter();
    let limits = adapter.limits();
    let gpu = Gpu::open_unchecked(adapter, limits).and_then(|gpu| gpu.with_options(OPTIONS));
    let gpu = gpu.expect("a new device");
    step(&gpu).expect("a new device works");
    gpu
}

/// A step as an engine takes it, with its own buffers, encoder and submit: what becomes of those is the engine's, which
/// looks at its own errors.
fn logprobs_of_an_engine(
    gpu: &Gpu,
    wait: impl FnOnce(Pending<Logprobs>) -> Result<Vec<Logprobs>>,
) -> Result<()> {
    let source = gpu.upload(bytemuck::cast_slice(&VALUES))?;
    let packed = GpuLogits::packed(&source, Dtype::F32, ROWS, VOCAB);
    let begin = || gpu.device().create_command_encoder(&CommandEncoderDescriptor::default());
    let Some(mut open) = quietly(gpu, begin) else { return Err(own_loss()) };
    let pending = gpu.sampler().logprobs(&mut open, &packed, &LogprobsParams::default(), &[])?;
    let is_submitted = quietly(gpu, || gpu.queue().submit([open.finish()])).is_some();
    let got = wait(pending);
    if !is_submitted && got == Err(Error::NotSubmitted) {
        return Err(own_loss());
    }
    let got = got?;
    assert!(got == EXPECTED.logprobs, "wrong");
    Ok(())
}

/// The engine's own calls, whose errors it hears of in another way than by a panic; nothing where wgpu panics, upon which
/// the engine lets its device go.
fn quietly<T>(gpu: &Gpu, calls: impl FnOnce() -> T) -> Option<T> {
    let filters = [ErrorFilter::OutOfMemory, ErrorFilter::Internal, ErrorFilter::Validation];
    let mut scopes = filters.map(|filter| gpu.device().push_error_scope(filter));
    scopes.reverse();
    let made = catch_unwind(AssertUnwindSafe(calls)).ok();
    scopes.into_iter().for_each(|scope| drop(pollster::block_on(scope.pop())));
    if made.is_none() {
        gpu.device().destroy();
    }
    made
}

fn own_loss() -> Error {
    Error::DeviceLost { doing: "the engine's own calls", message: "wgpu panicked".to_owned() }
}

fn is_lost<T: std::fmt::Debug>(what: &str, outcome: Result<T>) {
    assert!(matches!(outcome, Err(Error::DeviceLost { .. })), "{what}: {outcome:?}");
}

/// On a lost device: each method of a sampler and of a device.
pub(crate) fn every_method_tells_of_the_loss(gpu: &Gpu) {
    let sampler = gpu.sampler();
    for kernels in [Kernels::Logprobs, Kernels::LongLists, Kernels::Divergence] {
        is_lost("prepare", sampler.prepare(kernels, Dtype::F32));
        is_lost("self_check", sampler.self_check(kernels, Dtype::F32));
    }
    for &dtype in Dtype::ALL {
        is_lost("uses_integers", sampler.uses_integers(dtype));
    }
    is_lost("new", Sampler::new(gpu.device(), gpu.queue()));
    is_lost("with", sampler.with(OPTIONS));
    is_lost("logprobs", step(gpu));
    is_lost("sample", sample(gpu));
    is_lost("log_softmax", gpu.log_softmax(&logits()));
    is_lost("top_k", gpu.top_k(&logits(), 3));
    is_lost("divergence", gpu.divergence(&logits(), &reversed()));
    is_lost("row_max", gpu.row_max(&logits()));
    is_lost("log_sum_exp", gpu.log_sum_exp(&logits()));
    is_lost("buffer", gpu.buffer(64, BufferUsages::STORAGE));
    is_lost("upload", gpu.upload(&[0; 64]));
}
