//! The operations that are measured.

use clap::ValueEnum;

/// An operation, or all of them, as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OpArg {
    /// Records with a target per row
    Log,
    /// Draws, of all tokens but for --top-k, --top-p and --min-p
    Sample,
    /// One drawn token a row and nothing besides, left on the device; of the CPU engine what sample does
    SampleTokens,
    /// All logprobs, left on the device
    LogSoftmax,
    /// The largest logits, left on the device
    TopK,
    /// All of them
    All,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Log,
    Sample,
    SampleTokens,
    LogSoftmax,
    TopK,
}

impl Op {
    /// Whether it has a temperature that may be 0, and filters.
    pub(crate) const fn draws(self) -> bool {
        matches!(self, Self::Sample | Self::SampleTokens)
    }

    /// Whether alternatives are listed.
    pub(crate) const fn lists(self) -> bool {
        !matches!(self, Self::SampleTokens | Self::LogSoftmax)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Sample => "sample",
            Self::SampleTokens => "sample-tokens",
            Self::LogSoftmax => "log-softmax",
            Self::TopK => "top-k",
        }
    }
}
