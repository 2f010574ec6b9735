//! Two places where the engine's numbers are not the formula's: the dynamic temperature, and top-p near 1. Measured over a
//! grid against f64; `docs/sampling.md` states what is asserted here.

use sortilege::{SamplingParams, oracle};

use crate::rows::row_of;
use crate::sample_one;

const KINDS: [&str; 6] = ["normal", "peaked", "integers", "bf16", "mostly -inf", "long tail"];
const SIZES: [usize; 6] = [2, 33, 257, 1000, 4097, 33_000];

/// Most of the error of a logprob at a dynamic temperature, in nats: `docs/sampling.md`, 4.
const LOGPROB_ERROR: f64 = 1e-5;

/// How far a dynamic temperature may be from the formula's: as far as an entropy that is wrong by 1e-6 nats moves it, and
/// what its 22 fraction bits leave open: half a unit for either end, one for what lies above the lower.
fn most_error(params: &SamplingParams, spread: f64, temperature: f64, tokens: usize) -> f64 {
    let (middle, range) = (f64::from(params.temperature), f64::from(params.dynatemp_range));
    let span = middle + range - (middle - range).max(0.001);
    let by = 1e-6 / (tokens.max(2) as f64).ln();
    let raised = |spread: f64| spread.clamp(0.0, 1.0).powf(params.dynatemp_exponent.into());
    2.0 * 2f64.powi(-22) + 1e-6 * temperature + span * (raised(spread + by) - raised(spread - by))
}

/// Errors of a dynamic temperature, in parts of the most that it may be, and of the drawn token's logprob, in nats. The
/// formula may round the exponent to so many fraction bits, as an engine could.
fn dynamic_errors(params: &SamplingParams, row: &[f32], fraction_bits: Option<i32>) -> [f64; 2] {
    let steps = oracle::steps(&params.order, false);
    let mut formula = params.clone();
    if let Some(bits) = fraction_bits {
        let unit = 2f32.powi(bits);
        formula.dynatemp_exponent = (params.dynatemp_exponent * unit).round() / unit;
    }
    let truth = oracle::sampling(row, &formula, &steps, 0.0, false).unwrap();
    let got = sample_one(row, params);
    let drawn = got.draws[0];
    let place = truth.kept.iter().position(|token| *token == drawn.token).unwrap();
    let most = most_error(params, truth.spread.unwrap(), truth.temperature, truth.kept.len());
    let error = (got.temperature - truth.temperature).abs() / most;
    [error, (drawn.logprob - truth.logprobs[place]).abs()]
}

/// The largest errors over the grid, and its size.
fn dynamic_grid(fraction_bits: Option<i32>) -> ([f64; 2], usize) {
    let (mut worst, mut cases) = ([0.0f64; 2], 0);
    for (kind, vocab) in KINDS.iter().flat_map(|kind| SIZES.map(|vocab| (kind, vocab))) {
        let row = row_of(kind, vocab);
        for exponent in [0.01, 0.1, 0.3, 0.5, 0.7, 1.0, 1.3, 2.7, 10.0, 99.9] {
            for (temperature, range) in [(0.8, 0.5), (1.0, 0.999), (1.5, 1.5), (0.3, 0.1), (3.0, 2.9)] {
                let params = SamplingParams {
                    temperature,
                    dynatemp_range: range,
                    dynatemp_exponent: exponent,
                    seed: Some(cases),
                    ..SamplingParams::default()
                };
                let errors = dynamic_errors(&params, &row, fraction_bits);
                worst = [worst[0].max(errors[0]), worst[1].max(errors[1])];
                cases += 1;
            }
        }
    }
    (worst, cases as usize)
}

#[test]
fn a_dynamic_temperature_is_the_formulas() {
    let ([temperature, logprob], cases) = dynamic_grid(None);
    println!(
        "{cases} dynamic temperatures: {temperature:.2} of the bound, logprobs within {logprob:.2e} nats"
    );
    assert!(temperature <= 1.0 && logprob <= LOGPROB_ERROR, "{temperature} {logprob:e}");
    // An exponent of 16 fraction bits would be found.
    let ([temperature, logprob], _) = dynamic_grid(Some(16));
    println!("with an exponent of 16 fraction bits {temperature:.2} of the bound, {logprob:.2e} nats");
    assert!(temperature > 1.0, "{temperature}");
}

/// Most of the mass by which top-p may end too early or too late: `docs/sampling.md`, 4.
const MASS_ERROR: f64 = 1e-6;

/// By how much of the row's mass top-p ended beside its share: tokens that are missing, or that were too many. `asked` is
/// what the engine is asked for, `wanted` the share.
fn departure(row: &[f32], asked: f32, wanted: f32) -> f64 {
    let params = SamplingParams { top_p: asked, seed: Some(1), ..SamplingParams::default() };
    let kept = sample_one(row, &params).kept as usize;
    let truth = oracle::truth(row, 1.0).unwrap();
    let of = |tokens: &[u32]| {
        // The smallest first.
        tokens.iter().rev().map(|token| truth.logprobs[*token as usize].exp()).sum::<f64>()
    };
    let wanted = f64::from(wanted);
    let short = if kept < truth.order.len() { wanted - of(&truth.order[..kept]) } else { 0.0 };
    // The mass before the last token is below the share.
    let long = if kept > 1 { of(&truth.order[..kept - 1]) - wanted } else { 0.0 };
    short.max(long)
}

/// The largest departure over the grid, and its size, with a share that is bent by so much.
fn top_p_grid(bend: f32) -> (f64, usize) {
    let (mut worst, mut cases) = (0.0f64, 0);
    for (kind, vocab) in
        KINDS.iter().chain(&["flat", "wide"]).flat_map(|kind| SIZES.map(|vocab| (kind, vocab)))
    {
        let row = row_of(kind, vocab);
        for share in (1..24).map(|bits| 1.0 - 2f32.powi(-bits)).chain([0.9, 0.99, 0.999, 0.9999, 0.999_999]) {
            worst = worst.max(departure(&row, (share - bend).max(0.0), share));
            cases += 1;
        }
    }
    (worst, cases)
}

#[test]
fn top_p_ends_at_its_share() {
    let (worst, cases) = top_p_grid(0.0);
    println!("{cases} shares of top-p: within {worst:.2e} of the mass");
    assert!(worst <= MASS_ERROR, "{worst:e}");
    // A share that is too small by 3e-6 would be found.
    let (bent, _) = top_p_grid(3e-6);
    println!("a share that is bent by 3e-6: {bent:.2e}");
    assert!(bent > MASS_ERROR, "{bent:e}");
}
