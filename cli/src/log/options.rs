//! What was asked of `sortilege log`, as the sidecar tells it; and asked again, of what it tells.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::args::{LogArgs, LogFormat};
use super::job::Job;
use crate::failure::Result;
use crate::files::sha256;
use crate::shared_args::{LogitsArgs, RunArgs, VocabArgs, VocabSource, name_of};

/// The options. A file among them comes with its hash.
#[derive(Deserialize, Serialize)]
pub(crate) struct Options {
    top: u32,
    temperature: f32,
    format: String,
    device: String,
    pub(crate) tokens: Option<String>,
    pub(crate) tokens_tensor: Option<String>,
    shift: bool,
    #[serde(default)]
    token_ids: Vec<u32>,
    pub(crate) tokens_sha256: Option<String>,
    pub(crate) vocab_size: Option<usize>,
    #[serde(flatten)]
    pub(crate) vocab: VocabSource,
}

impl Options {
    /// Those of a run.
    pub(super) fn new(args: &LogArgs, format: LogFormat, job: &Job, vocab: VocabSource) -> Result<Self> {
        let tokens_file = args.tokens.as_deref().map(Path::new);
        Ok(Self {
            top: args.top,
            temperature: args.temperature,
            format: name_of(&format),
            device: args.run.device.clone(),
            tokens: args.tokens.clone(),
            tokens_tensor: job.targets.tensor.clone(),
            shift: args.shift,
            token_ids: args.token_ids.clone(),
            tokens_sha256: sha256(tokens_file)?,
            vocab_size: args.logits.vocab_size,
            vocab,
        })
    }

    /// Options that ask the same, of these logits, on this device.
    pub(crate) fn again(&self, logits: LogitsArgs, tokens: Option<String>, device: &str) -> LogArgs {
        LogArgs {
            logits,
            tokens,
            shift: self.shift,
            vocab: VocabArgs::default(),
            top: self.top,
            token_ids: self.token_ids.clone(),
            temperature: self.temperature,
            format: None,
            resume: false,
            run: RunArgs::on(device),
        }
    }
}
