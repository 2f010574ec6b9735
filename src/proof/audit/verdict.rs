//! What was found of one answer.

use std::fmt;

/// Promised error, in nats, of every logprob whose probability is above [`ERROR_FLOOR`].
pub const ERROR_LIMIT: f64 = 1e-6;
/// Probability at and below which a logprob is promised nothing but to be as small.
pub const ERROR_FLOOR: f64 = 1e-9;

/// What a Kullback-Leibler divergence may be off besides, as a part of it.
pub const KL_RELATIVE: f64 = 2e-7;

/// What the definition says of one answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Verdict {
    /// Largest error of a logprob, a mass, an entropy or a log-sum-exp, in nats, 0 or more; NaN if one of them is.
    /// Where the answer is an f32, beyond the rounding to it. `None` where nothing was measured: the row is no
    /// distribution, the answer has no probabilities, or a filter's decision lay too near to its boundary to say
    /// which side is right.
    pub error: Option<f64>,
    /// The first thing that is wrong, an error over [`ERROR_LIMIT`] included, with the value and the right one.
    pub wrong: Option<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.wrong.is_none()
    }

    /// The verdict with this said first, if there is something to say: a [`difference`](super::difference) weighs more.
    pub fn unless(self, wrong: Option<String>) -> Self {
        Self { wrong: wrong.or(self.wrong), ..self }
    }

    /// The verdict with the words about a part of something named: `name: words`.
    pub(in crate::proof) fn within(self, name: &str) -> Self {
        Self { wrong: self.wrong.map(|words| format!("{name}: {words}")), ..self }
    }

    /// Takes the verdict about another part of the answer in.
    pub(super) fn and(&mut self, other: Self) {
        if let Some(error) = other.error {
            self.measure(error);
        }
        self.wrong = self.wrong.take().or(other.wrong);
    }

    /// Notes something wrong, if it is the first.
    pub(super) fn fails(&mut self, words: impl FnOnce() -> String) {
        self.wrong.get_or_insert_with(words);
    }

    /// Whether what must be equal is.
    pub(super) fn same<T: PartialEq + fmt::Debug>(&mut self, what: &str, got: T, expected: T) -> bool {
        let is_same = got == expected;
        if !is_same {
            self.fails(|| format!("{what} is {got:?} instead of {expected:?}"));
        }
        is_same
    }

    /// Takes a number that there must not be.
    pub(super) fn none(&mut self, what: &str, value: f64) {
        if !value.is_nan() {
            self.fails(|| format!("{what} is {value} instead of NaN"));
        }
    }

    /// Compares bits; any NaN equals any other.
    pub(super) fn same_bits(&mut self, what: &str, got: f32, expected: f32) {
        if got.to_bits() != expected.to_bits() && !(got.is_nan() && expected.is_nan()) {
            self.fails(|| format!("{what} is {got:?} instead of {expected:?}"));
        }
    }

    /// Measures a distance from the truth beyond what is allowed for. A NaN is far from everything.
    pub(super) fn near(&mut self, what: impl FnOnce() -> String, got: f64, truth: f64, allowance: f64) {
        let distance = if got == truth { 0.0 } else { (got - truth).abs() };
        let allowance = if truth.is_finite() { allowance } else { 0.0 };
        let error = if distance <= allowance { 0.0 } else { distance - allowance };
        self.measure(error);
        if worse(ERROR_LIMIT, error) != ERROR_LIMIT {
            self.fails(|| format!("{} is {got} instead of {truth}", what()));
        }
    }

    /// Measures a logprob, if its probability is above the floor; below it, the logprob must be too.
    pub(super) fn logprob(&mut self, what: impl FnOnce() -> String, got: f64, truth: f64, allowance: f64) {
        let floor = ERROR_FLOOR.ln();
        if truth > floor {
            self.near(what, got, truth, allowance);
            return;
        }
        let is_possible = truth > f64::NEG_INFINITY && got <= floor + ERROR_LIMIT + allowance;
        if got != truth && !is_possible {
            self.fails(|| format!("{} is {got} instead of {truth}", what()));
        }
    }

    fn measure(&mut self, error: f64) {
        self.error = Some(self.error.map_or(error, |before| worse(before, error)));
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.wrong, self.error) {
            (Some(wrong), _) => f.write_str(wrong),
            (None, Some(error)) => write!(f, "ok, error {error:.1e} nats"),
            (None, None) => f.write_str("ok"),
        }
    }
}

/// The larger error; a NaN is the worst.
pub(in crate::proof) fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}
