//! What a filter says of itself.

use std::ops::RangeInclusive;

use super::cut::{Cut, CutKind};
use super::run::Run;
use crate::params::{SamplingParams, SamplingStep};

/// All that the crate needs to know of a filter.
pub(crate) struct Spec {
    pub(crate) step: SamplingStep,
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) kind: CutKind,
    /// Words of its cut, from parameters and Mirostat's limit in Q24 bits.
    pub(super) words: fn(&SamplingParams, i64) -> [u32; 3],
    /// Narrows a run: the same for all filters of a kind.
    pub(super) keep: fn(&mut Run<'_>, Cut),
    /// Settings in which validation tries it alone.
    #[cfg_attr(
        not(any(test, all(feature = "validate", feature = "device"))),
        expect(dead_code, reason = "validation needs a device")
    )]
    pub(crate) settings: &'static [Setting],
}

/// A number that a filter is given.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// `None` where the filter is not asked for.
    pub(crate) value: fn(&SamplingParams) -> Option<f32>,
    pub(crate) range: RangeInclusive<f32>,
    /// The value at which the filter does nothing.
    pub(crate) off: Option<f32>,
    /// What to do, or to know, about a value outside of the range.
    pub(crate) remedy: &'static str,
}

/// Parameters with a name.
pub(crate) type Setting = (&'static str, fn(&mut SamplingParams));

impl Spec {
    /// Whether it does anything with these parameters.
    pub(super) fn acts(&self, params: &SamplingParams) -> bool {
        self.parameters.iter().all(|Parameter { value, off, .. }| {
            value(params).is_some_and(|value| off.is_none_or(|off| value != off))
        })
    }
}
