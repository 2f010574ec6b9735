//! Parameters as JSON, in the library's words, which are vLLM's and llama.cpp's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sortilege::{Dry, LogprobsParams, Mirostat, Order, SamplingParams};

use crate::error::{Result, refused};

/// A struct of fields of which any may be missing, and how it is laid over what it is of.
macro_rules! partial {
    ($(#[$doc:meta])* $name:ident of $of:ty { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct $name { $($field: Option<$type>,)* }

        impl $name {
            fn over(self, mut under: $of) -> $of {
                $(if let Some(value) = self.$field {
                    under.$field = value.into();
                })*
                under
            }
        }
    };
}

partial! {
    /// Those that are no more than a value.
    Plain of SamplingParams {
        temperature: f32,
        dynatemp_range: f32,
        dynatemp_exponent: f32,
        top_k: u32,
        top_p: f32,
        min_p: f32,
        typical_p: f32,
        top_n_sigma: f32,
        top_a: f32,
        epsilon_cutoff: f32,
        eta_cutoff: f32,
        xtc_threshold: f32,
        xtc_probability: f32,
        xtc_exempt_token_ids: Vec<u32>,
        p_less: bool,
        top_h: f32,
        mirostat: MirostatFields,
        order: Spelled,
        logit_bias: Biases,
        repetition_penalty: f32,
        presence_penalty: f32,
        frequency_penalty: f32,
        penalty_last_n: u32,
        penalty_exempt_token_ids: Vec<u32>,
        no_repeat_ngram_size: u32,
        no_repeat_ngram_window: u32,
        dry: DryFields,
        bad_words: Vec<Vec<u32>>,
        min_tokens: u64,
        max_tokens: u64,
        stop_token_ids: Vec<u32>,
        allowed_token_ids: Vec<u32>,
        seed: Seed,
        stream: u32,
        n: u32,
        raw_logprobs: u32,
        processed_logprobs: u32,
        logprob_token_ids: Vec<u32>,
        entropy: bool,
    }
}

partial! {
    /// Those of DRY.
    DryFields of Dry {
        multiplier: f32,
        base: f32,
        allowed_length: u32,
        last_n: u32,
        sequence_breakers: Vec<u32>,
    }
}

impl From<DryFields> for Option<Dry> {
    fn from(fields: DryFields) -> Self {
        Some(fields.over(Dry::default()))
    }
}

/// Those of Mirostat.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MirostatFields {
    tau: f32,
    #[serde(default = "usual_eta")]
    eta: f32,
}

fn usual_eta() -> f32 {
    0.1
}

impl From<MirostatFields> for Option<Mirostat> {
    fn from(MirostatFields { tau, eta }: MirostatFields) -> Self {
        Some(Mirostat { tau, eta })
    }
}

/// An order: whose it is, or a list of steps.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct Spelled(Order);

impl TryFrom<Value> for Spelled {
    type Error = String;

    fn try_from(value: Value) -> std::result::Result<Self, String> {
        if let Value::Array(list) = &value {
            let step = |name: &Value| name.as_str().unwrap_or(&name.to_string()).parse();
            let steps = list.iter().map(step).collect::<sortilege::Result<_>>();
            return Ok(Self(Order::List(steps.map_err(|error| error.to_string())?)));
        }
        match value.as_str() {
            Some("vllm") => Ok(Self(Order::Vllm)),
            Some("llama") => Ok(Self(Order::Llama)),
            _ => Err(format!("order {value} is none of \"vllm\", \"llama\", [steps]")),
        }
    }
}

impl From<Spelled> for Order {
    fn from(Spelled(order): Spelled) -> Self {
        order
    }
}

/// Biases by token, as OpenAI writes them.
#[derive(Deserialize)]
struct Biases(BTreeMap<u32, f32>);

impl From<Biases> for Vec<(u32, f32)> {
    fn from(Biases(map): Biases) -> Self {
        map.into_iter().collect()
    }
}

/// A number, or its digits: numbers of JavaScript are exact up to 2^53.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct Seed(u64);

impl TryFrom<Value> for Seed {
    type Error = String;

    fn try_from(value: Value) -> std::result::Result<Self, String> {
        let seed = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        seed.map(Self).ok_or_else(|| format!("seed {value}: it must be a whole number from 0 to 2^64 - 1"))
    }
}

impl From<Seed> for Option<u64> {
    fn from(Seed(seed): Seed) -> Self {
        Some(seed)
    }
}

/// Parameters of sampling.
pub(crate) struct Params;

impl Params {
    /// Those of a JSON object.
    pub(crate) fn read(text: &str) -> Result<SamplingParams> {
        let fields: Plain = serde_json::from_str(text).map_err(refused)?;
        Ok(fields.over(SamplingParams { entropy: true, ..SamplingParams::default() }))
    }

    /// The same, with a seed that a number of JavaScript holds.
    pub(crate) fn read_seeded(text: &str) -> Result<SamplingParams> {
        let mut params = Self::read(text)?;
        if params.seed.is_none() {
            let random = getrandom::u64();
            let random = random.map_err(|error| refused(format!("no randomness ({error}): give `seed`")))?;
            params.seed = Some(random >> 11);
        }
        Ok(params)
    }
}

/// What is asked of a batch, and how its records are numbered.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogprobsRequest {
    top_logprobs: Option<u32>,
    temperature: Option<f32>,
    entropy: Option<bool>,
    /// Empty, or one per row.
    pub(crate) targets: Vec<Option<u32>>,
    token_ids: Vec<Vec<u32>>,
    pub(crate) request: u64,
    pub(crate) first_position: u64,
}

impl LogprobsRequest {
    /// That of a JSON object.
    pub(crate) fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(refused)
    }

    pub(crate) fn params(&self) -> LogprobsParams {
        let usual = LogprobsParams::default();
        LogprobsParams {
            top_logprobs: self.top_logprobs.unwrap_or(usual.top_logprobs),
            temperature: self.temperature.unwrap_or(usual.temperature),
            entropy: self.entropy.unwrap_or(usual.entropy),
        }
    }

    pub(crate) fn token_ids(&self) -> Vec<&[u32]> {
        self.token_ids.iter().map(Vec::as_slice).collect()
    }
}
