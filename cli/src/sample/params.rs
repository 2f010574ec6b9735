//! Sampling parameters of which any may be missing (long: a field for each): options of the command line, keys of a file of
//! parameters, and the `sampling` of a sidecar. The library says what they mean, and checks them.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};
use sortilege::{Dry, Mirostat, SamplingParams};

use super::breakers::{Breakers, TextsOfTokens, breaker_text};
use super::numbers::{Entries, LastN, Seed, Sigmas, TopK, whole};
use super::values::{BadWords, Bias, OrderValue, biases};
use crate::failure::Result;
use crate::shared_args::{float, within};

pub(super) const FILTERS: &str = "Temperature and filters";
const CHANGES: &str = "Penalties and restrictions";
const DRAWS: &str = "Draws and logprobs";

/// The parameters that are given.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartialParams {
    /// Divide the logits by this; 0 is greedy [default: 1]
    #[arg(long, value_parser = float, value_name = "T", allow_negative_numbers = true, help_heading = FILTERS)]
    temperature: Option<f32>,
    /// Dynamic temperature: up to this much above and below --temperature, by the entropy [default: 0, off]
    #[arg(long, value_parser = float, value_name = "T", allow_negative_numbers = true, help_heading = FILTERS)]
    dynatemp_range: Option<f32>,
    /// Exponent of the dynamic temperature [default: 1]
    #[arg(long, value_parser = float, value_name = "X", allow_negative_numbers = true, help_heading = FILTERS)]
    pub(super) dynatemp_exponent: Option<f32>,
    /// Keep the K most probable tokens; 0 and -1 keep all [default: 0]
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = FILTERS)]
    top_k: Option<TopK>,
    /// Keep the most probable tokens until their mass reaches P [default: 1, all]
    #[arg(long, value_parser = float, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    top_p: Option<f32>,
    /// Keep tokens of at least P times the greatest probability [default: 0, all]
    #[arg(long, value_parser = float, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    min_p: Option<f32>,
    /// Keep the tokens whose surprise is nearest to the entropy until their mass reaches P [default: 1, all]
    #[arg(long, value_parser = float, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    typical_p: Option<f32>,
    /// Keep logits of at least the largest less N standard deviations; 0 and -1 keep all [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = FILTERS)]
    top_n_sigma: Option<Sigmas>,
    /// Keep tokens of at least this probability [default: 0, all]
    #[arg(long, value_parser = float, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    epsilon_cutoff: Option<f32>,
    /// Keep tokens of at least A times the square of the largest probability [default: 0, all]
    #[arg(long, value_parser = float, value_name = "A", allow_negative_numbers = true, help_heading = FILTERS)]
    top_a: Option<f32>,
    /// Keep tokens of at least the probability min(E, √E · e^−entropy) [default: 0, all]
    #[arg(long, value_parser = float, value_name = "E", allow_negative_numbers = true, help_heading = FILTERS)]
    eta_cutoff: Option<f32>,
    /// Keep tokens of at least the probability that two draws agree, the sum of the squares of all [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = FILTERS)]
    p_less: Option<bool>,
    /// Keep the most probable tokens while their entropy is at most H of all [default: 1, all]
    #[arg(long, value_parser = float, value_name = "H", allow_negative_numbers = true, help_heading = FILTERS)]
    top_h: Option<f32>,
    /// XTC: exclude all but the last of the tokens of at least this probability, from 2^-43 on; over 0.5 it never acts
    /// [default: 0.1]
    #[arg(long, value_parser = float, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    pub(super) xtc_threshold: Option<f32>,
    /// How often XTC acts [default: 0, never]
    #[arg(long, value_parser = float, value_name = "P", allow_negative_numbers = true, help_heading = FILTERS)]
    xtc_probability: Option<f32>,
    /// XTC does not act where it would exclude one of these tokens, such as what ends a text or a line; at most 64
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        help_heading = FILTERS
    )]
    xtc_exempt_token_ids: Option<Vec<u32>>,
    #[command(flatten)]
    pub(super) mirostat: Option<PartialMirostat>,
    #[arg(skip)]
    pub(super) order: Option<OrderValue>,
    /// Add BIAS to the logit of token ID, -inf bans it; may be repeated
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
    #[arg(long, value_parser = float, value_name = "X", allow_negative_numbers = true, help_heading = CHANGES)]
    repetition_penalty: Option<f32>,
    /// Subtract from the logits of tokens seen before [default: 0]
    #[arg(long, value_parser = float, value_name = "X", allow_negative_numbers = true, help_heading = CHANGES)]
    presence_penalty: Option<f32>,
    /// Subtract once for each time that a token was seen [default: 0]
    #[arg(long, value_parser = float, value_name = "X", allow_negative_numbers = true, help_heading = CHANGES)]
    frequency_penalty: Option<f32>,
    /// All three penalties look at the last N tokens of prompt and output, as in llama.cpp: 0 at none, -1 at all
    /// [default: as in vLLM, the repetition penalty at prompt and output, the others at the output]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = CHANGES)]
    pub(super) penalty_last_n: Option<LastN>,
    /// The three penalties, DRY and --no-repeat-ngram-size leave these tokens alone
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    penalty_exempt_token_ids: Option<Vec<u32>>,
    #[command(flatten)]
    pub(super) dry: Option<PartialDry>,
    /// Sequences of tokens that must not come about, such as "1,2;7"; one of several tokens acts with --feedback, on what
    /// was drawn
    #[arg(long, value_name = "ID,ID;ID", allow_hyphen_values = true, help_heading = CHANGES)]
    bad_words: Option<BadWords>,
    /// No sequence of N tokens twice in prompt and output; 0 allows all [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, allow_negative_numbers = true, help_heading = CHANGES)]
    no_repeat_ngram_size: Option<u32>,
    /// --no-repeat-ngram-size looks at the last N tokens of prompt and output; 0 is none, -1 all [default: -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = CHANGES)]
    pub(super) no_repeat_ngram_window: Option<LastN>,
    /// No --stop-token-ids at positions below N, counted from 0 [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, allow_negative_numbers = true, help_heading = CHANGES)]
    min_tokens: Option<u64>,
    /// A request has N tokens at most: its rows at positions from N on draw nothing
    #[arg(long, value_name = "N", value_parser = whole::<u64>, allow_negative_numbers = true, help_heading = CHANGES)]
    max_tokens: Option<u64>,
    /// What ends a request: with --feedback its rows after one that was drawn draw nothing
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    stop_token_ids: Option<Vec<u32>>,
    /// The only possible tokens
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    allowed_token_ids: Option<Vec<u32>>,
    /// Seed of the draws; -1, or none, finds one and tells it
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = DRAWS)]
    pub(super) seed: Option<Seed>,
    /// Tells draws with one seed and one position apart [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, allow_negative_numbers = true, help_heading = DRAWS)]
    pub(super) stream: Option<u32>,
    /// Draws per row, independent of each other, 1 to 16; greedy has one [default: 1]
    #[arg(
        short,
        long = "draws",
        value_name = "N",
        value_parser = |text: &str| within::<u32>(text, 1..=u64::from(u32::MAX)),
        allow_negative_numbers = true,
        help_heading = DRAWS
    )]
    n: Option<u32>,
    /// The raw distribution too: of the logits as they are, with its K most probable tokens; -1 lists all, more than 1024
    /// take further passes
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = DRAWS)]
    raw_logprobs: Option<Entries>,
    /// The K most probable tokens of the distribution that is drawn from; -1 lists all that the filters keep
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = DRAWS)]
    processed_logprobs: Option<Entries>,
    /// Logprob and rank of each of these tokens, drawn or not, at most 1024: in the distribution that is drawn from, in the
    /// raw one where --raw-logprobs asks for it, and among themselves
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        help_heading = DRAWS
    )]
    logprob_token_ids: Option<Vec<u32>>,
    #[arg(skip)]
    pub(super) prompt: Option<Vec<u32>>,
    #[arg(skip)]
    pub(super) position: Option<u64>,
}

/// Tau switches Mirostat on.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PartialMirostat {
    /// Mirostat v2: the surprise to aim at, bits, above 0 to 30; switches it on
    #[arg(
        long = "mirostat-tau",
        id = "mirostat_tau",
        value_name = "BITS",
        value_parser = float,
        allow_negative_numbers = true,
        help_heading = FILTERS
    )]
    pub(super) tau: Option<f32>,
    /// Mirostat v2: how fast to adapt, with --feedback; switches nothing on [default: 0.1]
    #[arg(
        long = "mirostat-eta",
        id = "mirostat_eta",
        value_name = "X",
        value_parser = float,
        allow_negative_numbers = true,
        help_heading = FILTERS
    )]
    pub(super) eta: Option<f32>,
}

/// The multiplier switches DRY on.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PartialDry {
    /// DRY: the penalty of the shortest repetition that counts; switches it on
    #[arg(
        long = "dry-multiplier",
        id = "dry_multiplier",
        value_name = "X",
        value_parser = float,
        allow_negative_numbers = true,
        help_heading = CHANGES
    )]
    pub(super) multiplier: Option<f32>,
    /// DRY: growth of the penalty with each further token [default: 1.75]
    #[arg(
        long = "dry-base",
        id = "dry_base",
        value_name = "X",
        value_parser = float,
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
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    allowed_length: Option<u32>,
    /// DRY: look at the last N tokens of prompt and output; 0 is none, -1 all [default: -1]
    #[arg(
        long = "dry-last-n",
        id = "dry_last_n",
        value_name = "N",
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    last_n: Option<LastN>,
    /// DRY: tokens over which no repetition reaches; llama is those whose texts contain a line feed, : " or *, which a
    /// tokenizer knows
    #[arg(
        long = "dry-sequence-breakers",
        id = "dry_sequence_breakers",
        value_name = "ID,ID|llama",
        allow_negative_numbers = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    sequence_breakers: Option<Breakers>,
    /// DRY: a text over which no repetition reaches: every token that contains it, by --tokenizer or --vocab-file; may be
    /// repeated
    #[arg(
        long = "dry-sequence-breaker",
        id = "dry_sequence_breaker",
        value_name = "TEXT",
        value_parser = breaker_text,
        allow_hyphen_values = true,
        requires = "dry_multiplier",
        help_heading = CHANGES
    )]
    #[serde(skip)]
    breaker_texts: Option<Vec<String>>,
}

impl PartialDry {
    /// Whether anything is given beside the multiplier.
    pub(super) fn has_parts(&self) -> bool {
        self.base.is_some()
            || self.allowed_length.is_some()
            || self.last_n.is_some()
            || self.sequence_breakers.is_some()
            || self.breaker_texts.is_some()
    }
}

/// Those of `$over`, and of `$under` where it has none.
macro_rules! lay {
    ($over:expr, $under:expr, $type:ident: $($name:ident)*) => {
        $type { $($name: $over.$name.as_ref().or($under.$name.as_ref()).cloned()),* }
    };
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
    /// These, and those of `under` where there are none.
    pub(super) fn over(&self, under: &Self) -> Self {
        let mut laid = lay!(self, under, Self:
            temperature dynatemp_range dynatemp_exponent top_k top_p min_p typical_p top_n_sigma top_a epsilon_cutoff
            eta_cutoff p_less top_h xtc_threshold xtc_probability xtc_exempt_token_ids mirostat order logit_bias repetition_penalty presence_penalty
            frequency_penalty penalty_last_n penalty_exempt_token_ids dry bad_words no_repeat_ngram_size no_repeat_ngram_window min_tokens max_tokens stop_token_ids allowed_token_ids seed stream n
            raw_logprobs processed_logprobs logprob_token_ids prompt position
        );
        if let (Some(own), Some(common)) = (&self.mirostat, &under.mirostat) {
            laid.mirostat = Some(lay!(own, common, PartialMirostat: tau eta));
        }
        if let (Some(own), Some(common)) = (&self.dry, &under.dry) {
            laid.dry = Some(
                lay!(own, common, PartialDry: multiplier base allowed_length last_n sequence_breakers breaker_texts),
            );
        }
        laid
    }

    /// These, and another program's defaults where there are none, of which what was taken is named. Greedy takes none.
    pub(super) fn with_defaults(&self, defaults: &Self, taken: &mut BTreeSet<&'static str>) -> Self {
        if self.temperature == Some(0.0) {
            return self.clone();
        }
        let takes = [
            ("top_k 50", self.top_k.is_none() && defaults.top_k.is_some()),
            ("its order of filters", self.order.is_none() && defaults.order.is_some()),
        ];
        taken.extend(takes.into_iter().filter(|(_, is_taken)| *is_taken).map(|(name, _)| name));
        self.over(defaults)
    }

    /// Puts tokens in place of DRY's breakers that are texts, for a vocabulary of so many.
    pub(super) fn resolve_breakers(&mut self, texts: &mut TextsOfTokens<'_>, tokens: usize) -> Result<()> {
        let Some(dry) = &mut self.dry else { return Ok(()) };
        if let Some(own) = dry.breaker_texts.take() {
            dry.sequence_breakers = Some(dry.sequence_breakers.take().unwrap_or_default().with(own));
        }
        if dry.multiplier == Some(0.0) {
            // Off: no text needs its tokens.
            dry.sequence_breakers = None;
        }
        dry.sequence_breakers.as_mut().map_or(Ok(()), |breakers| breakers.resolve(texts, tokens))
    }

    /// What they ask. Without a seed it has none, and the entropy is always asked for.
    pub(super) fn params(&self) -> SamplingParams {
        let mut params = SamplingParams { entropy: true, ..SamplingParams::default() };
        set!(params from self:
            temperature dynatemp_range dynatemp_exponent top_k top_p min_p typical_p top_n_sigma top_a epsilon_cutoff
            eta_cutoff p_less top_h xtc_threshold xtc_probability xtc_exempt_token_ids order repetition_penalty presence_penalty frequency_penalty penalty_last_n
            penalty_exempt_token_ids bad_words no_repeat_ngram_size no_repeat_ngram_window min_tokens max_tokens stop_token_ids allowed_token_ids seed stream n raw_logprobs processed_logprobs
            logprob_token_ids
        );
        for &Bias(token, bias) in self.logit_bias.iter().flatten() {
            if bias == f32::NEG_INFINITY {
                params.bad_words.push(vec![token]);
            } else {
                params.logit_bias.push((token, bias));
            }
        }
        if let Some(PartialMirostat { tau: Some(tau), eta }) = self.mirostat {
            params.mirostat = Some(Mirostat { tau, eta: eta.unwrap_or(0.1) });
        }
        if let Some(fields @ PartialDry { multiplier: Some(_), .. }) = &self.dry {
            let mut dry = Dry::default();
            set!(dry from fields: multiplier base allowed_length last_n sequence_breakers);
            params.dry = Some(dry);
        }
        params
    }
}
