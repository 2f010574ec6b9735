//! Every fault of an answer is seen, and no right one is called wrong (long: a table for each kind of answer).
#![expect(clippy::cast_possible_truncation, reason = "small numbers in tests")]

use super::{Answer, ERROR_LIMIT, KnownRow, Verdict, difference};
use crate::answer::{FinishReason, Logprobs, Sample, Status, TopLogprob};
use crate::proof::synthetic::{KINDS, Kind};
use crate::{Cpu, Engine, Logits, LogprobsParams, NO_TOKEN, Order, Request, SampleInputs, SamplingParams};

const VOCAB: usize = 300;
/// A little more than the promise.
const TOO_FAR: f64 = 1.1e-6;
const PARAMS: LogprobsParams = LogprobsParams { top_logprobs: 5, temperature: 0.8, entropy: true };

type Fault<'a, A> = (&'a str, &'a dyn Fn(&mut A));

fn row_of(kind: &str) -> Vec<f32> {
    Kind::find(kind, KINDS).expect("a kind").logits(VOCAB, 1 << 40)
}

fn batch(row: &[f32]) -> Logits<'_> {
    Logits::f32(row, 1, row.len()).expect("a row")
}

/// Each fault makes the verdict a bad one, and differs from the sound answer.
fn see_all<A: Answer + Clone>(sound: &A, judge: impl Fn(&A) -> Verdict, faults: &[Fault<'_, A>]) {
    let verdict = judge(sound);
    assert!(verdict.is_ok() && verdict.error.is_none_or(|error| error <= ERROR_LIMIT), "sound: {verdict}");
    assert_eq!(difference(sound, &sound.clone()), None);
    let mut unseen = Vec::new();
    for (name, fault) in faults {
        let mut faulty = sound.clone();
        fault(&mut faulty);
        if judge(&faulty).is_ok() {
            unseen.push(format!("{name}, by the definition"));
        }
        if difference(&faulty, sound).is_none() {
            unseen.push(format!("{name}, by the bits"));
        }
    }
    assert!(unseen.is_empty(), "not seen: {unseen:#?}");
}

fn flip(x: &mut f32) {
    *x = f32::from_bits(x.to_bits() ^ 1);
}

#[test]
fn every_fault_of_logprobs_is_seen() {
    let row = row_of("normal");
    let known = KnownRow::new(&batch(&row), 0);
    let given: &[u32] = &[9, 7, 9];
    let sound = Cpu.logprobs_of(&batch(&row), &PARAMS, &[Some(7)], &[given]).expect("an answer").remove(0);
    let judge = |answer: &Logprobs| known.logprobs_of(answer, &PARAMS, Some(7), given);
    see_all(
        &sound,
        judge,
        &[
            ("status", &|a| a.distribution.status = Status::Nan),
            ("max", &|a| flip(&mut a.distribution.max)),
            ("logsumexp", &|a| a.distribution.logsumexp -= TOO_FAR),
            ("logsumexp NaN", &|a| a.distribution.logsumexp = f64::NAN),
            ("entropy", &|a| a.distribution.entropy += TOO_FAR),
            ("entropy infinite", &|a| a.distribution.entropy = f64::INFINITY),
            ("no entries", &|a| a.distribution.top_logprobs.clear()),
            ("one entry less", &|a| a.distribution.top_logprobs.truncate(4)),
            ("one entry more", &|a| a.distribution.top_logprobs.push(a.distribution.top_logprobs[4])),
            ("two swapped", &|a| a.distribution.top_logprobs.swap(1, 2)),
            ("a token from outside", &|a| a.distribution.top_logprobs[0].token = 300),
            ("no token", &|a| a.distribution.top_logprobs[4].token = NO_TOKEN),
            ("logit", &|a| flip(&mut a.distribution.top_logprobs[2].logit)),
            ("logprob", &|a| a.distribution.top_logprobs[3].logprob += TOO_FAR),
            ("logprob NaN", &|a| a.distribution.top_logprobs[0].logprob = f64::NAN),
            ("no target", &|a| a.target = None),
            ("another target", &|a| a.target.as_mut().expect("a target").token = 8),
            ("a target from outside", &|a| a.target.as_mut().expect("a target").token = u32::MAX),
            ("logit of the target", &|a| flip(&mut a.target.as_mut().expect("a target").logit)),
            ("logprob of the target", &|a| a.target.as_mut().expect("a target").logprob -= TOO_FAR),
            ("rank", &|a| a.target.as_mut().expect("a target").n_greater += 1),
            ("ties", &|a| a.target.as_mut().expect("a target").n_equal = 0),
            ("no given tokens", &|a| a.distribution.token_logprobs.clear()),
            ("a given token less", &|a| a.distribution.token_logprobs.truncate(2)),
            ("given tokens in another order", &|a| a.distribution.token_logprobs.swap(0, 1)),
            ("a given token from outside", &|a| a.distribution.token_logprobs[2].token = 300),
            ("logprob of a given token", &|a| a.distribution.token_logprobs[1].logprob += TOO_FAR),
            ("rank of a given token", &|a| a.distribution.token_logprobs[0].n_greater -= 1),
            ("ties of a given token", &|a| a.distribution.token_logprobs[2].n_equal += 1),
            ("a given token is masked", &|a| {
                let given = &mut a.distribution.token_logprobs[0];
                (given.logit, given.logprob) = (f32::NEG_INFINITY, f64::NEG_INFINITY);
            }),
        ],
    );
    let judge =
        |params: LogprobsParams, target, given| known.logprobs_of(&sound, &params, target, given).is_ok();
    assert!(!judge(LogprobsParams { temperature: 0.9, ..PARAMS }, Some(7), given));
    assert!(!judge(LogprobsParams { top_logprobs: 6, ..PARAMS }, Some(7), given));
    assert!(!judge(PARAMS, None, given), "nobody asked about a target");
    assert!(!judge(PARAMS, Some(300), given), "there is no such target");
    assert!(!judge(PARAMS, Some(7), &[]), "nobody asked about other tokens");
    assert!(!judge(PARAMS, Some(7), &[9, 7, 300]), "there is no such token");
}

/// What is promised of improbable and impossible tokens.
#[test]
fn an_improbable_token_must_not_be_called_probable() {
    let row = [40.0, 0.0, f32::NEG_INFINITY];
    let known = KnownRow::new(&batch(&row), 0);
    let params = LogprobsParams::default();
    for (token, right, wrong) in [(1, -39.9, -20.0), (1, -50.0, f64::NAN), (2, f64::NEG_INFINITY, -1e300)] {
        let mut answer = Cpu.logprobs(&batch(&row), &params, &[Some(token)]).expect("an answer").remove(0);
        for (logprob, is_ok) in [(right, true), (wrong, false)] {
            answer.target.as_mut().expect("a target").logprob = logprob;
            assert_eq!(known.logprobs(&answer, &params, Some(token)).is_ok(), is_ok, "{token}: {logprob}");
        }
    }
}

/// A row that is no distribution, and the answer about another one.
#[test]
fn what_is_no_distribution_must_not_be_called_one() {
    for kind in ["NaN", "+inf", "all -inf"] {
        let row = row_of(kind);
        let known = KnownRow::new(&batch(&row), 0);
        let sound = Cpu.logprobs(&batch(&row), &PARAMS, &[Some(7)]).expect("an answer").remove(0);
        see_all(
            &sound,
            |answer| known.logprobs(answer, &PARAMS, Some(7)),
            &[
                ("ok", &|a| a.distribution.status = Status::Ok),
                ("another reason", &|a| {
                    let is_nan = a.distribution.status == Status::Nan;
                    a.distribution.status = if is_nan { Status::NothingFinite } else { Status::Nan };
                }),
                ("max", &|a| a.distribution.max = 1.0),
                ("logsumexp", &|a| a.distribution.logsumexp = 1.0),
                ("entropy", &|a| a.distribution.entropy = 0.0),
            ],
        );
        let other = row_of("normal");
        let of_other = Cpu.logprobs(&batch(&other), &PARAMS, &[Some(7)]).expect("an answer").remove(0);
        assert!(!known.logprobs(&of_other, &PARAMS, Some(7)).is_ok(), "{kind}");
        assert!(!KnownRow::new(&batch(&other), 0).logprobs(&sound, &PARAMS, Some(7)).is_ok(), "{kind}");
    }
}

#[test]
fn every_fault_of_a_scalar_is_seen() {
    for kind in KINDS {
        let row = kind.logits(VOCAB, 1 << 40);
        let known = KnownRow::new(&batch(&row), 0);
        let max = Cpu.row_max(&batch(&row)).expect("an answer")[0];
        let sum = Cpu.log_sum_exp(&batch(&row)).expect("an answer")[0];
        assert!(known.row_max(max).is_ok() && known.log_sum_exp(sum).is_ok(), "{}", kind.name);
        for (name, wrong) in
            [("NaN", f32::NAN), ("infinite", f32::INFINITY), ("lowest", f32::NEG_INFINITY), ("some", 1e9)]
        {
            let is_right =
                |right: f32| right.to_bits() == wrong.to_bits() || (right.is_nan() && wrong.is_nan());
            assert_eq!(known.row_max(wrong).is_ok(), is_right(max), "{}, max {name}", kind.name);
            assert_eq!(known.log_sum_exp(wrong).is_ok(), is_right(sum), "{}, sum {name}", kind.name);
        }
    }
    let known = KnownRow::new(&batch(&[-0.0, -1.0]), 0);
    assert!(known.row_max(0.0).is_ok() && !known.row_max(-0.0).is_ok(), "-0 comes back as 0");
    assert!(!known.row_max(0f32.next_up()).is_ok());
    // Here an f32 has 2^-20 between two of its values.
    let known = KnownRow::new(&batch(&[12.0; 2]), 0);
    let sum = (12.0 + std::f64::consts::LN_2) as f32;
    assert!(known.log_sum_exp(sum).is_ok());
    assert!(!known.log_sum_exp(sum.next_up().next_up().next_up()).is_ok());
}

#[test]
fn every_fault_of_a_log_softmax_is_seen() {
    let mut row = row_of("masked");
    row[5] = f32::NEG_INFINITY;
    let known = KnownRow::new(&batch(&row), 0);
    let sound = Cpu.log_softmax(&batch(&row)).expect("an answer");
    let best = (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("a token");
    see_all(
        &sound,
        |answer| known.log_softmax(answer),
        &[
            ("too far", &|a| a[best] += 2e-6),
            ("NaN", &|a| a[best] = f32::NAN),
            ("impossible", &|a| a[best] = f32::NEG_INFINITY),
            ("an impossible one is possible", &|a| a[5] = -100.0),
            ("an impossible one is lowest", &|a| a[5] = f32::MIN),
            ("infinite", &|a| a[5] = f32::INFINITY),
            ("two swapped", &|a| a.swap(best, 5)),
            ("one less", &|a| a.truncate(VOCAB - 1)),
            ("one more", &|a| a.push(f32::NEG_INFINITY)),
            ("none", &Vec::clear),
        ],
    );
    let row = row_of("NaN");
    let known = KnownRow::new(&batch(&row), 0);
    see_all(
        &Cpu.log_softmax(&batch(&row)).expect("an answer"),
        |answer| known.log_softmax(answer),
        &[("a logprob", &|a| a[299] = -1.0), ("one less", &|a| a.truncate(VOCAB - 1))],
    );
}

#[test]
fn every_fault_of_a_top_k_is_seen() {
    // Few are possible; the list ends before its length.
    let mut row = row_of("zeros of both signs");
    row[4..].fill(f32::NEG_INFINITY);
    row[3] = 1.0;
    let known = KnownRow::new(&batch(&row), 0);
    let sound = Cpu.top_k(&batch(&row), 6).expect("an answer");
    assert_eq!(sound.1, [3, 0, 1, 2, NO_TOKEN, NO_TOKEN]);
    see_all(
        &sound,
        |(logits, tokens)| known.top_k(logits, tokens, 6),
        &[
            ("two ties swapped", &|a| a.1.swap(1, 2)),
            ("a token from outside", &|a| a.1[0] = 300),
            ("a token past the last", &|a| a.1[4] = 4),
            ("no token", &|a| a.1[0] = NO_TOKEN),
            ("one unit", &|a| flip(&mut a.0[0])),
            ("the sign of zero", &|a| a.0[1] = -0.0),
            ("a NaN", &|a| a.0[2] = f32::NAN),
            ("no end", &|a| a.0[5] = f32::MIN),
            ("a logit less", &|a| a.0.truncate(5)),
            ("a token less", &|a| a.1.truncate(5)),
            ("an entry more", &|a| {
                a.0.push(f32::NEG_INFINITY);
                a.1.push(NO_TOKEN);
            }),
        ],
    );
    let row = row_of("+inf");
    let known = KnownRow::new(&batch(&row), 0);
    let sound = Cpu.top_k(&batch(&row), 2).expect("an answer");
    see_all(
        &sound,
        |(logits, tokens)| known.top_k(logits, tokens, 2),
        &[("a token", &|a| a.1[0] = 299), ("a logit", &|a| a.0[0] = f32::INFINITY)],
    );
}

/// An entropy that nobody asked for is one too many.
#[test]
fn an_entropy_unasked_is_seen() {
    let row = row_of("normal");
    let known = KnownRow::new(&batch(&row), 0);
    let params = LogprobsParams { entropy: false, ..PARAMS };
    let mut answer = Cpu.logprobs(&batch(&row), &params, &[]).expect("an answer").remove(0);
    assert!(answer.distribution.entropy.is_nan() && known.logprobs(&answer, &params, None).is_ok());
    answer.distribution.entropy = 1.0;
    assert!(!known.logprobs(&answer, &params, None).is_ok());
}

fn sampled(row: &[f32], request: &Request, draft: &[u32]) -> Sample {
    let probabilities = vec![0.0; row.len()];
    let inputs = SampleInputs { draft: Some(&probabilities), ..SampleInputs::default() };
    let asked = crate::Row { draft, ..request.row(3) };
    Cpu.sample(&batch(row), &[asked], &inputs).expect("an answer").remove(0)
}

#[test]
fn every_fault_of_a_sample_is_seen() {
    let row = row_of("normal");
    let known = KnownRow::new(&batch(&row), 0);
    let request = Request::new(SamplingParams {
        temperature: 0.7,
        top_k: 40,
        min_p: 0.01,
        n: 3,
        logit_bias: vec![(2, 1.5)],
        raw_logprobs: Some(4),
        processed_logprobs: Some(6),
        entropy: true,
        seed: Some(9),
        ..SamplingParams::default()
    })
    .expect("sound");
    let sound = sampled(&row, &request, &[]);
    let judge = |answer: &Sample| known.sample(answer, &request.row(3), None);
    assert!(judge(&sound).error.is_some(), "something is measured");
    see_all(
        &sound,
        judge,
        &[
            ("status", &|s| s.status = Status::Nan),
            ("seed", &|s| s.seed = 8),
            ("temperature", &|s| s.temperature = s.temperature.next_up()),
            ("kept", &|s| s.kept -= 1),
            ("kept mass", &|s| s.kept_mass -= TOO_FAR),
            ("no ends", &|s| s.kept_ends = None),
            ("another first", &|s| s.kept_ends.as_mut().expect("cut")[0].token += 1),
            ("another last", &|s| s.kept_ends.as_mut().expect("cut")[1].token += 1),
            ("logit of the last", &|s| flip(&mut s.kept_ends.as_mut().expect("cut")[1].logit)),
            ("logprob of the last", &|s| s.kept_ends.as_mut().expect("cut")[1].logprob += TOO_FAR),
            ("kept mass NaN", &|s| s.kept_mass = f64::NAN),
            ("accepted", &|s| s.accepted = Some(true)),
            ("finished", &|s| s.finish_reason = Some(FinishReason::Length)),
            ("no draws", &|s| s.draws.clear()),
            ("a draw less", &|s| s.draws.truncate(2)),
            ("a draw more", &|s| s.draws.push(s.draws[0])),
            ("a token from outside", &|s| s.draws[0].token = 300),
            ("no token", &|s| s.draws[2].token = NO_TOKEN),
            ("a token that is not kept", &|s| s.draws[1].token = 299),
            ("logprob of a draw", &|s| s.draws[0].logprob += 1e-12),
            ("both logprobs of a draw", &|s| {
                s.draws[0].logprob += TOO_FAR;
                s.draws[0].processed.logprob = s.draws[0].logprob;
            }),
            ("another token in a draw", &|s| s.draws[0].processed.token = 300),
            ("logit of a draw", &|s| flip(&mut s.draws[1].processed.logit)),
            ("rank of a draw", &|s| s.draws[0].processed.n_greater += 1),
            ("ties of a draw", &|s| s.draws[0].processed.n_equal += 1),
            ("no raw view of a draw", &|s| s.draws[0].raw = None),
            ("raw token of a draw", &|s| s.draws[0].raw.as_mut().expect("asked").token = 300),
            ("raw logprob of a draw", &|s| s.draws[2].raw.as_mut().expect("asked").logprob -= TOO_FAR),
            ("raw rank of a draw", &|s| s.draws[2].raw.as_mut().expect("asked").n_greater += 1),
            ("processed status", &|s| s.processed.status = Status::NothingFinite),
            ("processed max", &|s| flip(&mut s.processed.max)),
            ("processed logsumexp", &|s| s.processed.logsumexp += TOO_FAR),
            ("processed entropy", &|s| s.processed.entropy += TOO_FAR),
            ("two swapped", &|s| s.processed.top_logprobs.swap(0, 1)),
            ("an entry less", &|s| s.processed.top_logprobs.truncate(5)),
            ("an entry from outside", &|s| s.processed.top_logprobs[5].token = u32::MAX),
            ("logprob", &|s| s.processed.top_logprobs[2].logprob += TOO_FAR),
            ("no raw", &|s| s.raw = None),
            ("raw status", &|s| s.raw.as_mut().expect("asked").status = Status::Nan),
            ("raw entry", &|s| s.raw.as_mut().expect("asked").top_logprobs.swap(2, 3)),
            ("raw entries", &|s| s.raw.as_mut().expect("asked").top_logprobs.truncate(3)),
            ("raw logprob", &|s| s.raw.as_mut().expect("asked").top_logprobs[0].logprob = f64::NAN),
            ("raw entropy", &|s| s.raw.as_mut().expect("asked").entropy -= TOO_FAR),
        ],
    );
    let mask = vec![0; VOCAB.div_ceil(32)];
    assert!(!known.sample(&sound, &request.row(3), Some(&mask)).is_ok(), "drawn from what is not allowed");
    let verdict = known.sample(&sound, &request.row(3), Some(&mask[1..]));
    assert!(verdict.to_string().contains("mask has 9 words"), "{verdict}");
}

/// Draws without a choice: greedy ones and their drafts.
#[test]
fn every_fault_of_a_greedy_draw_is_seen() {
    let row = row_of("peaked");
    let known = KnownRow::new(&batch(&row), 0);
    let request =
        Request::new(SamplingParams { temperature: 0.0, seed: Some(1), ..SamplingParams::default() });
    let request = request.expect("sound");
    for draft in [&[100][..], &[7], &[7, 100], &[7, 8]] {
        let sound = sampled(&row, &request, draft);
        assert_eq!((sound.draws[0].token, sound.accepted), (100, Some(draft.contains(&100))));
        let second = known.truth(1.0).expect("a distribution").order[1];
        let asked = crate::Row { draft, ..request.row(3) };
        see_all(
            &sound,
            |answer| known.sample(answer, &asked, None),
            &[
                ("the second", &|s| s.draws[0].token = second),
                ("accepted", &|s| s.accepted = s.accepted.map(|is_accepted| !is_accepted)),
                ("no draft", &|s| s.accepted = None),
                ("ends of what nothing cut", &|s| {
                    let logprob = s.draws[0].logprob;
                    s.kept_ends = Some([TopLogprob { token: 100, logit: 30.0, logprob }; 2]);
                }),
                ("a view that nobody asked for", &|s| s.raw = Some(s.processed.clone())),
            ],
        );
    }
}

/// Of equal logits a token has the numbers of any other: that a draft token stands, and is no draft token, is seen all the same.
#[test]
fn an_accepted_token_that_was_not_drafted_is_seen() {
    let row = vec![1.0; VOCAB];
    let known = KnownRow::new(&batch(&row), 0);
    let request = Request::new(SamplingParams { seed: Some(1), ..SamplingParams::default() }).expect("sound");
    // The draft gives it nothing, so it stands.
    let sound = sampled(&row, &request, &[7, 9]);
    assert_eq!((sound.draws[0].token, sound.accepted), (7, Some(true)));
    let asked = crate::Row { draft: &[7, 9], ..request.row(3) };
    see_all(
        &sound,
        |answer| known.sample(answer, &asked, None),
        &[("another token", &|s| (s.draws[0].token, s.draws[0].processed.token) = (8, 8))],
    );
}

/// The first row of a block accepts, unless there is nothing to draw; how far the others stand, they do not say alone.
#[test]
fn a_block_without_its_first_row_is_seen() {
    let row = row_of("normal");
    let known = KnownRow::new(&batch(&row), 0);
    let first = |request: &Request| {
        let asked = crate::Row { block_place: Some(0), ..request.row(3) };
        let sound =
            Cpu.sample(&batch(&row), &[asked], &SampleInputs::default()).expect("an answer").remove(0);
        let turned = |s: &mut Sample| s.accepted = s.accepted.map(|is_accepted| !is_accepted);
        see_all(
            &sound,
            |answer| known.sample(answer, &asked, None),
            &[("accepted", &turned), ("no block", &|s| s.accepted = None)],
        );
        sound.accepted
    };
    let params = SamplingParams { seed: Some(1), ..SamplingParams::default() };
    let finished = SamplingParams { max_tokens: Some(2), ..params.clone() };
    assert_eq!(first(&Request::new(params).expect("sound")), Some(true));
    assert_eq!(first(&Request::new(finished).expect("sound")), Some(false));
}

#[test]
fn a_draw_from_nothing_is_seen() {
    let row = row_of("all -inf");
    let known = KnownRow::new(&batch(&row), 0);
    let request =
        Request::new(SamplingParams { raw_logprobs: Some(2), seed: Some(1), ..SamplingParams::default() });
    let request = request.expect("sound");
    let other = sampled(&row_of("normal"), &request, &[]);
    see_all(
        &sampled(&row, &request, &[]),
        |answer| known.sample(answer, &request.row(3), None),
        &[
            ("ok", &|s| s.status = Status::Ok),
            ("another reason", &|s| s.status = Status::Nan),
            ("a draw", &|s| s.draws = other.draws.clone()),
            ("kept", &|s| s.kept = 1),
            ("kept mass", &|s| s.kept_mass = 0.0),
            ("temperature", &|s| s.temperature = 1.0),
            ("processed", &|s| s.processed = other.processed.clone()),
            ("raw", &|s| s.raw = other.raw.clone()),
            ("all", &|s| *s = other.clone()),
        ],
    );
}

/// What ends a request, and what is behind the end.
#[test]
fn every_fault_of_an_end_is_seen() {
    let row = row_of("peaked");
    let known = KnownRow::new(&batch(&row), 0);
    let request = |max_tokens, stop_token_ids| {
        let seed = Some(1);
        let params = SamplingParams {
            temperature: 0.0,
            max_tokens,
            stop_token_ids,
            seed,
            ..SamplingParams::default()
        };
        Request::new(params).expect("sound")
    };
    let goes_on = sampled(&row, &request(None, vec![7]), &[]);
    for (max_tokens, stop, has_finished, reason) in [
        (Some(4), 7, false, FinishReason::Length),
        (None, 100, false, FinishReason::Stop),
        (Some(4), 100, false, FinishReason::Stop),
        (Some(3), 100, true, FinishReason::Length),
        (None, 7, true, FinishReason::Stop),
    ] {
        let mut request = request(max_tokens, vec![stop]);
        if has_finished && reason == FinishReason::Stop {
            [2, 7].into_iter().for_each(|token| request.accept_token(token));
        }
        let sound = sampled(&row, &request, &[]);
        assert_eq!((sound.finish_reason, sound.draws.is_empty()), (Some(reason), has_finished));
        let other = if reason == FinishReason::Stop { FinishReason::Length } else { FinishReason::Stop };
        see_all(
            &sound,
            |answer| known.sample(answer, &request.row(3), None),
            &[
                ("goes on", &|s| s.finish_reason = None),
                ("another reason", &|s| s.finish_reason = Some(other)),
                ("another status", &|s| {
                    s.status = if has_finished { Status::NothingFinite } else { Status::Finished };
                }),
                ("another draw", &|s| match has_finished {
                    true => s.draws = goes_on.draws.clone(),
                    false => s.draws.clear(),
                }),
                ("all", &|s| *s = goes_on.clone()),
            ],
        );
    }
}

/// Where nothing can be said of what a filter leaves, the rest is still looked at.
#[test]
fn a_decision_at_its_boundary_is_left_open() {
    let row = [2.0f32; 4];
    let known = KnownRow::new(&batch(&row), 0);
    let params = SamplingParams {
        epsilon_cutoff: 0.25,
        order: Order::Vllm,
        seed: Some(1),
        ..SamplingParams::default()
    };
    let request = Request::new(params).expect("sound");
    let mut sample = sampled(&row, &request, &[]);
    let verdict = known.sample(&sample, &request.row(3), None);
    assert!(verdict.is_ok() && verdict.error.is_none(), "{verdict}");
    sample.kept = 1;
    assert!(known.sample(&sample, &request.row(3), None).is_ok());
    sample.seed = 2;
    assert!(!known.sample(&sample, &request.row(3), None).is_ok());
}

#[test]
fn words_name_the_field_and_both_values() {
    let row = row_of("normal");
    let sound = Cpu.logprobs(&batch(&row), &PARAMS, &[Some(7)]).expect("an answer");
    let mut other = sound.clone();
    other[0].distribution.top_logprobs[3].token = 777;
    let words = difference(&other, &sound).expect("a difference");
    assert!(
        words.starts_with("0: entry 3: token 777, logit") && words.contains(" instead of 0: entry 3: token"),
        "{words}"
    );
    let lists = |last: &str| vec![[vec![1u32; 500], vec![last.len() as u32]].concat()];
    let words = difference(&lists("a"), &lists("ab")).expect("a difference");
    assert_eq!(words, "0: 500: 1 instead of 0: 500: 2");
    assert_eq!(difference(&[1.0, f32::NAN][..], &[1.0, -f32::NAN][..]), None);
    assert_eq!(difference(&vec![1u32], &vec![1, 2]).as_deref(), Some("1 values instead of 2 values"));
    let long = |end: &str| format!("{}{end}", "word ".repeat(100));
    let words = super::difference::around(&long("one"), &long("two"));
    assert!(
        words.len() < 400 && words.starts_with('…') && words.contains("word one instead of …"),
        "{words}"
    );
}
