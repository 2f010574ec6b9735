//! The options of `sortilege sample`, but for those that are keys of a file of parameters too.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::params::{FILTERS, PartialParams};
use super::values::{FilterName, OrderValue, Profile};
use crate::failure::exit_codes;
use crate::shared_args::{LogitsArgs, RunArgs, VocabArgs};

/// What follows the options in the help.
pub(crate) const EXAMPLES: &str = exit_codes!(
    "\
Rows of [requests][positions][vocab] belong to requests: a row's position is its place in its request, \
counted from 0. Each row of [rows][vocab] is a request of its own, at position 0; with --feedback they are one request. Request r draws from stream \
S + r of --stream S, so that requests draw independently under one seed: the randomness of a draw comes from seed, \
stream and position alone. Without --feedback every row sees the prompt only: penalties, DRY, n-grams, bad words and Mirostat \
take no notice of what other rows drew.

Without --seed, or with -1, one is found, and told as `seed N`: give it to draw the same tokens again.

--params reads the objects of other programs as they are: vLLM's SamplingParams, Hugging Face's generation_config.json, \
OpenAI's and llama.cpp's requests. Of their keys these mean one of ours: eos_token_id (stop_token_ids), do_sample: false \
(temperature 0; so is a file of transformers without do_sample; one that samples takes top_k 50 and transformers' order of filters \
where neither it nor the command line says something), bad_words_ids and suppress_tokens (bad_words), min_new_tokens (min_tokens), max_new_tokens and max_completion_tokens (max_tokens), num_return_sequences (n), \
logprobs, top_logprobs and n_probs (raw_logprobs), extra_args and vllm_xargs with ngram_size, window_size (100 if it is missing) and \
whitelist_token_ids (no_repeat_ngram_size, no_repeat_ngram_window, penalty_exempt_token_ids), temp, typical, repeat_penalty, repeat_last_n, \
mirostat: 0, or 2 with mirostat_tau (5 if it is missing) and mirostat_eta, and dry_multiplier and its like. What else an object leaves \
out is the command line's, and then ours: llama.cpp's defaults of top-k, top-p and min-p are not taken. Keys without a meaning here are told once, a prompt that is a text among them; one that is nearly a known one is an \
error where nothing else is another program's. Numbers may be texts, and -Infinity or false bans in logit_bias.

What is asked and cannot act is told in a line each.

Examples:
  sortilege sample logits.npy --temperature 0.8 --top-p 0.95 --seed 1 --tokenizer tokenizer.json
  sortilege sample run.safetensors --profile llama --top-k 40 --min-p 0.05 --feedback -o drawn.jsonl
  sortilege sample logits.npy --params requests.json --mask grammar.npy --format tokens
  sortilege sample logits.npy --draws 4 --raw-logprobs 5 --plan"
);

#[derive(Args, Debug)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) logits: LogitsArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Parameters of each request, over those of the command line: a JSON array or lines of objects, or one object for
    /// all. Keys are the options' names with _ for -, save `n`, `mirostat`: {tau, eta}, `dry`: {multiplier, base,
    /// allowed_length, last_n, sequence_breakers}, `order`: "vllm", "llama" or a list; `prompt`: [ids]; `position`: of the first row,
    /// counted from 0. Other programs' keys: see below
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(crate) params: Option<PathBuf>,
    /// Tokens before the first position, which penalties and DRY look at: a file of integers (.npy, .npz, .safetensors,
    /// text) or a list such as 5,17. An array of rows, or lists such as [[5,17],[3]], is a prompt for each request;
    /// negative ids at the ends of a row are padding
    #[arg(long, value_name = "FILE|LIST", allow_hyphen_values = true, help_heading = "Requests")]
    pub(crate) prompt: Option<String>,
    /// Tokens that are possible, for each row or in one row for all: a grammar bitmask, integers of 32 bits
    /// [rows][ceil(vocab / 32)], the lowest bit first, or bool or uint8 [rows][vocab]
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(crate) mask: Option<PathBuf>,
    /// Draw the rows of a request one after the other: penalties, DRY, n-grams, bad words and Mirostat see what was drawn
    /// before, the first of several draws
    #[arg(long, help_heading = "Requests")]
    pub(crate) feedback: bool,
    #[command(flatten)]
    pub(crate) vocab: VocabArgs,
    /// Output format [default: by the name of the output file; table on a terminal, otherwise jsonl]
    #[arg(long)]
    pub(crate) format: Option<SampleFormat>,
    /// Print what a device would be asked to do at WebGPU's least limits, and do nothing
    #[arg(long)]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Parameters of sampling on the command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct SamplingArgs {
    #[command(flatten)]
    params: PartialParams,
    /// Order of temperature and filters [default: vllm]
    #[arg(long, conflicts_with = "order", help_heading = FILTERS)]
    profile: Option<Profile>,
    /// An order of one's own, such as top_k,temperature,top_p, with every step that is set. All: temperature, top_k,
    /// top_p, min_p, typical_p, top_n_sigma, top_a, epsilon_cutoff, eta_cutoff, xtc, mirostat, p_less, top_h
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', help_heading = FILTERS)]
    order: Option<Vec<FilterName>>,
}

impl SamplingArgs {
    /// The parameters that are given, with their order.
    pub(super) fn given(&self) -> PartialParams {
        let mut given = self.params.clone();
        match (self.profile, &self.order) {
            (_, Some(list)) => given.order = Some(OrderValue::List(list.clone())),
            (Some(profile), None) => given.order = Some(OrderValue::Profile(profile)),
            (None, None) => {}
        }
        given
    }

    /// Options that give these.
    pub(super) fn of(params: PartialParams) -> Self {
        Self { params, profile: None, order: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SampleFormat {
    /// For people
    Table,
    /// One JSON object per row
    Jsonl,
    /// One line per draw. In texts control characters and \ are spelled as in a JSON string, and ' goes before a
    /// formula (= + - @), so that no spreadsheet runs it; bytes are JSON lists
    Csv,
    /// One line of token ids per row, - for a row without
    Tokens,
    /// Parquet, one row per record, with all there is
    Parquet,
}
