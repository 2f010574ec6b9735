//! Values of sampling parameters that are more than a number, as options and as JSON spell them.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sortilege::{Order, SamplingStep};

/// An order of temperature and filters by whose it is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Profile {
    /// Temperature, top-n-sigma, typical-p, epsilon and eta cutoff, min-p, top-a, top-k, top-p, XTC, Mirostat
    Vllm,
    /// Top-n-sigma, top-k, typical-p, top-p, min-p, top-a, epsilon and eta cutoff, XTC, temperature; with Mirostat nothing but
    /// temperature and Mirostat
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
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Bias(pub(super) u32, pub(super) f32);

impl FromStr for Bias {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair =
            text.split_once(':').and_then(|(id, bias)| Some(Self(id.parse().ok()?, bias.parse().ok()?)));
        pair.ok_or_else(|| format!("{text:?} is no ID:BIAS such as 42:-1.5"))
    }
}

/// Reads biases of `{"ID": bias}`, `[[ID, bias]]` or null.
pub(super) fn biases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Bias>>, D::Error> {
    struct Biases;
    impl<'de> Visitor<'de> for Biases {
        type Value = Option<Vec<Bias>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("logit_bias as {\"ID\": bias} or [[ID, bias]]")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some((token, bias)) = map.next_entry()? {
                list.push(Bias(token, bias));
            }
            Ok(Some(list))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(bias) = entries.next_element()? {
                list.push(bias);
            }
            Ok(Some(list))
        }
    }
    deserializer.deserialize_any(Biases)
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
