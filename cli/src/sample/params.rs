//! Sampling parameters of which any may be missing: options of the command line, keys of a file of parameters, and the
//! `sampling` of a sidecar. The library says what they mean, and checks them.

use clap::Args;
use serde::{Deserialize, Serialize};
use sortilege::{Dry, Mirostat, SamplingParams};

use super::values::{BadWords, Bias, OrderValue, biases};

pub(super) const FILTERS: &str = "Temperature and filters";
const CHANGES: &str = "Penalties and restrictions";
const DRAWS: &str = "Draws and logprobs";

/// The parameters that are given.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartialParams {
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
    /// Keep tokens of at least A times the square of the largest probability [default: 0, all]
    #[arg(long, value_name = "A", allow_negative_numbers = true, help_heading = FILTERS)]
    top_a: Option<f32>,
    /// Keep tokens of at least the probability min(E, √E · e^−entropy) [default: 0, all]
    #[arg(long, value_name = "E", allow_negative_numbers = true, help_heading = FILTERS)]
    eta_cutoff: Option<f32>,
    /// XTC: exclude all but the last of the tokens of at least this probability [default: 0.1]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    xtc_threshold: Option<f32>,
    /// How often XTC acts [default: 0, never]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    xtc_probability: Option<f32>,
    #[command(flatten)]
    mirostat: Option<PartialMirostat>,
    #[arg(skip)]
    pub(super) order: Option<OrderValue>,
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
    dry: Option<PartialDry>,
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
struct PartialMirostat {
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
struct PartialDry {
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

impl PartialParams {
    /// Puts the parameters that are given in place of those of `params`.
    pub(super) fn apply_to(&self, params: &mut SamplingParams) {
        set!(params from self:
            temperature dynatemp_range dynatemp_exponent top_k top_p min_p typical_p top_n_sigma top_a epsilon_cutoff eta_cutoff
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

#[cfg(test)]
mod tests {
    use sortilege::{Order, SamplingStep};

    use super::*;

    fn params(json: &str) -> SamplingParams {
        let mut params = SamplingParams::default();
        serde_json::from_str::<PartialParams>(json).expect(json).apply_to(&mut params);
        params
    }

    #[test]
    fn every_key_reaches_its_field() {
        let json = r#"{"temperature": 0.7, "dynatemp_range": 0.2, "dynatemp_exponent": 2, "top_k": 3, "top_p": 0.9, "min_p": 0.1,
            "typical_p": 0.8, "top_n_sigma": 2, "top_a": 0.3, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02, "xtc_threshold": 0.2,
            "xtc_probability": 0.5, "mirostat": {"eta": 0.3}, "order": ["top_k", "xtc"], "logit_bias": {"4": -1.5}, "repetition_penalty": 1.1,
            "presence_penalty": 0.3, "frequency_penalty": -0.3, "penalty_last_n": 7, "dry": {"base": 2, "last_n": 9},
            "bad_words": [[1, 2], [7]], "min_tokens": 5, "stop_token_ids": [2], "allowed_token_ids": [1], "seed": 8,
            "stream": 9, "n": 2, "raw_logprobs": 1, "processed_logprobs": 2}"#;
        let set = params(json);
        let expected = SamplingParams {
            temperature: 0.7,
            dynatemp_range: 0.2,
            dynatemp_exponent: 2.0,
            top_k: 3,
            top_p: 0.9,
            min_p: 0.1,
            typical_p: 0.8,
            top_n_sigma: 2.0,
            top_a: 0.3,
            epsilon_cutoff: 0.01,
            eta_cutoff: 0.02,
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
            ..SamplingParams::default()
        };
        assert_eq!(set, expected);
        let fields: PartialParams = serde_json::from_str("{}").expect("no keys");
        let names = serde_json::to_value(&fields).expect("an object");
        for name in names.as_object().expect("an object").keys() {
            let is_of_rows = ["prompt", "position"].contains(&name.as_str());
            assert!(is_of_rows || json.contains(&format!("\"{name}\"")), "{name} is not tried here");
        }
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
            (r#"{"order": [3]}"#, "\"3\" is no step"),
            (r#"{"top_k": -1}"#, "-1"),
            (r#"{"logit_bias": "4:1"}"#, "logit_bias"),
        ] {
            let message = serde_json::from_str::<PartialParams>(json).expect_err(json).to_string();
            assert!(message.contains(word), "{json}: {message}");
        }
    }
}
