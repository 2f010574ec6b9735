//! The filters: each keeps a range of the one total order of a row, and drops the rest. One truncation, one file.
//!
//! A file says what its filter keeps, as mathematics; from which paper or program it is; its parameters; the words of
//! its [`Cut`]; its twin on the CPU; its boundaries as a table. `docs/sampling.md` defines all of them, and the numbers
//! that they are made of: the row weight w(i) of a token, the mass W of the run, part(s, m) = ⌈s · m⌉.
//!
//! `docs/adding.md` names the places of a new one.

mod cut;
mod epsilon;
mod eta;
mod min_p;
mod mirostat;
mod p_less;
mod run;
mod spec;
mod top_a;
mod top_h;
mod top_k;
mod top_n_sigma;
mod top_p;
mod typical;
mod view;
mod xtc;

#[cfg(test)]
mod boundaries;

pub(crate) use cut::Cut;
#[cfg(test)]
pub(crate) use cut::CutKind;
#[cfg(feature = "gpu")]
pub(crate) use cut::MAX_CUTS;
#[cfg(test)]
pub(crate) use run::tests as tests_of_run;
pub(crate) use run::{Run, Sums};
#[cfg(test)]
pub(crate) use spec::Parameter;
#[cfg(all(feature = "validate", feature = "device"))]
pub(crate) use spec::Setting;
use spec::Spec;
pub(crate) use view::View;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::params::{SamplingParams, SamplingStep};

/// Every filter.
pub(crate) const ALL: &[Spec] = &[
    top_k::SPEC,
    top_p::SPEC,
    min_p::SPEC,
    typical::SPEC,
    top_n_sigma::SPEC,
    top_a::SPEC,
    epsilon::SPEC,
    eta::SPEC,
    xtc::SPEC,
    mirostat::SPEC,
    p_less::SPEC,
    top_h::SPEC,
];

impl SamplingStep {
    /// Every step.
    pub const ALL: &'static [Self] = {
        const STEPS: [SamplingStep; 1 + ALL.len()] = {
            let mut steps = [SamplingStep::Temperature; 1 + ALL.len()];
            let mut place = 0;
            while place < ALL.len() {
                steps[1 + place] = ALL[place].step;
                place += 1;
            }
            steps
        };
        &STEPS
    };

    /// The name of its parameter: `top_k`, `typical_p`, `xtc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().map_or("temperature", |spec| spec.name)
    }

    /// The filter; `None` for the temperature.
    fn spec(self) -> Option<&'static Spec> {
        let filter = || ALL.iter().find(|spec| spec.step == self).expect("every filter is listed");
        (self != Self::Temperature).then(filter)
    }

    /// Whether it does anything with these parameters.
    pub(crate) fn acts(self, params: &SamplingParams) -> bool {
        match self.spec() {
            Some(spec) => spec.acts(params),
            None => params.temperature != 1.0 || params.dynatemp_range > 0.0,
        }
    }

    /// What both engines read of it, if it acts at all. `mu` is Mirostat's limit, in bits.
    pub(crate) fn cut(self, params: &SamplingParams, mu: i64) -> Option<Cut> {
        self.acts(params).then(|| {
            self.spec()
                .map_or(Cut::TEMPERATURE, |spec| Cut { kind: spec.kind, words: (spec.words)(params, mu) })
        })
    }
}

impl fmt::Display for SamplingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SamplingStep {
    type Err = Error;

    /// The step with this [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|step| step.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|step| step.name()).collect();
            Error::Params(format!("{name:?} is no step, there are: {}", known.join(", ")))
        })
    }
}

/// Narrows a run to what a filter's cut keeps.
///
/// # Panics
/// If the cut is the temperature, which keeps everything and is for the caller to apply.
pub(crate) fn keep(run: &mut Run<'_>, cut: Cut) {
    let spec = ALL.iter().find(|spec| spec.kind == cut.kind).expect("a filter");
    (spec.keep)(run, cut);
    run.is_full = false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::exact::pow2_f32;

    #[test]
    fn names_come_back() {
        for &step in SamplingStep::ALL {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        assert_eq!(format!("{:>6}", SamplingStep::Xtc), "   xtc");
        let message = "top_q".parse::<SamplingStep>().expect_err("no such step").to_string();
        assert!(message.contains("\"top_q\"") && message.contains("temperature, top_k"), "{message}");
    }

    #[test]
    fn steps_stand_in_their_order_once() {
        for (place, step) in SamplingStep::ALL.iter().enumerate() {
            assert_eq!(*step as usize, place, "{step}");
            let is_double = SamplingStep::ALL[..place].iter().any(|other| other.name() == step.name());
            assert!(!is_double, "{step}");
        }
    }

    #[test]
    fn nothing_acts_by_default() {
        let params = SamplingParams::default();
        for step in SamplingStep::ALL {
            assert_eq!(step.cut(&params, 0), None, "{step}");
        }
    }

    /// In each of its settings a filter acts, no other does, and the parameters are sound.
    #[test]
    fn settings_are_of_one_filter() {
        for spec in ALL {
            assert!(!spec.settings.is_empty(), "{} is never tried alone", spec.name);
            for (name, set) in spec.settings {
                let mut params = SamplingParams::default();
                set(&mut params);
                params.validate().expect(name);
                let acting: Vec<&str> =
                    ALL.iter().filter(|spec| spec.acts(&params)).map(|spec| spec.name).collect();
                assert_eq!(acting, [spec.name], "{name}");
                assert!(name.starts_with(spec.name.split('_').next().expect("a word")), "{name}");
            }
        }
    }

    /// The words of every cut, as they were when the kernels were written.
    #[test]
    fn cuts_have_these_words() {
        use crate::params::Mirostat;
        let params = SamplingParams {
            top_k: 7,
            top_p: 0.75,
            min_p: 1.0,
            typical_p: 0.5,
            top_n_sigma: 1.5,
            top_a: 0.25,
            epsilon_cutoff: pow2_f32(-20),
            eta_cutoff: 0.25,
            xtc_threshold: 0.125,
            xtc_probability: 0.5,
            mirostat: Some(Mirostat { tau: 1.0, eta: 0.1 }),
            p_less: true,
            top_h: 0.5,
            temperature: 0.5,
            ..SamplingParams::default()
        };
        let top = 1 << 31;
        let expected = [
            (CutKind::Temperature, [0; 3]),
            (CutKind::TopK, [7, 0, 0]),
            (CutKind::TopP, [3 << 30, 32, 0]),
            (CutKind::MinP, [top, 31, 0]),
            (CutKind::TypicalP, [top, 32, 0]),
            (CutKind::TopNSigma, [3 << 15, 0, 0]),
            (CutKind::TopA, [top, 33, 0]),
            (CutKind::Epsilon, [top, 51, 0]),
            (CutKind::Eta, [top, 33, 1 << 24]), // 2^-2, and its root
            (CutKind::Xtc, [top, 34, top - 1]),
            (CutKind::Epsilon, [top, 33, 0]), // 2^-2
            (CutKind::PLess, [0; 3]),
            (CutKind::TopH, [top, 32, 0]),
        ];
        assert_eq!(expected.len(), SamplingStep::ALL.len(), "a filter is missing here");
        for (step, (kind, words)) in SamplingStep::ALL.iter().zip(expected) {
            assert_eq!(step.cut(&params, 2 << 24), Some(Cut { kind, words }), "{step}");
        }
    }
}
