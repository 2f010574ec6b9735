//! Top-p, nucleus sampling: the most probable tokens, as few as reach a share of the mass.
//!
//! Keep i while the mass before i is < part(p, W): the token that reaches the share stays, and one always does. Ties go
//! to the smaller ids. Where rounding puts part(p, W) above the sum of the run's weights, all stay. p in [0, 1], 1 is
//! off.
//!
//! Holtzman, Buys, Du, Forbes, Choi: The Curious Case of Neural Text Degeneration, ICLR 2020.

use super::cut::{Cut, CutKind, share_words};
use super::run::Run;
use super::spec::{Parameter, Spec};
use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

pub(super) const SPEC: Spec = Spec {
    step: SamplingStep::TopP,
    name: "top_p",
    parameters: &[Parameter {
        name: "top_p",
        value: |params| Some(params.top_p),
        range: 0.0..=1.0,
        off: Some(1.0),
        remedy: "1 keeps all",
    }],
    kind: CutKind::TopP,
    words: |params, _| share_words(Ratio::new(params.top_p)),
    keep,
    settings: &[
        ("top_p 0.9", |p| p.top_p = 0.9),
        ("top_p 0.9, llama", |p| (p.top_p, p.temperature, p.order) = (0.9, 1.5, crate::params::Order::Llama)),
        ("top_p 0", |p| p.top_p = 0.0),
    ],
};

fn keep(run: &mut Run<'_>, cut: Cut) {
    let wanted = cut.share().part_of(run.sums().mass);
    let mut mass = 0;
    for place in 0..run.len() {
        let (key, _) = run.at(place);
        mass += run.weight(key);
        if mass >= wanted {
            run.keep_first(place + 1);
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{FLAT, check};

    #[test]
    fn boundaries() {
        check(&[
            ("0", FLAT, |p| p.top_p = 0.0, &[0], 0.25),
            ("a quarter", FLAT, |p| p.top_p = 0.25, &[0], 0.25),
            ("above a quarter", FLAT, |p| p.top_p = 0.250_001, &[0, 1], 0.5),
            ("half", FLAT, |p| p.top_p = 0.5, &[0, 1], 0.5),
            ("above half", FLAT, |p| p.top_p = 0.5f32.next_up(), &[0, 1, 2], 0.75),
            ("three quarters", FLAT, |p| p.top_p = 0.75, &[0, 1, 2], 0.75),
            ("below 1", FLAT, |p| p.top_p = 1.0f32.next_down(), &[0, 1, 2, 3], 1.0),
            ("1", FLAT, |p| p.top_p = 1.0, &[0, 1, 2, 3], 1.0),
            ("both zeros", &[-0.0, 0.0, -0.0, 0.0], |p| p.top_p = 0.75, &[0, 1, 2], 0.75),
        ]);
    }
}
