//! What cannot work comes back as an error that says so; nothing panics or hangs.
#![expect(clippy::type_complexity, reason = "a table of cases")]

mod common;

use std::time::Duration;

use sortilege::device::{Gpu, adapters, find};
use sortilege::wgpu::{self, BufferUsages, ErrorFilter, Limits};
use sortilege::{
    Dtype, Engine, Error, GpuLogits, GpuOutput, Kernels, Logits, LogprobsParams, Request, SampleBuffers,
    Sampler, SamplerOptions, SamplingParams,
};

use common::{buffer, encoder, gpus, test_each};

#[test]
fn bad_requests_are_refused_and_leave_the_encoder_usable() {
    for gpu in gpus() {
        let good = buffer(&gpu, 64, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        let no_storage = buffer(&gpu, 64, BufferUsages::COPY_DST);
        let packed = GpuLogits::packed(&good, Dtype::F32, 2, 8);
        let default = LogprobsParams::default();
        let cases: &[(&str, GpuLogits<'_>, LogprobsParams, &[Option<u32>], &str)] = &[
            ("usage", GpuLogits { buffer: &no_storage, ..packed }, default, &[], "usage STORAGE"),
            (
                "too many rows",
                GpuLogits { rows: 3, ..packed },
                default,
                &[],
                "ends at byte 96, the buffer has 64",
            ),
            (
                "offset past the end",
                GpuLogits { byte_offset: 4, ..packed },
                default,
                &[],
                "the buffer has 64",
            ),
            ("odd offset", GpuLogits { byte_offset: 2, ..packed }, default, &[], "byte offset 2"),
            ("empty vocabulary", GpuLogits { vocab: 0, ..packed }, default, &[], "vocab 0"),
            ("vast vocabulary", GpuLogits { vocab: 1 << 21, ..packed }, default, &[], "vocab 2097152"),
            ("overlapping rows", GpuLogits { row_stride: 7, ..packed }, default, &[], "row stride of 7"),
            (
                "params",
                packed,
                LogprobsParams { top_logprobs: 5_000_000, ..default },
                &[],
                "top_logprobs 5000000",
            ),
            ("targets", packed, default, &[Some(8), None], "target 8 of row 0"),
        ];
        let mut open = encoder(&gpu);
        test_each(cases.iter().map(|case| (case.0, case)), |(_, logits, params, targets, words)| {
            let refused = gpu.sampler().logprobs(&mut open, logits, params, targets);
            let message = refused.expect_err("a refusal").to_string();
            assert!(message.contains(words), "{message}");
        });
        let pending = gpu.sampler().logprobs(&mut open, &packed, &default, &[]).expect("a good request");
        gpu.queue().submit([open.finish()]);
        assert_eq!(pending.wait().expect("records").len(), 2);

        let mut open = encoder(&gpu);
        let small = GpuOutput::new(&no_storage);
        assert!(
            gpu.sampler().row_max(&mut open, &packed, small).unwrap_err().to_string().contains("STORAGE")
        );
        let target = buffer(&gpu, 64, BufferUsages::STORAGE);
        let late = GpuOutput { buffer: &target, byte_offset: 60 };
        assert!(gpu.sampler().row_max(&mut open, &packed, late).unwrap_err().to_string().contains("8 bytes"));
        let in_place = GpuOutput::new(&good);
        let over = gpu.sampler().row_max(&mut open, &packed, in_place);
        assert!(matches!(over, Err(Error::Logits(_))), "{over:?}");
        let same = gpu.sampler().log_softmax(&mut open, &packed, in_place);
        assert!(matches!(same, Err(Error::Logits(_))), "{same:?}");
    }
}

#[test]
fn waiting_for_what_was_never_submitted_says_so() {
    for gpu in gpus() {
        let logits = buffer(&gpu, 64, BufferUsages::STORAGE);
        let packed = GpuLogits::packed(&logits, Dtype::F32, 2, 8);
        let mut open = encoder(&gpu);
        let deadline = Duration::from_millis(250);
        let hasty =
            gpu.sampler().with(SamplerOptions { deadline, ..gpu.sampler().options() }).expect("a sampler");
        for awaits in [false, true] {
            let kept = hasty.logprobs(&mut open, &packed, &LogprobsParams::default(), &[]).expect("recorded");
            let outcome = if awaits { pollster::block_on(kept) } else { kept.wait() };
            assert_eq!(outcome, Err(Error::NotSubmitted), "still here at the deadline");
        }
        let dropped =
            gpu.sampler().logprobs(&mut open, &packed, &LogprobsParams::default(), &[]).expect("recorded");
        let awaited =
            gpu.sampler().logprobs(&mut open, &packed, &LogprobsParams::default(), &[]).expect("recorded");
        drop(open);
        assert_eq!(dropped.wait(), Err(Error::NotSubmitted));
        assert_eq!(pollster::block_on(awaited), Err(Error::NotSubmitted));
    }
}

/// However long another thread keeps the encoder; and if it drops it, or what it was finished to, at once.
#[test]
fn another_thread_may_submit_late() {
    for gpu in gpus() {
        let logits = buffer(&gpu, 64, BufferUsages::STORAGE);
        let packed = GpuLogits::packed(&logits, Dtype::F32, 2, 8);
        for (awaits, is_submitted) in [(false, true), (true, true), (false, false), (true, false)] {
            let mut open = encoder(&gpu);
            let params = LogprobsParams::default();
            let pending = gpu.sampler().logprobs(&mut open, &packed, &params, &[]).expect("recorded");
            let queue = gpu.queue().clone();
            let start = std::time::Instant::now();
            let late = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(350));
                let finished = open.finish();
                if is_submitted {
                    queue.submit([finished]);
                }
            });
            let outcome = if awaits { pollster::block_on(pending) } else { pending.wait() };
            late.join().expect("it submits");
            assert!(start.elapsed() < Duration::from_secs(20), "told at once");
            match is_submitted {
                true => assert_eq!(outcome.expect("records").len(), 2),
                false => assert_eq!(outcome, Err(Error::NotSubmitted)),
            }
        }
    }
}

/// What a driver needs for its first run is told apart from a device that hangs.
#[test]
fn a_driver_that_compiles_for_long_is_told() {
    let mut told = 0;
    for gpu in gpus() {
        let none = SamplerOptions { compile_deadline: Duration::ZERO, ..SamplerOptions::default() };
        let hasty = Sampler::with_options(gpu.device(), gpu.queue(), none).expect("a sampler");
        for kernels in [Kernels::Logprobs, Kernels::Sample, Kernels::Divergence] {
            // A driver that compiles and runs inside of the submit, as OpenGL's may, is done before anybody waits.
            let Err(error) = hasty.prepare(kernels, Dtype::F32) else { continue };
            assert_eq!(error, Error::Compiling { deadline: Duration::ZERO }, "{kernels:?}");
            assert!(error.to_string().starts_with("compiling: "));
            told += 1;
        }
        for kernels in [Kernels::Logprobs, Kernels::TokenRanks, Kernels::LongLists] {
            gpu.sampler().prepare(kernels, Dtype::Bf16).expect("compiled, and run");
        }
        assert!(gpu.sampler().traffic().bytes_back > 0, "rows came back");
    }
    assert!(told > 0, "no driver took any time");
}

/// wgpu tells of another device's buffers when they are bound or copied to, and so do we, before the engine's encoder has any.
#[test]
fn buffers_of_another_device_are_told() {
    // Of one instance: wgpu does not know the things of several apart.
    let backends = wgpu::Backends::PRIMARY;
    let instance =
        wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(instance);
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
    let adapter = adapter.expect("an adapter: scripts/test installs a software driver");
    let open =
        || pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("opens");
    let [(device, queue), (stranger, _)] = [open(), open()];
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let [ours, theirs] = [&device, &stranger].map(|device| device.create_buffer(&descriptor));
    let sampler = Sampler::new(&device, &queue).expect("a sampler");
    let request = Request::new(SamplingParams::default()).expect("in range");
    let sample = |logits, tokens| {
        let batch = GpuLogits::packed(logits, Dtype::F32, 1, 8);
        let buffers = SampleBuffers { tokens: Some(GpuOutput::new(tokens)), ..SampleBuffers::default() };
        let mut open = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let outcome = sampler.sample(&mut open, &batch, &[request.row(0)], &buffers);
        queue.submit([open.finish()]);
        outcome.and_then(|pending| pending.wait())
    };
    let is_told = |outcome: Result<(), Error>, doing: &str| {
        assert!(
            matches!(&outcome, Err(Error::Validation { doing: told, .. }) if *told == doing),
            "{outcome:?}"
        );
    };
    is_told(sample(&theirs, &ours).map(|_| ()), "binding the buffers of the call");
    is_told(sample(&ours, &theirs).map(|_| ()), "copying to the engine's buffer");
    assert_eq!(sample(&ours, &ours).expect("a sample").len(), 1);

    // Both results in one buffer, so that they are copied; or each in its own, so that they are bound.
    let own = stranger.create_buffer(&descriptor);
    for (second, byte_offset, doing) in
        [(&theirs, 32, "copying to the engine's buffer"), (&own, 0, "binding the buffers of the call")]
    {
        let mut open = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let batch = GpuLogits::packed(&ours, Dtype::F32, 1, 8);
        let outs = [GpuOutput::new(&theirs), GpuOutput { buffer: second, byte_offset }];
        is_told(sampler.top_k(&mut open, &batch, 2, outs[0], outs[1]), doing);
        queue.submit([open.finish()]);
    }
}

#[test]
fn an_empty_batch_has_no_records() {
    for gpu in gpus() {
        let logits = Logits::new(&[], Dtype::F16, 0, 5).expect("no rows");
        assert_eq!(gpu.logprobs(&logits, &LogprobsParams::default(), &[]).expect("records"), []);
        assert_eq!(gpu.log_softmax(&logits).expect("values"), [0.0; 0]);
        let some = buffer(&gpu, 64, BufferUsages::STORAGE);
        let mut open = encoder(&gpu);
        let empty = GpuLogits::packed(&some, Dtype::F32, 0, 5);
        let pending =
            gpu.sampler().logprobs(&mut open, &empty, &LogprobsParams::default(), &[]).expect("recorded");
        gpu.queue().submit([open.finish()]);
        assert_eq!(pending.wait().expect("records"), []);
    }
}

/// The records of a submit that the device rejects are not those of the step before.
#[test]
fn a_rejected_submit_is_an_error() {
    for gpu in gpus() {
        let source = buffer(&gpu, 16_000, BufferUsages::STORAGE);
        let packed = GpuLogits::packed(&source, Dtype::F32, 2, 2000);
        for step in 0..3 {
            // From the second step on, the buffers of the ring hold records.
            let mut open = encoder(&gpu);
            let good = gpu
                .sampler()
                .logprobs(&mut open, &packed, &LogprobsParams::default(), &[])
                .expect("recorded");
            if step > 0 {
                gpu.queue().submit([open.finish()]);
                good.wait().expect("records");
            }
            let mut open = encoder(&gpu);
            let doomed = buffer(&gpu, 64, BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
            let other = buffer(&gpu, 64, BufferUsages::COPY_DST);
            open.copy_buffer_to_buffer(&doomed, 0, &other, 0, 64);
            let pending = gpu
                .sampler()
                .logprobs(&mut open, &packed, &LogprobsParams::default(), &[])
                .expect("recorded");
            doomed.destroy();
            let scope = gpu.device().push_error_scope(ErrorFilter::Validation);
            gpu.queue().submit([open.finish()]);
            assert!(pollster::block_on(scope.pop()).is_some(), "the device rejects a destroyed buffer");
            let outcome = pending.wait();
            assert!(matches!(outcome, Err(Error::Validation { .. })), "step {step}: {outcome:?}");
        }
    }
}

/// Futures of several threads poll one device; none mistakes another's poll for a missing submit.
#[test]
fn many_threads_await_their_steps() {
    for gpu in gpus() {
        std::thread::scope(|threads| {
            for thread in 0..6u32 {
                let gpu = &gpu;
                threads.spawn(move || {
                    let source = buffer(gpu, 400, BufferUsages::STORAGE);
                    let packed = GpuLogits::packed(&source, Dtype::F32, 1, 100);
                    for step in 0..100 {
                        let mut open = encoder(gpu);
                        let pending = gpu
                            .sampler()
                            .logprobs(&mut open, &packed, &LogprobsParams::default(), &[])
                            .expect("recorded");
                        gpu.queue().submit([open.finish()]);
                        let records = if (thread + step) % 2 == 0 {
                            pending.wait()
                        } else {
                            pollster::block_on(pending)
                        };
                        assert_eq!(records.expect("records").len(), 1, "thread {thread}, step {step}");
                    }
                });
            }
        });
    }
}

#[test]
fn readiness_is_told_without_blocking() {
    for gpu in gpus() {
        let source = buffer(&gpu, 400, BufferUsages::STORAGE);
        let packed = GpuLogits::packed(&source, Dtype::F32, 1, 100);
        let mut open = encoder(&gpu);
        let pending =
            gpu.sampler().logprobs(&mut open, &packed, &LogprobsParams::default(), &[]).expect("recorded");
        assert!(!pending.is_ready(), "before the submit");
        gpu.queue().submit([open.finish()]);
        let start = std::time::Instant::now();
        while !pending.is_ready() {
            assert!(start.elapsed().as_secs() < 20, "never ready");
        }
        assert_eq!(pending.wait().expect("records").len(), 1);
    }
}

#[test]
fn a_device_below_the_floor_is_refused() {
    let adapter = adapters(false).into_iter().find(|c| c.unfit.is_none()).expect("an adapter");
    let limits = Limits { max_compute_workgroup_storage_size: 8192, ..adapter.limits() };
    let message = Gpu::open_unchecked(adapter, limits).expect_err("too little memory").to_string();
    assert!(message.contains("max_compute_workgroup_storage_size 8192, the kernels need 16384"), "{message}");
}

#[test]
fn adapters_are_found_by_number_id_or_part_of_a_name() {
    let list = || adapters(true);
    for (number, adapter) in list().into_iter().enumerate() {
        assert_eq!(find(list(), &number.to_string()).expect("by number").id, adapter.id);
        assert_eq!(find(list(), &adapter.id.to_uppercase()).expect("by id").id, adapter.id);
    }
    let message = find(list(), "no such adapter").expect_err("none").to_string();
    assert!(
        message.contains("no adapters fit \"no such adapter\"") && message.contains(&list()[0].id),
        "{message}"
    );
    assert!(matches!(find(list(), "99"), Err(Error::NoAdapter(_))));
    let words = list()[0].info.driver_info.clone();
    let part = words.split(|c: char| !c.is_ascii_digit()).find(|part| part.len() > 1);
    let number = part.expect("Mesa's version has a number of two digits");
    assert!(
        find(list(), number).is_err(),
        "a place that is none, and a part of the driver's version: {number}"
    );
}

#[test]
fn recorders_share_a_device() {
    for gpu in gpus() {
        let second = Sampler::new(gpu.device(), gpu.queue()).expect("a second sampler");
        second.self_check(Kernels::Logprobs, Dtype::F32).expect("the same bits");
        assert!(second.traffic().bytes_back > 0);
    }
}
