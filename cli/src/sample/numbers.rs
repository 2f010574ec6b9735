//! Whole numbers as options spell them, and those of which vLLM or llama.cpp have a value for "off" or "all": the same
//! on the command line and in files of parameters.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shared_args::{entries, float, within};

/// Reads a whole number of any size that its type has.
pub(super) fn whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let bits = 8 * size_of::<T>();
    within(text, 0..=u64::MAX >> (64 - bits))
}

/// Whether a number is the -1 of the peers.
fn is_minus_one(text: &str) -> bool {
    text.trim().parse() == Ok(-1i64)
}

/// How many tokens top-k keeps; 0, and -1 as in vLLM, keep all.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub(crate) struct TopK(pub(crate) u32);

impl FromStr for TopK {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_minus_one(text) {
            return Ok(Self(0));
        }
        whole(text).map(Self).map_err(|problem| format!("{problem}; 0 or -1 keep all"))
    }
}

/// How many entries a list has; -1, as in vLLM, is all.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub(super) struct Entries(pub(super) u32);

impl FromStr for Entries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        entries(text).map(Self)
    }
}

/// How many of the last tokens are looked at; 0 is none, -1 all of them, as in llama.cpp.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub(super) struct LastN(pub(super) u32);

impl FromStr for LastN {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_minus_one(text) {
            return Ok(Self(u32::MAX));
        }
        whole(text).map(Self).map_err(|problem| format!("{problem}; -1 looks at all tokens"))
    }
}

/// How many standard deviations top-n-sigma keeps; 0, and -1 as in llama.cpp, keep all.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub(super) struct Sigmas(pub(super) f32);

impl FromStr for Sigmas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match float(text) {
            Ok(-1.0) => Ok(Self(0.0)),
            Ok(sigmas) => Ok(Self(sigmas)),
            Err(problem) => Err(format!("{problem}; 0 or -1 keep all")),
        }
    }
}

/// A seed, or none for -1: then one is found, as in vLLM and llama.cpp.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "Value")]
pub(super) struct Seed(pub(super) Option<u64>);

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_minus_one(text) {
            return Ok(Self(None));
        }
        whole(text).map(|seed| Self(Some(seed))).map_err(|problem| format!("{problem}; -1 finds a seed"))
    }
}

/// Into what the library's fields hold.
macro_rules! into {
    ($($name:ident $type:ty)*) => {
        $(impl From<$name> for $type {
            fn from($name(value): $name) -> Self {
                value.into()
            }
        })*
    };
}

into!(TopK u32 Entries Option<u32> LastN Option<u32> Sigmas f32 Seed Option<u64>);

/// JSON's numbers mean what they mean as options.
macro_rules! read_as_options {
    ($($name:ident)*) => {
        $(impl TryFrom<Value> for $name {
            type Error = String;

            fn try_from(value: Value) -> Result<Self, String> {
                match value {
                    Value::String(text) => text.parse(),
                    other => other.to_string().parse(),
                }
            }
        })*
    };
}

read_as_options!(TopK Entries LastN Sigmas Seed);

/// The value of a key where numbers are meant. DRY's breakers may be texts, of digits too.
pub(super) fn plain_field((key, value): (String, Value)) -> (String, Value) {
    let value = if key.ends_with("sequence_breakers") { value } else { plain_numbers(value) };
    (key, value)
}

/// What a value means where numbers are meant: texts that spell one become numbers, and floats without a fraction whole
/// numbers, inside of lists and objects too.
fn plain_numbers(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(plain_numbers).collect()),
        Value::Object(object) => Value::Object(object.into_iter().map(plain_field).collect()),
        Value::String(text) => match serde_json::from_str(text.trim()) {
            Ok(number @ Value::Number(_)) => plain_numbers(number),
            _ => Value::String(text),
        },
        Value::Number(number) => match number.as_f64() {
            // Below 2^53 every whole number is a float.
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 2f64.powi(53) => {
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_peers_off_values_are_read() {
        let top_k = ["-1", "0", "7", "4294967295"].map(|text| text.parse::<TopK>().expect(text).0);
        assert_eq!(top_k, [0, 0, 7, u32::MAX]);
        let last_n = ["-1", "0", "7"].map(|text| text.parse::<LastN>().expect(text).0);
        assert_eq!(last_n, [u32::MAX, 0, 7]);
        let sigmas = ["-1", "-1.0", "0", "1.5"].map(|text| text.parse::<Sigmas>().expect(text).0);
        assert_eq!(sigmas, [0.0, 0.0, 0.0, 1.5]);
        let seeds = ["-1", "0", "18446744073709551615"].map(|text| text.parse::<Seed>().expect(text).0);
        assert_eq!(seeds, [None, Some(0), Some(u64::MAX)]);
    }

    #[test]
    fn other_values_are_refused_with_the_ends_of_the_range() {
        for text in ["-2", "1.5", "x", "", "4294967296"] {
            let top_k = text.parse::<TopK>().expect_err(text);
            let last_n = text.parse::<LastN>().expect_err(text);
            assert!(top_k.contains("0 to 4294967295; 0 or -1 keep all"), "{top_k}");
            assert!(last_n.contains("0 to 4294967295; -1 looks at all"), "{last_n}");
        }
        let seed = "-2".parse::<Seed>().expect_err("a negative seed");
        assert!(seed.contains("0 to 18446744073709551615; -1 finds a seed"), "{seed}");
        assert!("x".parse::<Sigmas>().is_err());
    }

    #[test]
    fn numbers_are_plain() {
        let given = json!(["1", "1.0", 1.0, "1.5", 1.5, "x", {"a": "-3"}, true, null, 1e300, "NaN", -0.0]);
        let plain = json!([1, 1, 1, 1.5, 1.5, "x", {"a": -3}, true, null, 1e300, "NaN", 0]);
        assert_eq!(plain_numbers(given), plain);
        let given = json!({"a": "1", "sequence_breakers": ["1", 2], "dry_sequence_breakers": ["2.0"]});
        let plain = json!({"a": 1, "sequence_breakers": ["1", 2], "dry_sequence_breakers": ["2.0"]});
        assert_eq!(plain_numbers(given), plain);
    }
}
