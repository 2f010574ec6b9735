//! The fields of [`SamplingParams`] as options and as keys of a file of parameters.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sortilege::{Dry, Mirostat, Order, SamplingParams, SamplingStep};

/// The options of sampling.
#[derive(Args, Clone, Debug)]
pub(crate) struct SamplingArgs {
    #[command(flatten)]
    fields: Fields,
    /// Order of temperature and filters [default: vllm]
    #[arg(long, conflicts_with = "order", help_heading = FILTERS)]
    profile: Option<Profile>,
    /// An order of one's own, such as top_k,temperature,top_p, with every step that is set. All: temperature, top_k, top_p,
    /// min_p, typical_p, top_n_sigma, epsilon_cutoff, xtc, mirostat
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', help_heading = FILTERS)]
    order: Option<Vec<FilterName>>,
}

impl SamplingArgs {
    pub(crate) fn fields(&self) -> Fields {
        let order = match (self.profile, &self.order) {
            (_, Some(list)) => Some(OrderField::List(list.clone())),
            (profile, None) => profile.map(OrderField::Profile),
        };
        Fields { order, ..self.fields.clone() }
    }
}

const FILTERS: &str = "Temperature and filters";
const CHANGES: &str = "Penalties and restrictions";
const DRAWS: &str = "Draws and logprobs";

/// What is asked for; whatever is not given stays as it is.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fields {
    /// Divide the logits by this; 0 is greedy [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = FILTERS)]
    temperature: Option<f32>,
    /// Dynamic temperature: up to this much above and below --temperature, by the entropy [default: 0, off]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = FILTERS)]
    dynatemp_range: Option<f32>,
    /// Exponent of the dynamic temperature [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = FILTERS)]
    dynatemp_exponent: Option<f32>,
    /// Keep the K most probable tokens [default: 0, all]
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = FILTERS)]
    top_k: Option<u32>,
    /// Keep the most probable tokens until their mass reaches P [default: 1, all]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    top_p: Option<f32>,
    /// Keep tokens of at least P times the greatest probability [default: 0, all]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    min_p: Option<f32>,
    /// Keep the tokens whose surprise is nearest to the entropy until their mass reaches P [default: 1, all]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    typical_p: Option<f32>,
    /// Keep logits of at least the largest less N standard deviations [default: 0, all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = FILTERS)]
    top_n_sigma: Option<f32>,
    /// Keep tokens of at least this probability [default: 0, all]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    epsilon_cutoff: Option<f32>,
    /// XTC: exclude all but the last of the tokens of at least this probability [default: 0.1]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    xtc_threshold: Option<f32>,
    /// How often XTC acts [default: 0, never]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    xtc_probability: Option<f32>,
    #[command(flatten)]
    mirostat: Option<MirostatFields>,
    #[arg(skip)]
    order: Option<OrderField>,
    /// Add BIAS to the logit of token ID; may be repeated
    #[arg(
        long,
        value_name = "ID:BIAS",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = CHANGES
    )]
    #[serde(deserialize_with = "biases")]
    logit_bias: Option<Vec<Bias>>,
    /// Divide the positive logits of tokens seen before, multiply the others [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = CHANGES)]
    repetition_penalty: Option<f32>,
    /// Subtract from the logits of tokens seen before [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = CHANGES)]
    presence_penalty: Option<f32>,
    /// Subtract once for each time that a token was seen [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = CHANGES)]
    frequency_penalty: Option<f32>,
    /// All three penalties look at the last N tokens of prompt and output, as in llama.cpp [default: as in vLLM, the
    /// repetition penalty at prompt and output, the others at the output]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = CHANGES)]
    penalty_last_n: Option<u32>,
    #[command(flatten)]
    dry: Option<DryFields>,
    /// Sequences of tokens that must not come about, such as "1,2;7"
    #[arg(long, value_name = "ID,ID;ID", allow_hyphen_values = true, help_heading = CHANGES)]
    bad_words: Option<BadWords>,
    /// No --stop-token-ids at positions below N [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = CHANGES)]
    min_tokens: Option<u64>,
    /// What ends a request; only --min-tokens looks at them
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    stop_token_ids: Option<Vec<u32>>,
    /// The only possible tokens
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    allowed_token_ids: Option<Vec<u32>>,
    /// Seed of the draws [default: one is found and told]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = DRAWS)]
    pub(super) seed: Option<u64>,
    /// Tells draws with one seed and one position apart [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = DRAWS)]
    pub(super) stream: Option<u32>,
    /// Draws per row, independent of each other, 1 to 16 [default: 1]
    #[arg(short, long = "draws", value_name = "N", allow_negative_numbers = true, help_heading = DRAWS)]
    n: Option<u32>,
    /// The raw distribution too: of the logits as they are, with its K most probable tokens
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = DRAWS)]
    raw_logprobs: Option<u32>,
    /// The K most probable tokens of the distribution that is drawn from
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = DRAWS)]
    processed_logprobs: Option<u32>,
    #[arg(skip)]
    pub(super) prompt: Option<Vec<u32>>,
    #[arg(skip)]
    pub(super) position: Option<u64>,
}

/// Either of its options switches Mirostat on.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct MirostatFields {
    /// Mirostat v2: the surprise to aim at, bits [default: 5]
    #[arg(
        long = "mirostat-tau",
        id = "mirostat_tau",
        value_name = "BITS",
        allow_negative_numbers = true,
        help_heading = FILTERS
    )]
    tau: Option<f32>,
    /// Mirostat v2: how fast to adapt, with --feedback [default: 0.1]
    #[arg(
        long = "mirostat-eta",
        id = "mirostat_eta",
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = FILTERS
    )]
    eta: Option<f32>,
}

/// The multiplier switches DRY on, in a file any key.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct DryFields {
    /// DRY: the penalty of the shortest repetition that counts; switches it on
    #[arg(
        long = "dry-multiplier",
        id = "dry_multiplier",
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    multiplier: Option<f32>,
    /// DRY: growth of the penalty with each further token [default: 1.75]
    #[arg(
        long = "dry-base",
        id = "dry_base",
        value_name = "X",
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    base: Option<f32>,
    /// DRY: the shortest repetition that counts, in tokens [default: 2]
    #[arg(
        long = "dry-allowed-length",
        id = "dry_allowed_length",
        value_name = "N",
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    allowed_length: Option<u32>,
    /// DRY: look at the last N tokens of prompt and output [default: all]
    #[arg(
        long = "dry-last-n",
        id = "dry_last_n",
        value_name = "N",
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    last_n: Option<u32>,
    /// DRY: tokens over which no repetition reaches
    #[arg(
        long = "dry-sequence-breakers",
        id = "dry_sequence_breakers",
        value_name = "ID,ID",
        value_delimiter = ',',
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    sequence_breakers: Option<Vec<u32>>,
}

/// Puts the fields that are given in their places.
macro_rules! set {
    ($params:ident from $fields:ident: $($name:ident)*) => {
        $(if let Some(value) = &$fields.$name {
            $params.$name = value.clone().into();
        })*
    };
}

impl Fields {
    /// Puts what is given over `params`.
    pub(crate) fn apply(&self, params: &mut SamplingParams) {
        set!(params from self:
            temperature dynatemp_range dynatemp_exponent top_k top_p min_p typical_p top_n_sigma epsilon_cutoff
            xtc_threshold xtc_probability order repetition_penalty presence_penalty frequency_penalty penalty_last_n
            bad_words min_tokens stop_token_ids allowed_token_ids seed stream n raw_logprobs processed_logprobs
        );
        if let Some(list) = &self.logit_bias {
            params.logit_bias = list.iter().map(|&Bias(token, bias)| (token, bias)).collect();
        }
        if let Some(fields) = &self.mirostat {
            let mirostat = params.mirostat.get_or_insert(Mirostat { tau: 5.0, eta: 0.1 });
            set!(mirostat from fields: tau eta);
        }
        if let Some(fields) = &self.dry {
            let dry = params.dry.get_or_insert_with(Dry::default);
            set!(dry from fields: multiplier base allowed_length last_n sequence_breakers);
        }
    }
}

/// Whose order of filters.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Profile {
    /// Temperature, top-n-sigma, typical-p, epsilon cutoff, min-p, top-k, top-p, XTC, Mirostat
    Vllm,
    /// Top-n-sigma, top-k, typical-p, top-p, min-p, epsilon cutoff, XTC, temperature; with Mirostat nothing but
    /// temperature and Mirostat
    Llama,
}

/// A step by its name.
#[derive(Clone, Copy, Debug)]
struct FilterName(SamplingStep);

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

/// `"vllm"`, `"llama"` or a list of names.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum OrderField {
    Profile(Profile),
    List(Vec<FilterName>),
}

impl<'de> Deserialize<'de> for OrderField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Value::deserialize(deserializer)?;
        if let Value::Array(list) = &said {
            let name =
                |name: &Value| name.as_str().unwrap_or(&name.to_string()).parse().map_err(D::Error::custom);
            return list.iter().map(name).collect::<Result<_, _>>().map(Self::List);
        }
        Profile::deserialize(&said)
            .map(Self::Profile)
            .map_err(|_| D::Error::custom(format!("order {said} is none of \"vllm\", \"llama\", [names]")))
    }
}

impl From<OrderField> for Order {
    fn from(order: OrderField) -> Self {
        match order {
            OrderField::Profile(Profile::Vllm) => Self::Vllm,
            OrderField::Profile(Profile::Llama) => Self::Llama,
            OrderField::List(list) => Self::List(list.into_iter().map(|FilterName(filter)| filter).collect()),
        }
    }
}

/// A token and what is added to its logit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Bias(u32, f32);

impl FromStr for Bias {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair =
            text.split_once(':').and_then(|(id, bias)| Some(Self(id.parse().ok()?, bias.parse().ok()?)));
        pair.ok_or_else(|| format!("{text:?} is no ID:BIAS such as 42:-1.5"))
    }
}

/// `{"ID": bias}`, `[[ID, bias]]` or null.
fn biases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Bias>>, D::Error> {
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
struct BadWords(Vec<Vec<u32>>);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn params(json: &str) -> SamplingParams {
        let mut params = SamplingParams::default();
        serde_json::from_str::<Fields>(json).expect(json).apply(&mut params);
        params
    }

    #[test]
    fn every_key_reaches_its_field() {
        let set = params(
            r#"{"temperature": 0.7, "dynatemp_range": 0.2, "dynatemp_exponent": 2, "top_k": 3, "top_p": 0.9, "min_p": 0.1,
            "typical_p": 0.8, "top_n_sigma": 2, "epsilon_cutoff": 0.01, "xtc_threshold": 0.2, "xtc_probability": 0.5,
            "mirostat": {"eta": 0.3}, "order": ["top_k", "xtc"], "logit_bias": {"4": -1.5}, "repetition_penalty": 1.1,
            "presence_penalty": 0.3, "frequency_penalty": -0.3, "penalty_last_n": 7, "dry": {"base": 2, "last_n": 9},
            "bad_words": [[1, 2], [7]], "min_tokens": 5, "stop_token_ids": [2], "allowed_token_ids": [1], "seed": 8,
            "stream": 9, "n": 2, "raw_logprobs": 1, "processed_logprobs": 2}"#,
        );
        let expected = SamplingParams {
            temperature: 0.7,
            dynatemp_range: 0.2,
            dynatemp_exponent: 2.0,
            top_k: 3,
            top_p: 0.9,
            min_p: 0.1,
            typical_p: 0.8,
            top_n_sigma: 2.0,
            epsilon_cutoff: 0.01,
            xtc_threshold: 0.2,
            xtc_probability: 0.5,
            mirostat: Some(Mirostat { tau: 5.0, eta: 0.3 }),
            order: Order::List(vec![SamplingStep::TopK, SamplingStep::Xtc]),
            logit_bias: vec![(4, -1.5)],
            repetition_penalty: 1.1,
            presence_penalty: 0.3,
            frequency_penalty: -0.3,
            penalty_last_n: Some(7),
            dry: Some(Dry { base: 2.0, last_n: Some(9), ..Dry::default() }),
            bad_words: vec![vec![1, 2], vec![7]],
            min_tokens: 5,
            stop_token_ids: vec![2],
            allowed_token_ids: Some(vec![1]),
            seed: Some(8),
            stream: 9,
            n: 2,
            raw_logprobs: Some(1),
            processed_logprobs: Some(2),
        };
        assert_eq!(set, expected);
        let fields: Fields = serde_json::from_str("{}").expect("no keys");
        let names = serde_json::to_value(&fields).expect("an object");
        // The fields of the parameters, `prompt` and `position`.
        assert_eq!(names.as_object().expect("an object").len(), 28 + 2);
    }

    #[test]
    fn both_forms_of_a_bias_and_of_an_order_are_read() {
        assert_eq!(params(r#"{"logit_bias": [[4, -1.5]]}"#), params(r#"{"logit_bias": {"4": -1.5}}"#));
        assert_eq!(params(r#"{"order": "llama"}"#).order, Order::Llama);
        assert_eq!(
            params(r#"{"order": null, "logit_bias": null, "top_p": null}"#),
            SamplingParams::default()
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (json, word) in [
            (r#"{"topp": 1}"#, "`topp`"),
            (r#"{"dry": {"bas": 1}}"#, "`bas`"),
            (r#"{"mirostat": {"mu": 1}}"#, "`mu`"),
            (r#"{"order": "openai"}"#, "openai"),
            (r#"{"order": ["top_q"]}"#, "top_q"),
            (r#"{"order": [3]}"#, "\"3\" is no filter"),
            (r#"{"top_k": -1}"#, "-1"),
            (r#"{"logit_bias": "4:1"}"#, "logit_bias"),
        ] {
            let message = serde_json::from_str::<Fields>(json).expect_err(json).to_string();
            assert!(message.contains(word), "{json}: {message}");
        }
    }
}
