//! Requests by name: every filter alone, then compositions in every order.

use sortilege::SamplingStep::{EpsilonCutoff, MinP, Temperature, TopK, TopNSigma, TopP, TypicalP, Xtc};
use sortilege::{Mirostat, Order, SamplingParams};

type Named = (String, SamplingParams);

pub(crate) fn requests() -> Vec<Named> {
    let mut list = single_filters();
    list.extend(all_filters());
    list.extend(three_filters());
    list
}

fn plain() -> SamplingParams {
    SamplingParams { seed: Some(5), processed_logprobs: Some(1024), ..SamplingParams::default() }
}

/// A request for each value of one parameter.
fn sweep(name: &str, values: &[f32], set: fn(&mut SamplingParams, f32)) -> impl Iterator<Item = Named> {
    values.iter().map(move |&value| {
        let mut params = plain();
        set(&mut params, value);
        (format!("{name} {value}"), params)
    })
}

fn single_filters() -> Vec<Named> {
    let mut list = vec![
        ("plain".to_owned(), plain()),
        ("greedy".to_owned(), SamplingParams { temperature: 0.0, top_k: 3, ..plain() }),
    ];
    list.extend(sweep("temperature", &[0.3, 0.8, 1.7, 20.0], |params, x| params.temperature = x));
    for (dynatemp_range, dynatemp_exponent) in [(0.5, 1.0), (0.9, 1.3), (0.25, 0.5)] {
        let params = SamplingParams { dynatemp_range, dynatemp_exponent, ..plain() };
        list.push((format!("dynatemp {dynatemp_range} ^ {dynatemp_exponent}"), params));
    }
    for top_k in [1, 2, 40, 1024, 1025, 5000, 100_000] {
        list.push((format!("top_k {top_k}"), SamplingParams { top_k, ..plain() }));
    }
    list.extend(sweep("top_p", &[0.0, 0.1, 0.5, 0.9, 0.99, 0.9999], |params, x| params.top_p = x));
    list.extend(sweep("min_p", &[1e-6, 0.01, 0.1, 0.7, 1.0], |params, x| params.min_p = x));
    list.extend(sweep("typical_p", &[0.0, 0.2, 0.9, 0.99], |params, x| params.typical_p = x));
    list.extend(sweep("top_n_sigma", &[0.1, 1.0, 2.5], |params, x| params.top_n_sigma = x));
    list.extend(sweep("epsilon", &[1e-6, 3e-4, 0.02, 0.6], |params, x| params.epsilon_cutoff = x));
    list.extend(sweep("xtc", &[0.002, 0.05, 0.1, 0.3], |params, x| {
        (params.xtc_threshold, params.xtc_probability) = (x, 1.0);
    }));
    list.extend(sweep("xtc that spares the first token,", &[0.002, 0.05, 0.1], |params, x| {
        (params.xtc_threshold, params.xtc_probability) = (x, 1.0);
        params.xtc_exempt_token_ids = vec![0];
    }));
    list.extend(sweep("top_h", &[0.0, 0.2, 0.5, 0.9, 0.999], |params, x| params.top_h = x));
    list.extend(sweep("p_less at temperature", &[0.4, 1.0, 3.0], |params, x| {
        (params.p_less, params.temperature) = (true, x);
    }));
    list.extend(sweep("mirostat", &[0.1, 2.0, 6.0], |params, tau| {
        params.mirostat = Some(Mirostat { tau, eta: 0.1 });
    }));
    list
}

fn orders() -> Vec<(&'static str, Order)> {
    vec![
        ("vllm", Order::Vllm),
        ("llama", Order::Llama),
        ("none", Order::List(vec![])),
        ("min_p, temperature, top_p", Order::List(vec![MinP, Temperature, TopP])),
        ("xtc, sigma, top_p", Order::List(vec![Xtc, TopNSigma, TopP])),
        (
            "typical, top_k, epsilon, temperature",
            Order::List(vec![TypicalP, TopK, EpsilonCutoff, Temperature]),
        ),
        (
            "all, temperature last",
            Order::List(vec![TopP, TypicalP, MinP, TopNSigma, Xtc, TopK, EpsilonCutoff, Temperature]),
        ),
        (
            "all, typical last",
            Order::List(vec![Temperature, Xtc, EpsilonCutoff, TopK, TopNSigma, MinP, TopP, TypicalP]),
        ),
    ]
}

fn all_filters() -> Vec<Named> {
    let mut list = Vec::new();
    for (name, order) in orders() {
        let all = SamplingParams {
            temperature: 0.8,
            top_k: 300,
            top_p: 0.95,
            min_p: 0.01,
            typical_p: 0.95,
            top_n_sigma: 3.0,
            epsilon_cutoff: 1e-4,
            xtc_threshold: 0.1,
            xtc_probability: 1.0,
            order,
            ..plain()
        };
        let wide = SamplingParams { temperature: 1.6, top_k: 0, top_p: 0.999, min_p: 1e-5, ..all.clone() };
        let mirostat = Some(Mirostat { tau: 3.0, eta: 0.1 });
        list.extend([
            (format!("all: {name}, dynamic"), SamplingParams { dynatemp_range: 0.4, ..all.clone() }),
            (format!("all: {name}, wide"), wide),
            (format!("all: {name}, mirostat"), SamplingParams { mirostat, ..all.clone() }),
            (format!("all: {name}, cold"), SamplingParams { temperature: 0.05, ..all.clone() }),
            (format!("all: {name}"), all),
        ]);
    }
    list
}

/// Three filters in four orders, and temperature at each place among them.
fn three_filters() -> Vec<Named> {
    let mut list = Vec::new();
    for order in [[TopK, TopP, MinP], [TopK, MinP, TopP], [TopP, TopK, MinP], [MinP, TopP, TopK]] {
        for place in 0..=3 {
            let mut order = order.to_vec();
            order.insert(place, Temperature);
            let name = format!("{order:?}");
            let order = Order::List(order);
            let params =
                SamplingParams { temperature: 1.4, top_k: 50, top_p: 0.9, min_p: 0.02, order, ..plain() };
            list.push((name, params));
        }
    }
    list
}
