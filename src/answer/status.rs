//! Whether a row is a distribution, and if not why.

use std::fmt;

use crate::arithmetic::merge::{STATUS_INFINITY, STATUS_LENGTH, STATUS_NAN, STATUS_STOP};

/// Whether a row is a distribution, and if not why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "log", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Status {
    /// At least one finite logit, no NaN and no +infinity.
    Ok,
    /// The row holds a NaN.
    Nan,
    /// The row holds +infinity (and no NaN).
    PositiveInfinity,
    /// Every logit is -infinity: no token is possible.
    NothingFinite,
    /// The request had finished before the row, which nobody looked at.
    Finished,
    /// The row ran ahead with `Histories`, which do not know the tokens before it. Nothing is drawn.
    ///
    /// - A step before it was recorded and not submitted, or submitted out of order: accept the samples before that step, and
    ///   record it and those behind it again.
    /// - Or, very seldom, the tokens that change its logits find no room in the device's table: accept the samples before the
    ///   row, and draw it without `Histories`.
    LostHistory,
}

impl Status {
    /// The word that logs use: `ok`, `nan`, `positive_infinity`, `nothing_finite`, `finished`, `lost_history`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Nan => "nan",
            Self::PositiveInfinity => "positive_infinity",
            Self::NothingFinite => "nothing_finite",
            Self::Finished => "finished",
            Self::LostHistory => "lost_history",
        }
    }

    /// The status of this code, out of a record.
    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Ok,
            STATUS_NAN => Self::Nan,
            STATUS_INFINITY => Self::PositiveInfinity,
            STATUS_STOP | STATUS_LENGTH => Self::Finished,
            _ => Self::NothingFinite,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
