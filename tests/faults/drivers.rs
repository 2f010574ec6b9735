//! Every call of the driver that an operation reaches fails once, on Linux, through a layer of our own (`layer.rs`): what
//! comes back is a typed error in time, never a panic, never a hang, never a wrong answer, and a new device works.
//!
//! The layer must be there before the driver is loaded, and an abort must be seen: each point has a process of its own, in
//! which this test runs again. `SORTILEGE_FAULTS=all` takes every number of call, without it some of the later ones.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "the layer is asked through C functions")]
#![expect(clippy::print_stdout, reason = "figures of docs/reliability.md")]

mod operations;
mod process;

use std::process::Command;

use sortilege::device::Gpu;
use sortilege::{Dtype, Error, Kernels, Result};
use sortilege_faults::Point;

use operations::{OPERATIONS, Operation, new_device};
use process::{Layer, Watch, resident_bytes, threads};

const OUT_OF_HOST_MEMORY: i32 = -1;
const OUT_OF_DEVICE_MEMORY: i32 = -2;
const INITIALIZATION_FAILED: i32 = -3;
const DEVICE_LOST: i32 = -4;
const MAP_FAILED: i32 = -5;

/// The points, and with what their calls may fail.
const POINTS: &[(Point, &[i32])] = &[
    (Point::Device, &[OUT_OF_HOST_MEMORY, INITIALIZATION_FAILED, DEVICE_LOST]),
    (Point::Memory, &[OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    (Point::Map, &[MAP_FAILED, OUT_OF_HOST_MEMORY]),
    (Point::Bind, &[OUT_OF_DEVICE_MEMORY]),
    (Point::Buffer, &[OUT_OF_DEVICE_MEMORY]),
    (Point::Shader, &[OUT_OF_HOST_MEMORY]),
    (Point::Pipeline, &[OUT_OF_DEVICE_MEMORY]),
    (Point::Descriptors, &[OUT_OF_DEVICE_MEMORY]),
    (Point::Commands, &[OUT_OF_DEVICE_MEMORY]),
    (Point::Submit, &[DEVICE_LOST, OUT_OF_DEVICE_MEMORY]),
    (Point::Wait, &[DEVICE_LOST, OUT_OF_HOST_MEMORY]),
    (Point::Idle, &[DEVICE_LOST]),
];
const CHILD: &str = "SORTILEGE_FAULT_POINT";

#[test]
fn every_fault_of_a_driver_is_an_error() {
    match std::env::var(CHILD) {
        Ok(number) => at_point(&POINTS[number.parse::<usize>().expect("a number")]),
        Err(_) => in_processes("every_fault_of_a_driver_is_an_error"),
    }
}

/// This test again, in a process with the layer for each point; some at a time.
fn in_processes(test: &str) {
    let manifest = process::write_manifest();
    let run = |number: usize| {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("VK_LAYER_PATH", &manifest)
            .env("VK_INSTANCE_LAYERS", sortilege_faults::NAME)
            .env("WGPU_BACKEND", "vulkan")
            .env("RUST_BACKTRACE", "0")
            .env(CHILD, number.to_string())
            .output()
            .expect("it starts")
    };
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some((point, _)) = POINTS.get(number) else { return };
                    let output = run(number);
                    let [told, wrong] =
                        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
                    let report: Vec<_> = told.lines().filter(|line| line.starts_with("* ")).collect();
                    eprintln!("{}", report.join("\n"));
                    assert!(output.status.success(), "{point:?}, {}:\n{told}\n{wrong}", output.status);
                }
            });
        }
    });
}

/// Which calls fail with what, of so many: all, or some and with each other result the first.
fn faults(what: &str, results: &[i32], reached: u32) -> Vec<(i32, u32)> {
    let all = std::env::var("SORTILEGE_FAULTS").is_ok_and(|which| which == "all");
    // The kernel that draws takes long to compile on each new device.
    let is_slow = what == "sample";
    let is_taken = |place: usize, number: u32| {
        let some = number == reached || number == 2 || number.is_multiple_of(8);
        all || number == 1 || place == 0 && some && !(is_slow && number < reached)
    };
    let numbers = |place| (1..=reached).filter(move |&number| is_taken(place, number));
    results.iter().enumerate().flat_map(|(place, &result)| numbers(place).map(move |n| (result, n))).collect()
}

/// Every operation with each of its calls at this point failing once.
fn at_point(&(point, results): &(Point, &[i32])) {
    let watch = Watch::start();
    let layer = Layer::open();
    // Once without a fault, so that what the process keeps is there: the compiler of the driver keeps some 60 MiB.
    drop(new_device());
    let threads_before = threads();
    let gpu = new_device();
    gpu.sampler().prepare(Kernels::Sample, Dtype::F32).expect("without a fault");
    for (what, operation) in OPERATIONS {
        watch.begin(format!("{what} without a fault"));
        operation(&gpu).expect("without a fault");
    }
    drop(gpu);
    process::wait_for(|| threads() <= threads_before);
    let before = (threads_before, resident_bytes());
    let mut gpu = new_device();
    let mut all = Tally::default();
    for &(what, operation) in OPERATIONS {
        gpu = ready(point, operation, gpu);
        let reached = calls(&layer, point, &gpu, operation);
        let mut tally = Tally::default();
        for (result, number) in faults(what, results, reached) {
            watch.begin(format!("{point:?}, call {number} of {what} fails with {result}"));
            gpu = one_fault(&layer, (point, number, result), operation, gpu, &mut tally);
        }
        (all.faults, all.right) = (all.faults + tally.faults, all.right + tally.right);
        all.refused += tally.refused;
        println!("* {point:?} {what}: {reached} calls, {tally:?}, {watch:?}");
    }
    drop(gpu);
    watch.begin("the end".to_owned());
    // The driver does not let everything that fails go by unnoticed, but for the wait of a queue that goes.
    assert!(all.right < all.faults || (point == Point::Idle && all.faults > 0), "{point:?}: {all:?}");
    // wgpu 30 keeps what it has of a device that it fails to make.
    let most = before.0 + all.refused as usize;
    // Who ends the process while a thread still lets go of a device ends it within the driver.
    process::wait_for(|| threads() <= before.0);
    let (faults, after) = (all.faults, (threads(), resident_bytes()));
    let (grown, panics) = (after.1.saturating_sub(before.1) >> 20, process::panics_of_wgpu());
    println!(
        "* {point:?}: {faults} faults, {panics} panics of wgpu caught, {grown} MiB grown, {after:?} {before:?}, {watch:?}"
    );
    assert!(after.0 <= most, "{} threads, {} before", after.0, before.0);
    // A device that stays takes 2.4 MiB, with its kernels 50. Of 500 panics of wgpu, where waits fail, 22 to 72 MiB stay.
    let most = 64 + panics / 10;
    assert!(grown < most, "{grown} MiB more than before, {most} at most");
}

/// A device with a fresh sampler, whose kernels are compiled unless that is what fails.
fn ready(point: Point, operation: Operation, gpu: Gpu) -> Gpu {
    if matches!(point, Point::Shader | Point::Pipeline) {
        drop(gpu);
        return new_device();
    }
    operation(&gpu).expect("without a fault");
    gpu.with_options(operations::OPTIONS).expect("a fresh sampler")
}

/// How many calls an operation makes at a point on a fresh sampler.
fn calls(layer: &Layer, point: Point, gpu: &Gpu, operation: Operation) -> u32 {
    let _full = full(layer, point, gpu);
    layer.arm(point, 0, 0);
    operation(gpu).expect("without a fault");
    layer.count(point).min(MOST)
}

/// A wait polls as often as it takes.
const MOST: u32 = 40;

/// Buffers that leave no room in what the device has of memory, so that the next one needs more: wgpu takes large pieces.
fn full(layer: &Layer, point: Point, gpu: &Gpu) -> Vec<wgpu::Buffer> {
    let mut full = Vec::new();
    if !matches!(point, Point::Memory | Point::Map) {
        return full;
    }
    layer.arm(point, 0, 0);
    for size in [32 << 20, 1 << 20, 1 << 16, 1 << 12, 1 << 8] {
        let pieces = layer.count(point);
        loop {
            let usage = wgpu::BufferUsages::STORAGE;
            let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            let made = gpu.device().create_buffer(&descriptor);
            if layer.count(point) > pieces {
                break; // and goes with its piece
            }
            full.push(made);
        }
    }
    assert!(full.len() < 1000, "{}", full.len());
    full
}

/// What came of the faults.
#[derive(Debug, Default)]
struct Tally {
    faults: u32,
    right: u32,
    out_of_memory: u32,
    lost: u32,
    refused: u32,
}

impl Tally {
    fn count(&mut self, result: i32, outcome: &Result<()>) {
        self.faults += 1;
        let counter = match outcome {
            Ok(()) => &mut self.right,
            Err(Error::OutOfMemory { .. }) if result != DEVICE_LOST => &mut self.out_of_memory,
            Err(Error::DeviceLost { .. }) => &mut self.lost,
            Err(Error::NoAdapter(_)) => &mut self.refused,
            Err(other) => panic!("{other:?}"),
        };
        *counter += 1;
    }
}

/// One call fails; then the device works, or all of its methods say that it is lost and a new one works.
fn one_fault(
    layer: &Layer,
    (point, number, result): (Point, u32, i32),
    operation: Operation,
    gpu: Gpu,
    tally: &mut Tally,
) -> Gpu {
    let gpu = ready(point, operation, gpu);
    let full = full(layer, point, &gpu);
    layer.arm(point, number, result);
    let outcome = operation(&gpu);
    let is_reached = layer.count(point) >= number;
    layer.arm(point, 0, 0);
    drop(full);
    if !is_reached {
        outcome.expect("without a fault");
        return gpu;
    }
    tally.count(result, &outcome);
    match operations::step(&gpu) {
        Ok(()) => gpu,
        Err(Error::DeviceLost { .. }) => {
            // As whoever owns it should: where wgpu panicked it is not lost by itself.
            gpu.device().destroy();
            operations::every_method_tells_of_the_loss(&gpu);
            drop(gpu);
            new_device()
        }
        Err(other) => panic!("the step after it: {other:?}"),
    }
}
