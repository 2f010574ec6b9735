//! Why a request has finished, in OpenAI's words.

use std::fmt;

use crate::arithmetic::merge::{STATUS_LENGTH, STATUS_STOP};

/// Why a request has finished: [`Sample::finish_reason`](crate::Sample::finish_reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "log", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FinishReason {
    /// It drew one of [`SamplingParams::stop_token_ids`](crate::SamplingParams::stop_token_ids).
    Stop,
    /// It has [`SamplingParams::max_tokens`](crate::SamplingParams::max_tokens) tokens.
    Length,
}

impl FinishReason {
    /// OpenAI's word: `stop`, `length`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }

    /// The status of a row behind the end, which is also a flag of its request.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Stop => STATUS_STOP,
            Self::Length => STATUS_LENGTH,
        }
    }

    /// The reason that a row's status gives, if it does.
    pub(crate) const fn from_code(code: u32) -> Option<Self> {
        match code {
            STATUS_STOP => Some(Self::Stop),
            STATUS_LENGTH => Some(Self::Length),
            _ => None,
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
