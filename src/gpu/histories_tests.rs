//! Who has a slot, and what it goes on from (long: each test is a run of calls, whole as an engine makes it): when calls fail, and
//! samples are not those that the device goes on from.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::{Gpu, GpuLogits, Histories, SampleBuffers, SamplerOptions};
use crate::answer::{Sample, Status};
use crate::cpu::Cpu;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kernels::loop_rounds;
use crate::logits::{Dtype, Logits};
use crate::params::{Dry, SamplingParams};
use crate::request::{Request, Row, SampleInputs};

const VOCAB: usize = 40;
/// Rows of logits, one for each position.
const POSITIONS: u32 = 8;

/// A device with logits, and histories for so many requests.
struct Bench {
    gpu: Gpu,
    values: Vec<f32>,
    source: wgpu::Buffer,
    histories: Histories,
}

impl Bench {
    fn new(requests: usize) -> Self {
        Self::on(Gpu::any().expect("an adapter"), requests)
    }

    fn on(gpu: Gpu, requests: usize) -> Self {
        let value = |i: u32| (i.wrapping_mul(0x9e37_79b1) >> 20) as f32 / 900.0;
        let values: Vec<f32> = (0..POSITIONS * VOCAB as u32).map(value).collect();
        let source = gpu.upload(bytemuck::cast_slice(&values)).expect("uploaded");
        let histories = gpu.sampler().histories(requests, 4096).expect("made");
        Self { gpu, values, source, histories }
    }

    /// The rows at once, each with the logits of the first one's position.
    fn sample(&self, rows: &[Row<'_>]) -> Result<Vec<Sample>> {
        self.sample_at(rows[0].position, rows)
    }

    /// The same with those of another.
    fn sample_at(&self, position: u64, rows: &[Row<'_>]) -> Result<Vec<Sample>> {
        let starts = vec![position % u64::from(POSITIONS) * VOCAB as u64; rows.len()];
        let packed = GpuLogits::packed(&self.source, Dtype::F32, rows.len(), VOCAB);
        let batch = GpuLogits { row_offsets: &starts, ..packed };
        self.sample_of(&batch, rows)
    }

    fn sample_of(&self, batch: &GpuLogits<'_>, rows: &[Row<'_>]) -> Result<Vec<Sample>> {
        self.sample_in(&self.histories, batch, rows)
    }

    fn sample_in(
        &self,
        histories: &Histories,
        batch: &GpuLogits<'_>,
        rows: &[Row<'_>],
    ) -> Result<Vec<Sample>> {
        let buffers = SampleBuffers { histories: Some(histories), ..SampleBuffers::default() };
        self.gpu.submit(|encoder| self.gpu.sampler().sample(encoder, batch, rows, &buffers))?.wait()
    }

    /// What the CPU engine draws at that position.
    fn expected(&self, row: Row<'_>) -> Sample {
        let first = row.position as usize % POSITIONS as usize * VOCAB;
        let own = &self.values[first..][..VOCAB];
        let logits = Logits::f32(own, 1, VOCAB).expect("a row");
        Cpu.sample(&logits, &[row], &SampleInputs::default()).expect("a sample").remove(0)
    }
}

fn request(seed: u64, change: impl FnOnce(&mut SamplingParams)) -> Request {
    let mut params = SamplingParams { seed: Some(seed), ..SamplingParams::default() };
    change(&mut params);
    Request::new(params).expect("in range")
}

/// One that looks at its tokens.
fn looking(seed: u64) -> Request {
    request(seed, |p| (p.presence_penalty, p.frequency_penalty) = (1.5, 0.5))
}

/// Requests that run ahead go on as if a call that failed had not been made.
#[test]
fn a_call_that_fails_takes_nobodys_place() {
    let bench = Bench::new(2);
    let running = [looking(1), request(2, |p| p.stop_token_ids = vec![0])];
    let others: Vec<Request> = (3..6).map(looking).collect();
    let mut waited = running.clone();
    let too_small = bench.gpu.upload(&[0; 8]).expect("uploaded");
    for position in 0..u64::from(POSITIONS) {
        let rows = [0, 1].map(|number| running[number].row(position));
        let got = bench.sample(&rows).expect("both have a slot");
        for (waited, got) in waited.iter_mut().zip(got) {
            let mut expected = bench.expected(waited.row(position));
            expected.reopened = got.reopened;
            assert_eq!(got, expected, "position {position}");
            waited.accept(&expected).expect("in turn");
        }
        let others: Vec<Row<'_>> = others.iter().map(|request| request.row(0)).collect();
        let refused = match position % 4 {
            // Two of three have found a place then.
            0 => bench.sample(&others),
            // All have, and the logits are not there.
            1 => bench.sample_of(&GpuLogits::packed(&too_small, Dtype::F32, 2, VOCAB), &others[..2]),
            // The second row is impossible.
            2 => bench.sample(&[others[0], others[1].request.row(5)]),
            // One that runs ahead already, twice, and one too many beside it.
            _ => bench.sample(&[running[0].row(position + 1), others[1], others[2]]),
        };
        assert!(refused.is_err(), "position {position}: {refused:?}");
    }
}

/// A sample without a draw is a place in the device's history, and none in the host's: nothing is counted twice.
#[test]
fn a_row_without_a_draw_is_counted_once() {
    let bench = Bench::new(1);
    let nothing = bench.gpu.upload(bytemuck::cast_slice(&[f32::NAN; VOCAB])).expect("uploaded");
    let mut request = looking(7);
    let nothing = bench.sample_of(&GpuLogits::packed(&nothing, Dtype::F32, 1, VOCAB), &[request.row(0)]);
    let nothing = nothing.expect("answered").remove(0);
    assert_eq!((nothing.status, nothing.draws.len()), (Status::Nan, 0));
    let ahead: Vec<Sample> =
        (1..3).map(|position| bench.sample(&[request.row(position)]).expect("ahead").remove(0)).collect();
    request.accept(&nothing).expect("in turn");
    request.accept(&ahead[0]).expect("in turn");
    let refused = bench.sample(&[request.row(3)]).expect_err("the places are no longer the same");
    assert!(refused.to_string().contains("needs all 3 before it, of which 1 are known"), "{refused}");
    let mut expected = bench.expected(request.row(1));
    let got = bench.sample(&[request.row(1)]).expect("the host knows all").remove(0);
    expected.reopened = got.reopened;
    assert_eq!(got, expected);
}

/// Nor does one equal another, or a token of the prompt that is none of the vocabulary.
#[test]
fn rows_without_a_draw_equal_nothing() {
    let bench = Bench::new(1);
    let nothing = bench.gpu.upload(bytemuck::cast_slice(&[f32::NAN; VOCAB])).expect("uploaded");
    let nothing = GpuLogits::packed(&nothing, Dtype::F32, 1, VOCAB);
    let likeliest = bench.expected(request(0, |p| p.temperature = 0.0).row(1)).draws[0].token;
    let ngrams: fn(&mut SamplingParams) = |p| p.no_repeat_ngram_size = 2;
    let dry: fn(&mut SamplingParams) =
        |p| p.dry = Some(Dry { multiplier: 100.0, allowed_length: 1, ..Dry::default() });
    for (name, change) in [("n-grams", ngrams), ("DRY", dry)] {
        for (prompt, rows) in [(vec![5], "nothing, a token, nothing"), (vec![u32::MAX, likeliest], "nothing")]
        {
            let mut params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
            change(&mut params);
            let request = Request::with_prompt(params, &prompt).expect("in range");
            let mut rows_before = 0;
            for row in rows.split(", ") {
                let row_here = [request.row(rows_before)];
                let sample = if row == "nothing" {
                    bench.sample_of(&nothing, &row_here)
                } else {
                    bench.sample_at(1, &row_here)
                };
                sample.expect("ahead");
                rows_before += 1;
            }
            let got = bench.sample_at(1, &[request.row(rows_before)]).expect("ahead").remove(0);
            assert_eq!(got.draws[0].token, likeliest, "{name}, {prompt:?}, {rows}");
        }
    }
}

/// A token that was drawn and not accepted is not gone on from.
#[test]
fn what_was_not_accepted_is_forgotten() {
    let bench = Bench::new(1);
    let likeliest =
        |position| bench.expected(request(0, |p| p.temperature = 0.0).row(position)).draws[0].token;
    let [first, discarded, accepted, next] = [0, 1, 4, 2].map(likeliest);
    let mut request = request(3, |p| (p.temperature, p.bad_words) = (0.0, vec![vec![discarded, next]]));
    let sample = bench.sample(&[request.row(0)]).expect("a sample").remove(0);
    request.accept(&sample).expect("in turn");
    bench.sample(&[request.row(1)]).expect("ahead");
    let draft = [first];
    let verified =
        bench.sample_at(4, &[Row { draft: &draft, ..request.row(1) }]).expect("verified").remove(0);
    assert_eq!((verified.accepted, verified.draws[0].token), (Some(false), accepted));
    request.accept(&verified).expect("in turn");
    let got = bench.sample(&[request.row(2)]).expect("a sample").remove(0);
    assert_eq!(got.draws[0].token, next, "it would be bad behind {discarded}, which is not there");
}

/// What would take more rounds of loops than the device carries out is refused, not computed wrong.
#[test]
fn a_history_over_the_rounds_of_a_device_is_refused() {
    let right = "state = state * 1664525u";
    let cut = loop_rounds::KERNEL
        .replaced(right, &format!("if i * chunk.vocab + j >= {}u {{ break; }} {right}", 1 << 13));
    let gpu = Gpu::any().expect("an adapter");
    let wary = Bench::on(gpu.beside_checked(SamplerOptions::default(), cut).expect("a sampler"), 1);
    let sound = Bench::on(gpu, 1);
    let breakers = |p: &mut SamplingParams| {
        let sequence_breakers = (8..40).rev().collect();
        p.dry = Some(Dry { sequence_breakers, ..Dry::default() });
    };
    let mut request = request(1, breakers);
    for token in 0..4000 {
        request.accept_token(token % 7);
    }
    let position = request.output().len() as u64;
    let refused = wary.sample(&[request.row(position)]).expect_err("too many rounds");
    assert!(matches!(refused.kind(), Error::Limit(why) if why.contains("7168 without a fault")), "{refused}");
    sound.sample(&[request.row(position)]).expect("few for this one");
}

/// Who leaves where there is no place: those that lose nothing first.
#[test]
fn those_that_lose_the_least_leave_first() {
    let bench = Bench::new(3);
    let draw = |request: &Request, position| {
        bench.sample(&[request.row(position)]).map(|samples| samples[0].clone())
    };
    let (running, dropped, mut accepted) = (looking(1), looking(2), looking(3));
    for request in [&running, &dropped] {
        draw(request, 0).expect("a place");
    }
    let sample = draw(&accepted, 0).expect("a place");
    accepted.accept(&sample).expect("in turn");
    drop(dropped);
    let newcomers = [looking(4), looking(5), looking(6)];
    draw(&newcomers[0], 0).expect("the place of the dropped one");
    draw(&running, 1).expect("it runs ahead");
    draw(&newcomers[1], 0).expect("the place of the accepted one");
    draw(&running, 2).expect("it runs ahead");
    // All others run ahead now, and were drawn from before it: one of them leaves.
    draw(&accepted, 1).expect("it enters again");
    draw(&running, 3).expect("it runs ahead");
    let refused = draw(&newcomers[0], 1).expect_err("it left, and its token is not accepted");
    assert_eq!(refused.row(), Some(0));
    assert!(refused.to_string().contains("another request has its place (3 places"), "{refused}");
    let finished = request(7, |p| (p.presence_penalty, p.max_tokens) = (1.0, Some(1)));
    let mut finished = finished;
    let sample = draw(&finished, 0).expect("the place of the accepted one");
    finished.accept(&sample).expect("in turn");
    draw(&newcomers[2], 0).expect("the place of the finished one");
    draw(&running, 4).expect("it runs ahead");
    draw(&newcomers[1], 1).expect_err("it left for the one that has finished");
}

/// Histories are of the device that they were made on, and what goes wrong with them says why.
#[test]
fn what_the_histories_cannot_tell_is_named() {
    let (bench, other) = (Bench::new(2), Bench::new(2));
    let request = looking(1);
    let batch = GpuLogits::packed(&bench.source, Dtype::F32, 1, VOCAB);
    let foreign = bench.sample_in(&other.histories, &batch, &[request.row(0)]);
    let message = foreign.expect_err("of another device").to_string();
    assert!(message.contains("another sampler's"), "{message}");
    let why = |request: &Request, position| {
        let refused = bench.sample(&[request.row(position)]).expect_err("not known");
        assert_eq!(refused.row(), Some(0), "{refused}");
        refused.to_string()
    };
    assert!(why(&request, 1).contains("it has not entered"));
    let mut changed = looking(2);
    bench.sample(&[changed.row(0)]).expect("a sample");
    assert!(why(&changed, 3).contains("2 steps before it were not recorded"), "{}", why(&changed, 3));
    changed.set_params(changed.params().clone()).expect("the same");
    bench.sample(&[changed.row(1)]).expect("it runs ahead");
    assert!(why(&changed, 1).contains("was recorded already"), "{}", why(&changed, 1));
    let params = SamplingParams { presence_penalty: 0.1, ..changed.params().clone() };
    changed.set_params(params).expect("others");
    assert!(why(&changed, 2).contains("parameters have changed"), "{}", why(&changed, 2));
}

/// Of a position that was drawn twice, here and elsewhere or by other histories, the accepted draw is gone on from.
#[test]
fn the_accepted_draw_is_gone_on_from() {
    let bench = Bench::new(1);
    let others = bench.gpu.sampler().histories(1, 4096).expect("made");
    let at_other_logits = |histories: &Histories, row: Row<'_>| {
        let packed = GpuLogits::packed(&bench.source, Dtype::F32, 1, VOCAB);
        let batch = GpuLogits { row_offsets: &[5 * VOCAB as u64], ..packed };
        bench.sample_in(histories, &batch, &[row]).expect("a sample").remove(0)
    };
    for seed in 0..4 {
        for way in ["a detached row", "twice, the first", "twice, the second", "other histories"] {
            // Each token bans another as the next one.
            let pair = |token| vec![token, (token + 1) % VOCAB as u32];
            let mut request = request(seed, |p| p.bad_words = (0..VOCAB as u32).map(pair).collect());
            let first = bench.sample(&[request.row(0)]).expect("a sample").remove(0);
            request.accept(&first).expect("in turn");
            let once = bench.sample(&[request.row(1)]).expect("a sample").remove(0);
            let accepted = match way {
                "a detached row" => at_other_logits(&bench.histories, request.row(1).detached()),
                "other histories" => at_other_logits(&others, request.row(1)),
                _ => at_other_logits(&bench.histories, request.row(1)),
            };
            let accepted = if way == "twice, the first" { once.clone() } else { accepted };
            request.accept(&accepted).expect("in turn");
            let mut expected = bench.expected(request.row(2));
            let got = bench.sample(&[request.row(2)]).expect("a sample").remove(0);
            expected.reopened = got.reopened;
            assert_eq!(
                got,
                expected,
                "{way}, seed {seed}: {:?} and not {:?}",
                accepted.token(),
                once.token()
            );
        }
    }
}

/// A call that fails leaves a request in the histories that it was in.
#[test]
fn a_call_that_fails_enters_nothing() {
    let bench = Bench::new(1);
    let others = bench.gpu.sampler().histories(2, 4096).expect("made");
    let packed = GpuLogits::packed(&bench.source, Dtype::F32, 1, VOCAB);
    let other_logits = GpuLogits { row_offsets: &[5 * VOCAB as u64], ..packed };
    let too_small = bench.gpu.upload(&[0; 8]).expect("uploaded");
    let too_small = GpuLogits::packed(&too_small, Dtype::F32, 1, VOCAB);
    let sample = |histories: &Histories, batch: &GpuLogits<'_>, row: Row<'_>| {
        bench.sample_in(histories, batch, &[row]).map(|mut samples| samples.remove(0))
    };
    let pair = |token| vec![token, (token + 1) % VOCAB as u32];
    for seed in 0..4 {
        // What the others drew is accepted; then a call of these fails, and is made again.
        let mut accepted = request(seed, |p| p.bad_words = (0..VOCAB as u32).map(pair).collect());
        sample(&bench.histories, &packed, accepted.row(0)).expect("a sample");
        let elsewhere = sample(&others, &other_logits, accepted.row(0)).expect("a sample");
        accepted.accept(&elsewhere).expect("in turn");
        sample(&bench.histories, &too_small, accepted.row(1)).expect_err("it does not fit");
        let mut expected = bench.expected(accepted.row(1));
        let got = bench.sample(&[accepted.row(1)]).expect("a sample").remove(0);
        expected.reopened = got.reopened;
        assert_eq!(got, expected, "seed {seed}");
        // It runs ahead here, and a call of the others, which it never was in, fails.
        let running = request(seed, |p| p.bad_words = (0..VOCAB as u32).map(pair).collect());
        sample(&bench.histories, &packed, running.row(0)).expect("a sample");
        sample(&others, &too_small, running.row(0)).expect_err("it does not fit");
        bench.sample(&[running.row(1)]).expect("it runs ahead");
    }
}

/// Samples of other requests, out of turn and twice are no next token.
#[test]
fn samples_are_accepted_in_turn() {
    let bench = Bench::new(1);
    let mut request = looking(1);
    let samples: Vec<Sample> =
        (0..3).map(|position| bench.sample(&[request.row(position)]).expect("a sample").remove(0)).collect();
    let refused = |request: &mut Request, sample: &Sample, why: &str| {
        let (before, error) = (request.output().to_vec(), request.accept(sample).expect_err(why));
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(request.output(), before);
    };
    refused(&mut looking(2), &samples[0], "with seed 1, this request draws with 2");
    let beside =
        |stream| Request::new(SamplingParams { stream, ..looking(1).params().clone() }).expect("in range");
    refused(&mut beside(3), &samples[0], "with stream 0, this request draws with 3");
    request.accept(&samples[0]).expect("the first");
    refused(&mut request, &samples[2], "of position 2, and the next one of its request of 1");
    refused(&mut request, &samples[0], "of position 0");
    request.accept(&samples[1]).expect("the second");
    request.accept_token(7);
    refused(&mut request, &samples[2], "the next one of its request of 3");
    // Nor is what was drawn before a token that was given, or before those of a text that goes on.
    let mut given = looking(1);
    let first = bench.expected(given.row(0));
    given.accept_token(7);
    refused(&mut given, &first, "of position 0, and the next one of its request of 1");
    let mut resumed = Request::resume(looking(1).params().clone(), &[], &[8, 9]).expect("in range");
    refused(&mut resumed, &first, "of position 0, and the next one of its request of 2");
    // What was in flight when seed and stream changed is its own, until what was drawn with the new ones has come.
    let mut request = looking(1);
    let late = bench.expected(request.row(3).detached());
    let mut in_flight = vec![bench.expected(request.row(0))];
    for (position, (seed, stream)) in (1..).zip([(2, 0), (2, 5)]) {
        let params = SamplingParams { seed: Some(seed), stream, ..request.params().clone() };
        request.set_params(params).expect("in range");
        in_flight.push(bench.expected(request.row(position).detached()));
    }
    in_flight.iter().for_each(|sample| request.accept(sample).expect("in turn"));
    refused(&mut request, &late, "with seed 1, this request draws with 2");
    for seed in 3..100 {
        request
            .set_params(SamplingParams { seed: Some(seed), ..request.params().clone() })
            .expect("in range");
    }
    let late = Sample { seed: 2, stream: 5, ..late };
    refused(&mut request, &late, "with seed 2, this request draws with 99");
}
