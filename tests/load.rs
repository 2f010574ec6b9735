//! Load: threads that share one device, and thousands of steps in flight. No answer is wrong, and neither memory nor
//! threads grow. `SORTILEGE_LOAD_SECONDS` says for how long.
#![expect(clippy::cast_possible_truncation, reason = "a test")]
#![expect(clippy::print_stdout, reason = "figures of docs/reliability.md")]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sortilege::device::Gpu;
use sortilege::wgpu::Buffer;
use sortilege::{
    Cpu, Dtype, Engine, GpuLogits, Logits, Logprobs, LogprobsParams, Pending, Request, Row, Sample,
    SampleBuffers, SampleInputs, SamplingParams,
};

use common::{encoder, gpus, upload};

const ROWS: usize = 2;
const VOCAB: usize = 300;
/// Positions in turn.
const POSITIONS: usize = 40;
const IN_FLIGHT: usize = 3000;
/// What the process holds is one test's at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Requests over a batch, and what the CPU engine says of them at each position.
struct Work {
    values: Vec<f32>,
    requests: Vec<Request>,
    params: LogprobsParams,
    samples: Vec<Vec<Sample>>,
    records: Vec<Logprobs>,
}

impl Work {
    fn new(number: u64) -> Self {
        let value = |i: usize| ((i * 7919 + number as usize * 104_729) % 10_007) as f32 / 900.0;
        let values: Vec<f32> = (0..ROWS * VOCAB).map(value).collect();
        let request = |row: usize| {
            let mut params = SamplingParams { seed: Some(number * 10 + row as u64), ..Default::default() };
            params.top_p = [1.0, 0.9][row];
            params.raw_logprobs = [None, Some(20)][row];
            Request::new(params).expect("in range")
        };
        let requests: Vec<Request> = (0..ROWS).map(request).collect();
        let params = LogprobsParams { top_logprobs: number as u32 % 9, ..LogprobsParams::default() };
        let logits = Logits::f32(&values, ROWS, VOCAB).expect("a batch");
        let at = |position: usize| {
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(position as u64)).collect();
            Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples")
        };
        let samples = (0..POSITIONS).map(at).collect();
        let records = Cpu.logprobs(&logits, &params, &[]).expect("records");
        Self { values, requests, params, samples, records }
    }

    fn upload(&self, gpu: &Gpu) -> Buffer {
        upload(gpu, bytemuck::cast_slice(&self.values))
    }

    /// Submits a step: records, and draws too where they are wanted.
    fn step(&self, gpu: &Gpu, source: &Buffer, position: usize, draws: bool) -> Step {
        let batch = GpuLogits::packed(source, Dtype::F32, ROWS, VOCAB);
        let rows: Vec<Row<'_>> = self.requests.iter().map(|request| request.row(position as u64)).collect();
        let (mut open, sampler) = (encoder(gpu), gpu.sampler());
        let samples = draws
            .then(|| sampler.sample(&mut open, &batch, &rows, &SampleBuffers::default()).expect("recorded"));
        let records = sampler.logprobs(&mut open, &batch, &self.params, &[]).expect("recorded");
        gpu.queue().submit([open.finish()]);
        Step { position, samples, records }
    }

    /// Whether an answer of a step is not the CPU engine's.
    fn is_wrong(&self, step: Step) -> bool {
        let samples = step.samples.map(|pending| pending.wait().expect("samples"));
        let records = step.records.wait().expect("records");
        samples.is_some_and(|samples| samples != self.samples[step.position]) || records != self.records
    }
}

/// A step in flight.
struct Step {
    position: usize,
    samples: Option<Pending<Sample>>,
    records: Pending<Logprobs>,
}

/// Threads that take steps, up to four in flight each, for so long: how many, and how many answers were wrong.
fn by_threads(gpu: &Gpu, work: &[Work], threads: usize, time: Duration) -> [u64; 2] {
    let [steps, wrong] = [AtomicU64::new(0), AtomicU64::new(0)];
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (work, steps, wrong) = (&work[thread % work.len()], &steps, &wrong);
            scope.spawn(move || {
                let source = work.upload(gpu);
                let mut next = thread;
                while start.elapsed() < time {
                    let flight: Vec<Step> = (0..1 + thread % 4)
                        .map(|i| work.step(gpu, &source, (next + i) % POSITIONS, true))
                        .collect();
                    next += flight.len();
                    for step in flight {
                        steps.fetch_add(1, Ordering::Relaxed);
                        wrong.fetch_add(work.is_wrong(step).into(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    [steps.into_inner(), wrong.into_inner()]
}

/// So many steps without a wait, a tenth of them with draws; then all waits, the last first.
fn in_flight(gpu: &Gpu, work: &Work, count: usize) -> [u64; 2] {
    let source = work.upload(gpu);
    let step = |number: usize| work.step(gpu, &source, number % POSITIONS, number % 10 == 3);
    let steps: Vec<Step> = (0..count).map(step).collect();
    [count as u64, steps.into_iter().rev().map(|step| u64::from(work.is_wrong(step))).sum()]
}

/// What the process holds.
#[derive(Clone, Copy, Debug)]
struct Usage {
    resident_kib: u64,
    threads: u64,
}

impl Usage {
    /// Of this process, where a system says so.
    fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self { resident_kib: number("VmRSS:")?, threads: number("Threads:")? })
    }

    /// What has grown since: more than a tenth and 16 MiB of memory, or a thread.
    fn grown_since(self, before: Self) -> Option<String> {
        let most = before.resident_kib + before.resident_kib / 10 + (16 << 10);
        (self.resident_kib > most || self.threads > before.threads)
            .then(|| format!("{self:?} after {before:?}"))
    }
}

fn seconds() -> f64 {
    std::env::var("SORTILEGE_LOAD_SECONDS").map_or(8.0, |text| text.parse().expect("a number"))
}

#[test]
fn answers_hold_under_load_and_nothing_grows() {
    let _alone = ALONE.lock();
    let work: Vec<Work> = (0..8).map(Work::new).collect();
    // What differs between floats and integers is no matter of load.
    let gpus: Vec<Gpu> = gpus().into_iter().filter(|gpu| !gpu.sampler().options().integers).collect();
    let share = Duration::from_secs_f64(seconds() / (4.0 * gpus.len() as f64));
    for gpu in &gpus {
        let warm = Duration::from_millis(200);
        assert_eq!(by_threads(gpu, &work, 32, warm)[1] + in_flight(gpu, &work[0], IN_FLIGHT)[1], 0);
        let before = Usage::now();
        assert_eq!(
            before.is_some(),
            cfg!(target_os = "linux"),
            "what a process holds is known on Linux alone"
        );
        for threads in [1, 2, 8, 32] {
            let [steps, wrong] = by_threads(gpu, &work, threads, share);
            println!("{}: {threads} threads, {steps} steps, {wrong} wrong", gpu.info().name);
            assert_eq!(wrong, 0, "of {steps} steps by {threads} threads on {}", gpu.info().name);
            assert!(steps > 0);
        }
        let [steps, wrong] = in_flight(gpu, &work[1], IN_FLIGHT);
        println!(
            "{}: {steps} steps in flight, {wrong} wrong; {before:?} before, {:?}",
            gpu.info().name,
            Usage::now()
        );
        assert_eq!(wrong, 0, "of {steps} steps in flight");
        let grown = Usage::now().zip(before).and_then(|(now, before)| now.grown_since(before));
        assert_eq!(grown, None, "{}", gpu.info().name);
    }
}

/// Answers of another position, memory that is kept, a thread that stays: the test above must find each.
#[test]
fn what_load_must_not_do_is_found() {
    let _alone = ALONE.lock();
    let gpu = Gpu::any().expect("an adapter");
    let mut work = Work::new(1);
    work.samples.rotate_left(1);
    assert_eq!(in_flight(&gpu, &work, 40), [40, 4], "those with draws");
    work.records = Work::new(2).records;
    assert_eq!(in_flight(&gpu, &work, 40), [40, 40]);
    let before = Usage { resident_kib: 200 << 10, threads: 9 };
    assert_eq!(before.grown_since(before), None);
    assert!(Usage { resident_kib: 240 << 10, ..before }.grown_since(before).is_some());
    assert!(Usage { threads: 10, ..before }.grown_since(before).is_some());
    if cfg!(target_os = "linux") {
        let before = Usage::now().expect("of this process");
        let kept = vec![1u8; (before.resident_kib as usize / 8 + (64 << 10)) << 10];
        assert!(Usage::now().and_then(|now| now.grown_since(before)).is_some(), "{}", kept.len());
        drop(kept);
        let before = Usage::now().expect("as before");
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert!(Usage::now().is_some_and(|now| now.threads > before.threads));
        drop(stop);
        assert!(thread.join().expect("ends").is_err());
    }
}
