//! A step of a request as the CPU and the device read it: its kind, and three words of its own.

use crate::arithmetic::numbers::Ratio;
use crate::params::SamplingStep;

/// Most cuts of a request: the length of an array in `shaders/lib/words.wgsl`.
pub(crate) const MAX_CUTS: usize = 13;

// An order names each step at most once.
const _: () = assert!(
    SamplingStep::ALL.len() <= MAX_CUTS,
    "raise MAX_CUTS, here and in shaders/lib/words.wgsl, and REQUEST_BYTES by 16"
);

/// What a cut does: the numbers `CUT_*` of the shaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum CutKind {
    Temperature = 1,
    TopK = 2,
    TopP = 3,
    MinP = 4,
    TypicalP = 5,
    TopNSigma = 6,
    /// The epsilon cutoff, and Mirostat, which is one with 2^-mu.
    Epsilon = 7,
    Xtc = 8,
    TopA = 9,
    Eta = 10,
    PLess = 11,
    TopH = 12,
}

#[cfg(test)]
impl CutKind {
    /// Every kind, by its name in the shaders.
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("CUT_TEMPERATURE", Self::Temperature),
        ("CUT_TOP_K", Self::TopK),
        ("CUT_TOP_P", Self::TopP),
        ("CUT_MIN_P", Self::MinP),
        ("CUT_TYPICAL_P", Self::TypicalP),
        ("CUT_TOP_N_SIGMA", Self::TopNSigma),
        ("CUT_EPSILON", Self::Epsilon),
        ("CUT_XTC", Self::Xtc),
        ("CUT_TOP_A", Self::TopA),
        ("CUT_ETA", Self::Eta),
        ("CUT_P_LESS", Self::PLess),
        ("CUT_TOP_H", Self::TopH),
    ];
}

/// A step that acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) kind: CutKind,
    /// The kind's own: a count, a ratio (factor, by), a limit.
    pub(crate) words: [u32; 3],
}

impl Cut {
    /// From here on probabilities are those at the temperature.
    pub(crate) const TEMPERATURE: Self = Self { kind: CutKind::Temperature, words: [0; 3] };

    /// Whether it asks for the surprisal of what is left: pass 1 sums it up for those alone.
    pub(crate) fn needs_surprisal(&self) -> bool {
        matches!(self.kind, CutKind::TypicalP | CutKind::Eta)
    }

    /// Whether it excludes top choices.
    pub(crate) fn is_xtc(&self) -> bool {
        self.kind == CutKind::Xtc
    }

    /// The share that its first two words are.
    pub(super) fn share(self) -> Ratio {
        Ratio { factor: self.words[0], by: self.words[1] }
    }

    /// The four words that the device reads.
    #[cfg(feature = "gpu")]
    pub(crate) fn words_on_device(self) -> [u32; 4] {
        let [first, second, third] = self.words;
        [self.kind as u32, first, second, third]
    }
}

/// Words of a share, of which [`Cut::share`] makes one again.
pub(super) fn share_words(Ratio { factor, by }: Ratio) -> [u32; 3] {
    [factor, by, 0]
}

#[cfg(test)]
mod tests {
    use super::super::ALL;
    use super::*;

    #[test]
    fn every_kind_has_a_name_and_a_number_of_its_own() {
        for (place, (name, kind)) in CutKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place + 1, "{name}");
            assert!(name.starts_with("CUT_") && CutKind::ALL[..place].iter().all(|(other, _)| other != name));
        }
        let is_listed = |kind: CutKind| CutKind::ALL.iter().any(|(_, listed)| *listed == kind);
        assert!(is_listed(Cut::TEMPERATURE.kind));
        for spec in ALL {
            assert!(is_listed(spec.kind), "{}", spec.name);
        }
    }

    #[test]
    fn a_share_comes_back() {
        for share in [1.0, 0.9, 1e-30] {
            let ratio = Ratio::new(share);
            let cut = Cut { kind: CutKind::TopP, words: share_words(ratio) };
            assert_eq!(cut.share(), ratio, "{share}");
        }
    }
}
