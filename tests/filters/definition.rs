//! What every filter keeps, against the definition in f64 (`sortilege::oracle`): every kind of row, size and request.

use sortilege::oracle::{self, Truncated};
use sortilege::{Cpu, Engine, Logits, Order, Request, Row, Sample, SampleInputs, SamplingParams, Status};

use crate::common::test_each;
use crate::requests::requests;
use crate::rows::{KINDS, SIZES, row_of};
use crate::{listed, sample_one};

/// The truth about a row, with an XTC that acts and a fresh Mirostat.
fn truth_of(row: &[f32], params: &SamplingParams) -> Truncated {
    let steps = oracle::steps(&params.order, params.mirostat.is_some());
    let mu = params.mirostat.map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.tau));
    oracle::sampling(row, params, &steps, mu, true).expect("a distribution")
}

/// A decision nearer than this to its boundary may fall either way. Twice the bound of docs/exact.md, 10.
const LEAST_MARGIN: f64 = 1e-6;
const LEAST_SIGMA_MARGIN: f64 = 1e-4;

fn is_clear(truth: &Truncated) -> bool {
    truth.margin > LEAST_MARGIN && truth.sigma_margin > LEAST_SIGMA_MARGIN
}

/// What is wrong with a sample whose decisions were clear.
fn differences(sample: &Sample, truth: &Truncated, row: &[f32], params: &SamplingParams) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, words: &dyn Fn() -> String| {
        if !holds {
            wrong.push(words());
        }
    };
    check(sample.status == Status::Ok, &|| format!("status {:?}", sample.status));
    check(sample.kept as usize == truth.kept.len(), &|| {
        format!("kept {} for {}", sample.kept, truth.kept.len())
    });
    let kept: Vec<u32> = sample.processed.top_logprobs.iter().map(|entry| entry.token).collect();
    let expected = &truth.kept[..truth.kept.len().min(1024)];
    check(kept == expected, &|| {
        let place = kept.iter().zip(expected).take_while(|(a, b)| a == b).count();
        format!("list differs at {place}: {:?} for {:?}", kept.get(place), expected.get(place))
    });
    // A dynamic temperature has 22 fraction bits and an entropy of 26: what that makes of it, and of a logprob, whose
    // derivative by ln T is its surprise less the entropy.
    let temperature_error = truth.spread.map_or(0.0, |spread| {
        let exponent = f64::from(params.dynatemp_exponent);
        let raised = |by: f64| (spread + by).clamp(0.0, 1.0).powf(exponent);
        3e-7 + 2.0 * f64::from(params.dynatemp_range) * (raised(3e-7) - raised(-3e-7))
    });
    let near = |got: f64, expected: f64, by: f64| (got - expected).abs() <= by;
    let drift = temperature_error / truth.temperature;
    check(near(sample.temperature, truth.temperature, temperature_error + 1e-6 * truth.temperature), &|| {
        format!("temperature {} for {}", sample.temperature, truth.temperature)
    });
    check(near(sample.kept_mass, truth.kept_mass, 1e-6), &|| {
        format!("kept_mass {} for {}", sample.kept_mass, truth.kept_mass)
    });
    check(near(sample.processed.entropy, truth.entropy, 1e-6 + 100.0 * drift), &|| {
        format!("entropy {} for {}", sample.processed.entropy, truth.entropy)
    });
    for (place, (entry, &expected)) in sample.processed.top_logprobs.iter().zip(&truth.logprobs).enumerate() {
        let logit = row[entry.token as usize];
        let is_probable = expected > 1e-9f64.ln();
        check(
            !is_probable
                || near(entry.logprob, expected, 1e-6 + 2.0 * drift * (-expected - truth.entropy).abs()),
            &|| format!("logprob {} of place {place} for {expected}", entry.logprob),
        );
        check(entry.logit == logit, &|| format!("logit {} of place {place} for {logit}", entry.logit));
    }
    for drawn in &sample.draws {
        check(truth.kept.contains(&drawn.token), &|| format!("drew {}, which is not kept", drawn.token));
    }
    wrong
}

/// Compares the engine's answer about one row to every request with the definition's, where that is clear. Returns how
/// many requests there are, and how many of them are not clear.
fn compare(row: &[f32]) -> (usize, usize) {
    let (names, list): (Vec<String>, Vec<Request>) =
        requests().into_iter().map(|(name, params)| (name, Request::new(listed(&params)).unwrap())).unzip();
    let rows: Vec<Row<'_>> = list.iter().map(|request| request.row(0)).collect();
    let batch = row.repeat(rows.len());
    let logits = Logits::f32(&batch, rows.len(), row.len()).unwrap();
    let samples = Cpu.sample(&logits, &rows, &SampleInputs::default()).unwrap();
    let answers = names.iter().zip(list.iter().zip(&samples));
    let mut unclear = 0;
    test_each(answers, |(request, sample)| {
        let truth = truth_of(row, request.params());
        if is_clear(&truth) {
            assert_eq!(differences(sample, &truth, row, request.params()), Vec::<String>::new());
        } else {
            unclear += 1;
        }
    });
    (list.len(), unclear)
}

#[test]
fn every_filter_keeps_what_the_definition_keeps() {
    let (mut cases, mut unclear) = (0, 0);
    let rows = KINDS.iter().flat_map(|kind| SIZES.iter().map(move |vocab| (kind, *vocab)));
    test_each(rows.map(|(kind, vocab)| (format!("{kind} {vocab}"), row_of(kind, vocab))), |row| {
        let (of_row, unclear_of_row) = compare(&row);
        cases += of_row;
        unclear += unclear_of_row;
    });
    assert!(cases > 9000 && unclear * 20 < cases, "{unclear} of {cases} cases are too near to a boundary");
}

/// A draw far below the row's maximum: a low temperature after filters that take the head away. What is left is weighed
/// against its own first token; against the row's it would have no mass.
#[test]
fn a_cold_draw_without_the_head_is_exact() {
    let plain = SamplingParams {
        order: Order::Llama,
        seed: Some(5),
        processed_logprobs: Some(4),
        ..SamplingParams::default()
    };
    let xtc = |xtc_threshold| SamplingParams { xtc_threshold, xtc_probability: 1.0, ..plain.clone() };
    let requests = [
        ("xtc", [4.0f32, 2.0, 1.0, 0.5], xtc(0.1)),
        ("xtc, small threshold", [14.0, 2.0, 1.0, 0.5], xtc(5e-6)),
        ("typical", [0.7, 0.0, 0.0, 0.0], SamplingParams { typical_p: 0.5, ..plain.clone() }),
    ];
    let temperatures = [1.0, 0.3, 0.2, 0.1, 0.06, 0.05, 0.001];
    let cases = temperatures.iter().flat_map(|&temperature| {
        requests.iter().map(move |(name, row, params)| {
            let params = SamplingParams { temperature, ..params.clone() };
            (format!("{name} at {temperature}"), (row, params))
        })
    });
    test_each(cases, |(row, params)| {
        let truth = truth_of(row, &params);
        assert_eq!(differences(&sample_one(row, &params), &truth, row, &params), Vec::<String>::new());
    });
}

/// The comparison above, with answers that are slightly wrong.
#[test]
fn the_comparison_reports_a_wrong_answer() {
    let row = row_of("normal", 1000);
    let params = SamplingParams {
        top_p: 0.8,
        temperature: 0.9,
        seed: Some(5),
        n: 16,
        processed_logprobs: Some(1024),
        ..SamplingParams::default()
    };
    let truth = truth_of(&row, &params);
    let right = sample_one(&row, &params);
    assert!(is_clear(&truth) && (2..1000).contains(&truth.kept.len()), "{truth:?}");
    assert_eq!(differences(&right, &truth, &row, &params), Vec::<String>::new());
    let outside = (0..1000).find(|token| !truth.kept.contains(token)).unwrap();
    type Change = fn(&mut Sample, u32);
    let cases: &[(&str, Change)] = &[
        ("kept", |sample, _| sample.kept -= 1),
        ("kept", |sample, _| sample.kept += 1),
        ("list", |sample, _| sample.processed.top_logprobs.truncate(sample.processed.top_logprobs.len() - 1)),
        ("list", |sample, _| sample.processed.top_logprobs.rotate_left(1)),
        ("list", |sample, _| sample.processed.top_logprobs.swap(0, 1)),
        ("list", |sample, token| {
            let list = &mut sample.processed.top_logprobs;
            let mut further = *list.last().expect("an entry");
            further.token = token;
            list.push(further);
        }),
        ("kept_mass", |sample, _| sample.kept_mass += 1e-5),
        ("entropy", |sample, _| sample.processed.entropy -= 1e-5),
        ("temperature", |sample, _| sample.temperature *= 1.0 + 2e-6),
        ("logprob", |sample, _| sample.processed.top_logprobs[1].logprob += 2e-6),
        ("drew", |sample, token| sample.draws[3].token = token),
    ];
    test_each(cases.iter().map(|case| (case.0, case)), |(word, change)| {
        let mut wrong = right.clone();
        change(&mut wrong, outside);
        let found = differences(&wrong, &truth, &row, &params);
        assert!(found.iter().any(|line| line.starts_with(word)), "{found:?}");
    });
    // Filters that are a little different.
    let others = [
        ("top_p", SamplingParams { top_p: 0.81, ..params.clone() }),
        ("temperature", SamplingParams { temperature: 0.900_01, ..params.clone() }),
        ("order", SamplingParams { order: Order::Llama, ..params.clone() }),
    ];
    test_each(others, |other| {
        assert!(!differences(&right, &truth_of(&row, &other), &row, &other).is_empty());
    });
}
