//! What a `logprobs` call asks of every row.

use crate::arithmetic::format::{MAX_VOCAB, MOST_LISTED};
use crate::error::{Error, Result, shown};

/// What a `logprobs` call asks of every row. `Default` is the five best tokens at temperature 1,
/// without the entropy.
///
/// Construct it with `..Default::default()`: new fields, which change nothing at their default, come in minor versions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogprobsParams {
    /// Entries to return per row, 0 to [`LogprobsParams::MAX_TOP_LOGPROBS`]. Fewer come back where fewer tokens are
    /// possible.
    pub top_logprobs: u32,
    /// Divides the logits before the softmax: logprobs, log-sum-exp and entropy are those of `softmax(x / T)`.
    /// [`LogprobsParams::MIN_TEMPERATURE`] to [`LogprobsParams::MAX_TEMPERATURE`].
    pub temperature: f32,
    /// Whether to sum up the entropy too ([`Distribution::entropy`](crate::Distribution::entropy)), which takes a
    /// quarter to two fifths more instructions (`docs/performance.md`). No other number depends on it.
    pub entropy: bool,
}

impl LogprobsParams {
    /// Largest `top_logprobs`: every token of the largest vocabulary. More than
    /// [`LogprobsParams::MAX_SHORT_LIST`] are selected and sorted by further dispatches ([`Plan`](crate::Plan) prints them).
    #[expect(clippy::cast_possible_truncation, reason = "2^20")]
    pub const MAX_TOP_LOGPROBS: u32 = MAX_VOCAB as u32;
    /// Entries of a list, here and in [`SamplingParams`](crate::SamplingParams), that cost nothing beside the one read: as many
    /// as one workgroup can hold.
    pub const MAX_SHORT_LIST: u32 = MOST_LISTED;
    /// Smallest temperature.
    pub const MIN_TEMPERATURE: f32 = 1e-3;
    /// Largest temperature.
    pub const MAX_TEMPERATURE: f32 = 1e3;

    /// Nothing, if every field is in its range.
    ///
    /// # Errors
    /// [`Error::Params`] names the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        Self::validate_count("top_logprobs", self.top_logprobs)?;
        let range = Self::MIN_TEMPERATURE..=Self::MAX_TEMPERATURE;
        if !range.contains(&self.temperature) {
            let remedy = match self.temperature {
                0.0 => "for greedy decoding take the first entry at temperature 1",
                _ => "take one of these",
            };
            return Err(Error::Params(format!(
                "temperature {} is outside {} to {}: {remedy}",
                shown(self.temperature),
                range.start(),
                range.end()
            )));
        }
        Ok(())
    }

    /// Nothing, if a list of so many entries per row can be made.
    pub(crate) fn validate_count(name: &str, count: u32) -> Result<()> {
        if count > Self::MAX_TOP_LOGPROBS {
            return Err(Error::Params(format!(
                "{name} {count} is over the limit of {}: ask for fewer entries",
                Self::MAX_TOP_LOGPROBS
            )));
        }
        Ok(())
    }
}

impl Default for LogprobsParams {
    fn default() -> Self {
        Self { top_logprobs: 5, temperature: 1.0, entropy: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_out_of_range_is_named() {
        let cases = [
            (
                LogprobsParams { top_logprobs: 1_048_577, ..LogprobsParams::default() },
                "top_logprobs 1048577 is over the limit of 1048576",
            ),
            (LogprobsParams { temperature: 0.0, ..LogprobsParams::default() }, "temperature 0"),
            (
                LogprobsParams { temperature: 1e-40, ..LogprobsParams::default() },
                "temperature 1e-40 is outside",
            ),
            (LogprobsParams { temperature: f32::NAN, ..LogprobsParams::default() }, "temperature NaN"),
            (LogprobsParams { temperature: f32::INFINITY, ..LogprobsParams::default() }, "temperature inf"),
            (LogprobsParams { temperature: -1.0, ..LogprobsParams::default() }, "temperature -1"),
        ];
        for (params, words) in cases {
            let message = params.validate().expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        LogprobsParams { top_logprobs: 1 << 20, temperature: 0.001, entropy: true }
            .validate()
            .expect("the ends of the ranges are inside");
    }
}
