//! Filters of the CPU engine: against the definition in f64, against tables by hand, and against llama.cpp's tables;
//! then what changes logits before them, and what is reported beside them.
#![expect(clippy::cast_possible_truncation, reason = "a test")]
#![expect(clippy::print_stdout, reason = "figures of docs/reliability.md")]

mod boundaries;
mod bounds;
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod definition;
mod llama_cpp;
mod reports;
mod requests;
mod rows;

use sortilege::{Cpu, Engine, Logits, Order, Request, Sample, SampleInputs, SamplingParams, SamplingStep};

/// The parameters without what their own order leaves out, which a request refuses and the oracle does not look at.
fn listed(params: &SamplingParams) -> SamplingParams {
    use SamplingStep::{EpsilonCutoff, MinP, Temperature, TopK, TopNSigma, TopP, TypicalP, Xtc};
    let mut params = params.clone();
    let Order::List(list) = &params.order else { return params };
    let has = |filter| list.contains(&filter);
    let [temperature, top_k, top_p, min_p] = [Temperature, TopK, TopP, MinP].map(has);
    let [typical_p, top_n_sigma, epsilon, xtc, mirostat] =
        [TypicalP, TopNSigma, EpsilonCutoff, Xtc, SamplingStep::Mirostat].map(has);
    let plain = SamplingParams::default();
    if !temperature {
        (params.temperature, params.dynatemp_range) = (plain.temperature, plain.dynatemp_range);
    }
    params.top_k *= u32::from(top_k);
    params.top_p = if top_p { params.top_p } else { plain.top_p };
    params.min_p = if min_p { params.min_p } else { plain.min_p };
    params.typical_p = if typical_p { params.typical_p } else { plain.typical_p };
    params.top_n_sigma = if top_n_sigma { params.top_n_sigma } else { plain.top_n_sigma };
    params.epsilon_cutoff = if epsilon { params.epsilon_cutoff } else { plain.epsilon_cutoff };
    params.xtc_probability = if xtc { params.xtc_probability } else { plain.xtc_probability };
    params.mirostat = params.mirostat.filter(|_| mirostat);
    params
}

/// What the engine says of one row.
fn sample_one(row: &[f32], params: &SamplingParams) -> Sample {
    let request = Request::new(listed(params)).unwrap();
    let logits = Logits::f32(row, 1, row.len()).unwrap();
    Cpu.sample(&logits, &[request.row(0)], &SampleInputs::default()).unwrap().remove(0)
}

/// The table test itself: every case runs, and every one that fails is named.
#[test]
fn a_table_reports_all_that_fails() {
    let table = |cases: &[(&str, u32)]| {
        let mut run = Vec::new();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            common::test_each(cases.iter().copied(), |number| {
                run.push(number);
                assert!(number % 2 == 0, "{number} is odd");
                assert_ne!(number, 6);
            });
        }));
        (run, outcome.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default()))
    };
    let (run, outcome) = table(&[("even", 2), ("odd", 3), ("six", 6), ("also odd", 5), ("even again", 4)]);
    assert_eq!(run, [2, 3, 6, 5, 4]);
    let message = outcome.unwrap_err();
    assert!(message.starts_with("3 of 5 cases failed:\nodd: 3 is odd\nsix: assertion"), "{message}");
    assert!(message.contains("\nalso odd: 5 is odd") && !message.contains("even"), "{message}");
    assert!(table(&[("even", 2)]).1.is_ok());
    assert!(table(&[]).1.is_err(), "no cases prove nothing");
}
