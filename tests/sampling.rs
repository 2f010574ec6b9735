//! Sampling: the same bits on every adapter, alone or anywhere in a batch.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use sortilege::cpu::{self, SampleInputs};
use sortilege::{Filter, Logits, Mirostat, Order, Request, Row, SamplingParams};

/// One request for every parameter, alone and in company.
fn requests() -> Vec<SamplingParams> {
    let plain = || SamplingParams {
        seed: Some(11),
        raw_logprobs: Some(5),
        processed_logprobs: Some(7),
        ..SamplingParams::default()
    };
    vec![
        plain(),
        SamplingParams { temperature: 0.0, ..plain() },
        SamplingParams { temperature: 0.7, ..plain() },
        SamplingParams { top_k: 5, ..plain() },
        SamplingParams { top_k: 3000, temperature: 1.7, ..plain() },
        SamplingParams { top_p: 0.9, ..plain() },
        SamplingParams { top_p: 0.9, temperature: 1.5, order: Order::Llama, ..plain() },
        SamplingParams { min_p: 0.05, ..plain() },
        SamplingParams { typical_p: 0.6, ..plain() },
        SamplingParams { typical_p: 0.3, top_p: 0.8, ..plain() },
        SamplingParams { top_n_sigma: 1.0, ..plain() },
        SamplingParams { epsilon_cutoff: 0.001, ..plain() },
        SamplingParams { xtc_threshold: 0.05, xtc_probability: 1.0, ..plain() },
        SamplingParams { xtc_threshold: 0.05, xtc_probability: 1.0, top_k: 20, n: 3, ..plain() },
        SamplingParams { mirostat: Some(Mirostat { tau: 3.0, eta: 0.1 }), ..plain() },
        SamplingParams { dynatemp_range: 0.5, dynatemp_exponent: 1.3, ..plain() },
        SamplingParams { dynatemp_range: 0.5, top_k: 40, order: Order::Llama, ..plain() },
        SamplingParams { temperature: 0.8, top_k: 50, top_p: 0.95, min_p: 0.02, n: 4, ..plain() },
        SamplingParams {
            order: Order::List(vec![Filter::TopP, Filter::Temperature, Filter::MinP, Filter::TopK]),
            temperature: 1.4,
            top_p: 0.99,
            min_p: 0.01,
            top_k: 100,
            ..plain()
        },
        SamplingParams { logit_bias: vec![(0, 3.0), (1, -2.5)], temperature: 1.2, ..plain() },
        SamplingParams { allowed_token_ids: Some(vec![0]), ..plain() },
    ]
}

#[test]
fn smoke() {
    for gpu in common::gpus() {
        let start = std::time::Instant::now();
        gpu.sampler().prepare_sampling(sortilege::Dtype::F32).unwrap();
        eprintln!("compiled {:?}", start.elapsed());
        for (i, p) in requests().into_iter().enumerate() {
            if p.allowed_token_ids.is_none() { let mut p = p; p.logit_bias.clear(); 
            let r = Request::new(p).unwrap();
            eprint!("{i} ");
            let l = [1.5f32];
            let got = gpu.sample(&Logits::f32(&l, 1, 1).unwrap(), &[r.row(3)], &SampleInputs::default()).unwrap();
            let e = cpu::sample(&Logits::f32(&l, 1, 1).unwrap(), &[r.row(3)], &SampleInputs::default()).unwrap();
            eprintln!("{}", got == e); }
        }
        for vocab in [1usize, 2, 65, 1000, 5000, 8192, 33_000] {
            let mut params = requests();
            if let Ok(only) = std::env::var("ONLY") { let only: usize = only.parse().unwrap(); params = vec![params[only].clone()]; }
            let row: Vec<f32> = (0..vocab)
                .map(|i| ((i.wrapping_mul(2_654_435_761) >> 9) % 9973) as f32 / 700.0 - 7.0)
                .collect();
            let values: Vec<f32> = params.iter().flat_map(|_| row.clone()).collect();
            let logits = Logits::f32(&values, params.len(), vocab).unwrap();
            let requests: Vec<Request> = params
                .into_iter()
                .map(|mut p| {
                    p.logit_bias.retain(|(token, _)| (*token as usize) < vocab);
                    Request::new(p).unwrap()
                })
                .collect();
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(3)).collect();
            let expected = cpu::sample(&logits, &rows, &SampleInputs::default()).unwrap();
            let got = gpu.sample(&logits, &rows, &SampleInputs::default()).unwrap();
            for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!(
                    got == expected,
                    "{} vocab {vocab} row {i}\n{:?}\n{got:?}\n{expected:?}",
                    gpu.info().name,
                    requests[i].params()
                );
            }
            eprintln!("{vocab} {:?}", start.elapsed());
        }
    }
}
