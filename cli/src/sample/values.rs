//! Values of sampling parameters that are more than a number, as options and as JSON spell them.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sortilege::{Order, SamplingStep};

use super::numbers::whole;
use crate::shared_args::float;

/// An order of temperature and filters by whose it is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Profile {
    /// Temperature, top-n-sigma, typical-p, epsilon and eta cutoff, min-p, p-less, top-h, top-a, top-k, top-p, XTC, Mirostat
    Vllm,
    /// Top-n-sigma, top-k, typical-p, top-p, min-p, p-less, top-h, top-a, epsilon and eta cutoff, XTC, temperature; with Mirostat
    /// nothing but temperature and Mirostat
    Llama,
}

/// A step of an order, by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct FilterName(SamplingStep);

impl FromStr for FilterName {
    type Err = sortilege::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        name.parse().map(Self)
    }
}

impl Serialize for FilterName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

/// An order: `"vllm"`, `"llama"` or a list of names.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum OrderValue {
    Profile(Profile),
    List(Vec<FilterName>),
}

impl<'de> Deserialize<'de> for OrderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Value::Array(list) = &value {
            let name =
                |name: &Value| name.as_str().unwrap_or(&name.to_string()).parse().map_err(D::Error::custom);
            return list.iter().map(name).collect::<Result<_, _>>().map(Self::List);
        }
        Profile::deserialize(&value)
            .map(Self::Profile)
            .map_err(|_| D::Error::custom(format!("order {value} is none of \"vllm\", \"llama\", [names]")))
    }
}

impl From<OrderValue> for Order {
    fn from(order: OrderValue) -> Self {
        match order {
            OrderValue::Profile(Profile::Vllm) => Self::Vllm,
            OrderValue::Profile(Profile::Llama) => Self::Llama,
            OrderValue::List(list) => Self::List(list.into_iter().map(|FilterName(filter)| filter).collect()),
        }
    }
}

/// A token and what is added to its logit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bias(pub(super) u32, pub(super) f32);

impl Serialize for Bias {
    /// A ban, for which JSON has no number, is spelled.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            f32::NEG_INFINITY => (self.0, "-inf").serialize(serializer),
            bias => (self.0, bias).serialize(serializer),
        }
    }
}

impl FromStr for Bias {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split_once(':').and_then(|(id, bias)| Some((id.parse().ok()?, bias)));
        let (token, bias) = pair.ok_or_else(|| format!("{text:?} is no ID:BIAS such as 42:-1.5"))?;
        float(bias).map(|bias| Self(token, bias)).map_err(|problem| format!("{text:?}: {problem}"))
    }
}

impl Bias {
    /// A bias of JSON. Where JSON has no number for it, it is spelled: "-inf", or `false` as in llama.cpp, is a ban.
    fn of(token: u32, bias: &Value) -> Result<Self, String> {
        let bias = match bias {
            Value::Bool(false) => Some(f32::NEG_INFINITY),
            Value::String(text) => text.trim().parse().ok(),
            number => f32::deserialize(number).ok(),
        };
        bias.map(|bias| Self(token, bias)).ok_or_else(|| format!("the bias of token {token} is no number"))
    }
}

/// Reads biases of `{"ID": bias}`, `[[ID, bias]]` or null.
pub(super) fn biases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Bias>>, D::Error> {
    const FORMS: &str = "logit_bias is {\"ID\": bias} or [[ID, bias]]";
    let no_id = |id: &dyn fmt::Display| format!("logit_bias: {id} is no token id; {FORMS}");
    let list = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Object(map) => map
            .iter()
            .map(|(id, bias)| Bias::of(whole(id).map_err(|_| no_id(&format_args!("{id:?}")))?, bias))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([id, bias]) => Bias::of(whole(&id.to_string()).map_err(|_| no_id(id))?, bias),
                _ => Err(FORMS.to_owned()),
            })
            .collect(),
        _ => Err(FORMS.to_owned()),
    };
    list.map(Some).map_err(D::Error::custom)
}

/// Sequences of tokens; `1,2;7` on the command line.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct BadWords(Vec<Vec<u32>>);

impl FromStr for BadWords {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |id: &str| id.trim().parse().map_err(|_| format!("{id:?} is no token id: write \"1,2;7\""));
        let word = |word: &str| word.split(',').map(id).collect();
        text.split(';').map(word).collect::<Result<_, _>>().map(Self)
    }
}

impl From<BadWords> for Vec<Vec<u32>> {
    fn from(words: BadWords) -> Self {
        words.0
    }
}
