//! Steps without a wait give what as many waits give (long: a request of every kind, and faults that only these show).
//! Whatever looks at the tokens, and whatever ends a request.

use super::{Gpu, GpuLogits, GpuOutput, Kernels, SampleBuffers, SamplerOptions};
use crate::answer::{FinishReason, Sample, Status};
use crate::arithmetic::format::NO_TOKEN;
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kernels::kernel::is_wanted;
use crate::kernels::row_history;
use crate::logits::{Dtype, Logits};
use crate::params::{Dry, Mirostat, SamplingParams};
use crate::request::{Request, SampleInputs};

const STEPS: usize = 64;
const VOCAB: usize = 97;
/// Room for the tokens of a request.
const TOKENS: usize = 80;

type Change = fn(&mut SamplingParams);

/// What looks at tokens, alone and together; and requests that do not.
const KINDS: &[Change] = &[
    |p| (p.repetition_penalty, p.penalty_last_n) = (1.3, Some(7)),
    |p| (p.presence_penalty, p.frequency_penalty) = (0.7, 0.2),
    |p| p.dry = Some(Dry { allowed_length: 1, sequence_breakers: vec![4, 70], ..Dry::default() }),
    |p| {
        // Any two likely tokens, and the first of them again.
        p.bad_words = (0..100).map(|pair| vec![pair / 10, pair % 10, pair / 10]).collect();
        p.bad_words.extend([vec![3, 4], vec![5, 6], vec![9], vec![7, 7]]);
    },
    |p| (p.mirostat, p.n) = (Some(Mirostat { tau: 2.0, eta: 0.3 }), 3),
    |p| p.top_p = 0.9,
    |p| {
        (p.temperature, p.repetition_penalty, p.frequency_penalty) = (0.0, 1.2, 0.1);
        p.raw_logprobs = Some(3);
    },
    |p| {
        (p.repetition_penalty, p.frequency_penalty, p.penalty_last_n) = (0.9, -0.1, Some(20));
        p.dry = Some(Dry { allowed_length: 2, last_n: Some(30), base: 1.1, ..Dry::default() });
        p.mirostat = Some(Mirostat { tau: 3.0, eta: 0.1 });
        p.bad_words = vec![vec![2, 3], vec![1, 1]];
        (p.min_tokens, p.stop_token_ids) = (40, vec![0, 1, 2]);
        p.logit_bias = vec![(3, 1.5), (5, -2.0), (8, 0.7)];
        (p.dynatemp_range, p.raw_logprobs) = (0.3, Some(4));
    },
    |p| {
        (p.presence_penalty, p.penalty_last_n, p.n) = (0.4, None, 2);
        p.logit_bias = (0..40).map(|token| (token, token as f32 / 30.0)).collect();
        p.repetition_penalty = 1.1;
        p.penalty_exempt_token_ids = vec![6, 2];
    },
    |p| p.no_repeat_ngram_size = 2,
    |p| {
        (p.no_repeat_ngram_size, p.no_repeat_ngram_window) = (1, Some(5));
        p.penalty_exempt_token_ids = vec![3, 1];
    },
    |p| (p.no_repeat_ngram_size, p.no_repeat_ngram_window, p.temperature) = (3, Some(25), 0.0),
    |p| (p.no_repeat_ngram_size, p.penalty_exempt_token_ids) = (1, vec![2]),
    |p| {
        (p.no_repeat_ngram_size, p.no_repeat_ngram_window) = (1, Some(40));
        p.dry = Some(Dry { allowed_length: 1, ..Dry::default() });
    },
    |p| (p.repetition_penalty, p.dry) = (1.4, Some(Dry { allowed_length: 1, ..Dry::default() })),
    |p| p.dry = Some(Dry { allowed_length: 1, last_n: Some(9), ..Dry::default() }),
    |p| p.no_repeat_ngram_size = 6,
    // What ends a request.
    |p| (p.stop_token_ids, p.min_tokens) = (vec![70, 4, 71], 9),
    |p| p.max_tokens = Some(20),
    |p| (p.stop_token_ids, p.max_tokens, p.temperature) = (vec![96, 94], Some(44), 0.0),
    |p| {
        (p.stop_token_ids, p.max_tokens, p.min_tokens) = (vec![3, 90], Some(33), 4);
        (p.frequency_penalty, p.no_repeat_ngram_size, p.n) = (0.2, 3, 2);
    },
    |p| {
        (p.stop_token_ids, p.max_tokens) = (vec![95], Some(41));
        (p.mirostat, p.dry) = (Some(Mirostat { tau: 4.0, eta: 0.2 }), Some(Dry::default()));
    },
];

fn requests() -> Vec<Request> {
    let request = |(number, change): (usize, &Change)| {
        let mut params =
            SamplingParams { seed: Some(number as u64), processed_logprobs: Some(5), ..Default::default() };
        change(&mut params);
        let prompt: &[u32] = if number % 2 == 0 { &[5, 6, 7, 5, 6, 1 << 21, 1, 2] } else { &[] };
        Request::with_prompt(params, prompt).expect("in range")
    };
    KINDS.iter().enumerate().map(request).collect()
}

/// A few tokens are likely, so that they come again.
fn logits() -> Vec<f32> {
    let value = |i: u32| {
        let noise = i.wrapping_mul(0x9e37_79b1) >> 20;
        noise as f32 / 800.0 + if (i as usize) % VOCAB < 10 { 3.0 } else { 0.0 }
    };
    (0..).map(value).take(STEPS * KINDS.len() * VOCAB).collect()
}

/// The step at which a request joins.
fn joins(request: usize) -> usize {
    request * 3 % 8
}

/// Who takes part in a step, in the order of the rows: some join late, some leave early, and they change places.
fn active(step: usize) -> Vec<usize> {
    let mut list: Vec<usize> = (0..KINDS.len())
        .filter(|&request| (joins(request)..STEPS - 5 * (request % 3)).contains(&step))
        .collect();
    let places = step % list.len();
    list.rotate_left(places);
    list
}

/// The samples of every step if each is waited for.
fn waited(values: &[f32]) -> Vec<Vec<Sample>> {
    let mut requests = requests();
    let mut all = Vec::new();
    for step in 0..STEPS {
        let active = active(step);
        let first = step * KINDS.len() * VOCAB;
        let own = &values[first..][..active.len() * VOCAB];
        let rows: Vec<_> =
            active.iter().map(|&number| requests[number].row((step - joins(number)) as u64)).collect();
        let logits = Logits::f32(own, rows.len(), VOCAB).expect("a batch");
        let samples = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
        for (&number, sample) in active.iter().zip(&samples) {
            requests[number].accept(sample).expect("in turn");
        }
        all.push(samples);
    }
    all
}

/// The same if the host accepts so many steps late.
fn ahead(gpu: &Gpu, values: &[f32], late: usize) -> Result<Vec<Vec<Sample>>> {
    let mut requests = requests();
    let source = gpu.upload(bytemuck::cast_slice(values))?;
    let histories = gpu.sampler().histories(KINDS.len(), TOKENS)?;
    let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
    let (mut pending, mut all) = (std::collections::VecDeque::new(), Vec::new());
    for step in 0..STEPS + late {
        if step < STEPS {
            let active = active(step);
            let rows: Vec<_> =
                active.iter().map(|&number| requests[number].row((step - joins(number)) as u64)).collect();
            let packed = GpuLogits::packed(&source, Dtype::F32, rows.len(), VOCAB);
            let batch = GpuLogits { byte_offset: (step * KINDS.len() * VOCAB * 4) as u64, ..packed };
            pending.push_back(gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, &rows, &buffers))?);
        }
        if step >= late {
            let samples: Vec<Sample> = pending.pop_front().expect("in flight").wait()?;
            for (&number, sample) in active(step - late).iter().zip(&samples) {
                requests[number].accept(sample).expect("in turn");
            }
            all.push(samples);
        }
    }
    Ok(all)
}

/// The steps with which requests finish, and whether a stop token is why.
fn ends(samples: &[Vec<Sample>]) -> Vec<(usize, bool)> {
    let of_step = |(step, samples): (usize, &Vec<Sample>)| {
        let last = samples.iter().filter(|sample| !sample.draws.is_empty());
        last.filter_map(|sample| sample.finish_reason)
            .map(|reason| (step, reason == FinishReason::Stop))
            .collect::<Vec<_>>()
    };
    samples.iter().enumerate().flat_map(of_step).collect()
}

/// The first difference: step, row, request.
fn difference(got: &[Vec<Sample>], expected: &[Vec<Sample>]) -> Option<String> {
    got.iter().zip(expected).enumerate().find_map(|(step, (got, expected))| {
        let row = got.iter().zip(expected).position(|(got, expected)| got != expected)?;
        Some(format!("step {step}, request {}: {:?} for {:?}", active(step)[row], got[row], expected[row]))
    })
}

#[test]
fn steps_without_a_wait_equal_as_many_waits() {
    let gpu = Gpu::any().expect("an adapter");
    let values = logits();
    let expected = waited(&values);
    let ends = ends(&expected);
    let stops = ends.iter().filter(|(_, is_stop)| *is_stop).count();
    assert!(stops >= 3 && ends.len() - stops >= 3, "requests finish, for either reason: {ends:?}");
    for late in [STEPS, 5, 1, 0] {
        let got = ahead(&gpu, &values, late).expect("samples");
        assert_eq!(difference(&got, &expected), None, "accepted {late} steps late");
    }
    let mut one_off = expected.clone();
    let last = one_off.last_mut().expect("steps");
    last.iter_mut().find_map(|sample| sample.draws.first_mut()).expect("a draw").token ^= 1;
    assert!(difference(&one_off, &expected).is_some(), "a token is seen");
    let (step, _) = ends[0];
    let mut goes_on = expected.clone();
    goes_on[step].iter_mut().for_each(|sample| sample.finish_reason = None);
    assert!(difference(&goes_on, &expected).is_some(), "an end is seen");
}

/// So do steps of which the tokens alone are wanted; of rows that lie anywhere, and whose tokens go anywhere.
#[test]
fn tokens_alone_run_ahead_too() {
    use wgpu::BufferUsages as Usage;
    let gpu = Gpu::any().expect("an adapter");
    let (values, requests, most) = (logits(), requests(), KINDS.len() as u64);
    let source = gpu.upload(bytemuck::cast_slice(&values)).expect("uploaded");
    let histories = gpu.sampler().histories(KINDS.len(), TOKENS).expect("made");
    let tokens = gpu.buffer(STEPS as u64 * most * 4, Usage::COPY_DST | Usage::COPY_SRC).expect("made");
    for step in 0..STEPS {
        let rows: Vec<_> = active(step)
            .into_iter()
            .map(|number| requests[number].row((step - joins(number)) as u64))
            .collect();
        let places: Vec<u64> = (step as u64 * most..).take(rows.len()).collect();
        let starts: Vec<u64> = places.iter().map(|place| place * VOCAB as u64).collect();
        let packed = GpuLogits::packed(&source, Dtype::F32, rows.len(), VOCAB);
        let batch = GpuLogits { row_offsets: &starts, ..packed };
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput::new(&tokens)),
            token_offsets: &places,
            histories: Some(&histories),
            ..SampleBuffers::default()
        };
        gpu.submit(|encoder| gpu.sampler().sample_tokens(encoder, &batch, &rows, &buffers))
            .expect("recorded");
    }
    let got = gpu.read(&tokens).expect("read");
    for (step, samples) in waited(&values).iter().enumerate() {
        let expected: Vec<u32> =
            samples.iter().map(|sample| sample.draws.first().map_or(NO_TOKEN, |drawn| drawn.token)).collect();
        assert_eq!(got[step * KINDS.len()..][..expected.len()], expected, "step {step}");
    }
}

/// Faults of one token that the cases of validation do not show, which has more; each changes a sample or loses a row.
const FAULTS: &[(&str, &str, &str)] = &[
    ("a window is one token longer", "if place >= window {", "if place > window {"),
    ("kept biases are forgotten", "bias = atomicLoad(&words[kept + 4u]);", ""),
    ("the limit moves the other way", "vec2<bool>(is_above)", "vec2<bool>(!is_above)"),
    ("a surprise of one bit more", "(43u << 26u)", "(42u << 26u)"),
    ("a prompt is not repeated", "is_repeated || is_kept", "is_repeated"),
    (
        "nothing breaks a repeat",
        "select(before + 1u, 0u, atomicLoad",
        "select(before + 1u, before + 1u, atomicLoad",
    ),
    ("a repeat costs one token more", "min(repeat - least,", "min(repeat + 1u - least,"),
    ("DRY looks at all tokens", "first_of(asked(AHEAD_DRY_LAST))", "0u"),
    ("a breaker may go on", "&& !is_breaker(token_at(place))", ""),
    ("bad words end anywhere", "token_at(n_tokens - count + i)", "token_at(n_tokens - count)"),
    ("an n-gram looks at all tokens", "first_of(asked(AHEAD_NGRAM_LAST))", "0u"),
    ("no stop token is early", "asked(AHEAD_STOPS), (flags & HAS_EARLY) != 0u", "asked(AHEAD_STOPS), false"),
    ("the first stop token ends nothing", "is_listed(stops_at(), asked", "is_listed(stops_at() + 1u, asked"),
    ("what has finished goes on", "status & (STATUS_STOP | STATUS_LENGTH)", "0u"),
    ("a length is a stop", "finish = STATUS_LENGTH;", "finish = STATUS_STOP;"),
    (
        "a row behind the end is drawn",
        "words[row * REQUEST_WORDS + REQUEST_FLAGS], finish",
        "words[row * REQUEST_WORDS + REQUEST_FLAGS], 0u",
    ),
];

/// Some are found by the self-check of an engine's own device too.
#[test]
fn faults_show_in_the_self_check() {
    let gpu = Gpu::any().expect("an adapter");
    for (right, wrong) in [
        ("vec2<bool>(is_above)", "vec2<bool>(!is_above)"),
        ("n_tokens - 1u] = token;", "n_tokens - 2u] = token;"),
        ("finish = STATUS_LENGTH;", "finish = STATUS_STOP;"),
    ] {
        let planted = row_history::KERNEL.replaced(right, wrong);
        let faulty = gpu.beside(SamplerOptions::default(), Some(planted)).expect("compiles");
        let outcome = faulty.sampler().self_check(Kernels::Histories, Dtype::F32);
        assert!(matches!(outcome, Err(Error::Mismatch(_))), "{wrong}: {outcome:?}");
    }
}

#[test]
fn planted_faults_are_found_ahead() {
    let gpu = Gpu::any().expect("an adapter");
    let values = logits();
    let expected = waited(&values);
    let passes = |(what, right, wrong): &&(&str, &str, &str)| {
        let planted = row_history::KERNEL.replaced(right, wrong);
        let faulty = gpu.beside(SamplerOptions::default(), Some(planted)).expect(what);
        [3, STEPS]
            .iter()
            .all(|&late| ahead(&faulty, &values, late).is_ok_and(|got| difference(&got, &expected).is_none()))
    };
    let wanted = FAULTS.iter().enumerate().filter(|(number, (what, ..))| is_wanted(*number, what));
    let wanted: Vec<_> = wanted.map(|(_, fault)| fault).collect();
    assert!(!wanted.is_empty(), "no fault is called so: SORTILEGE_FAULTS");
    let unseen: Vec<_> = wanted.into_iter().filter(passes).map(|(what, ..)| what).collect();
    assert_eq!(unseen, [""; 0].iter().collect::<Vec<_>>());
}

/// Stop tokens change no logits: one distribution is summed up for raw and processed logprobs.
#[test]
fn what_only_ends_a_request_is_read_for_one_distribution() {
    let gpu = Gpu::any().expect("an adapter");
    let source = gpu.upload(bytemuck::cast_slice(&logits())).expect("uploaded");
    let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
    let histories = gpu.sampler().histories(1, TOKENS).expect("made");
    let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
    let plan = |min_tokens, frequency_penalty| {
        let params = SamplingParams {
            raw_logprobs: Some(2),
            stop_token_ids: vec![3],
            min_tokens,
            frequency_penalty,
            ..Default::default()
        };
        let request = Request::new(params).expect("in range");
        let rows = [request.row(0)];
        let pending = gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, &rows, &buffers));
        pending.expect("recorded").plan().to_string()
    };
    assert!(plan(0, 0.0).contains("row_history") && plan(0, 0.0).contains("for 1 distribution\n"));
    for changed in [plan(1, 0.0), plan(0, 0.5)] {
        assert!(changed.contains("for 2 distributions"), "{changed}");
    }
}

/// A step that another sampler recorded is missed like one of this sampler's.
#[test]
fn samplers_that_share_histories_have_no_call_in_common() {
    let gpu = Gpu::any().expect("an adapter");
    let source = gpu.upload(bytemuck::cast_slice(&logits())).expect("uploaded");
    let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
    let histories = gpu.sampler().histories(1, TOKENS).expect("made");
    let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
    let params = SamplingParams { presence_penalty: 0.5, seed: Some(2), ..Default::default() };
    let request = Request::new(params).expect("in range");
    let [first, second] = [(); 2].map(|()| gpu.sampler().with(SamplerOptions::default()).expect("another"));
    let step = |position| {
        let rows = [request.row(position)];
        gpu.submit(|encoder| first.sample(encoder, &batch, &rows, &buffers)).and_then(super::Pending::wait)
    };
    step(0).expect("a sample");
    let mut dropped = gpu.device().create_command_encoder(&Default::default());
    drop(second.sample(&mut dropped, &batch, &[request.row(1)], &buffers).expect("recorded"));
    drop(dropped);
    assert_eq!(step(2).expect("answered")[0].status, Status::LostHistory);
}

/// A step that never ran takes its successors with it, until the host has told what it knows; what does not look back draws on.
#[test]
fn a_step_that_did_not_run_is_missed() {
    let gpu = Gpu::any().expect("an adapter");
    let values = logits();
    let source = gpu.upload(bytemuck::cast_slice(&values)).expect("uploaded");
    let batch = GpuLogits::packed(&source, Dtype::F32, 1, VOCAB);
    let histories = gpu.sampler().histories(1, TOKENS).expect("made");
    let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
    let params = SamplingParams { frequency_penalty: 0.3, seed: Some(1), ..Default::default() };
    let mut request = Request::new(params).expect("in range");
    let step = |request: &Request, position: u64| {
        let rows = [request.row(position)];
        gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, &rows, &buffers))
            .and_then(super::Pending::wait)
    };
    let first = step(&request, 0).expect("a sample");
    let mut dropped = gpu.device().create_command_encoder(&Default::default());
    drop(gpu.sampler().sample(&mut dropped, &batch, &[request.row(1)], &buffers).expect("recorded"));
    drop(dropped);
    let lost = step(&request, 2).expect("answered");
    assert!(lost[0].status == Status::LostHistory && lost[0].draws.is_empty(), "{lost:?}");
    assert_eq!((lost[0].seed, lost[0].position), (1, 2));
    let mut after = request.clone();
    after.accept(&lost[0]).expect("nothing");
    assert_eq!(after.output(), request.output(), "there is nothing to accept");
    request.accept(&first[0]).expect("in turn");
    step(&request, 1).expect("the host knows all");
    step(&request, 2).expect("and it runs ahead again");
    let message = step(&request, 4).expect_err("a step is left out").to_string();
    assert!(message.contains("needs all 4 before it, of which 1 are known"), "{message}");
    let other = Request::new(request.params().clone()).expect("in range");
    let together = [request.row(3), other.row(0)];
    let two = GpuLogits::packed(&source, Dtype::F32, 2, VOCAB);
    let sample = |rows: &[crate::Row<'_>]| {
        gpu.submit(|encoder| gpu.sampler().sample(encoder, &two, rows, &buffers)).map(|_| ())
    };
    let message = sample(&together).expect_err("too many").to_string();
    assert!(message.contains("which hold 1 requests"), "{message}");
    let long = Request::with_prompt(request.params().clone(), &[1; TOKENS + 1]).expect("in range");
    let message = step(&long, 0).expect_err("too long").to_string();
    assert!(message.contains("81 tokens before it, the histories hold 80"), "{message}");
    assert!(gpu.sampler().histories(0, 5).is_err() && gpu.sampler().histories(1 << 20, 1 << 20).is_err());
}
