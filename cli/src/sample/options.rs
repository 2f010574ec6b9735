//! What was asked of `sortilege sample`, as the sidecar tells it; and asked again, of what it tells.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::{SampleArgs, SampleFormat, SamplingArgs};
use super::job::Job;
use super::numbers::Seed;
use super::params::PartialParams;
use crate::failure::Result;
use crate::files::sha256;
use crate::shared_args::{LogitsArgs, RunArgs, VocabSource, name_of};

/// The options. A file among them comes with its hash.
#[derive(Deserialize, Serialize)]
pub(crate) struct Options {
    /// What the command line gives, with the seed that was found.
    sampling: PartialParams,
    pub(crate) params: Option<String>,
    pub(crate) params_sha256: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) prompt_tensor: Option<String>,
    pub(crate) prompt_sha256: Option<String>,
    pub(crate) mask: Option<String>,
    pub(crate) mask_tensor: Option<String>,
    pub(crate) mask_sha256: Option<String>,
    feedback: bool,
    format: String,
    device: String,
    pub(crate) vocab_size: Option<usize>,
    #[serde(flatten)]
    pub(crate) vocab: VocabSource,
}

/// Where the files of a run are, beside its logits.
pub(crate) struct Files {
    pub(crate) params: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) mask: Option<String>,
}

impl Options {
    /// Those of a run.
    pub(super) fn new(
        args: &SampleArgs,
        job: &Job,
        format: SampleFormat,
        vocab: VocabSource,
    ) -> Result<Self> {
        let name = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        let hash = |path: Option<&PathBuf>| sha256(path.map(PathBuf::as_path));
        let prompt_file = args.prompt.as_deref().map(Path::new);
        let mut sampling = job.requests.common.clone();
        if !matches!(sampling.seed, Some(Seed(Some(_)))) {
            sampling.seed = job.requests.found_seed.map(|seed| Seed(Some(seed)));
        }
        Ok(Self {
            sampling,
            params: name(args.params.as_ref()),
            params_sha256: hash(args.params.as_ref())?,
            prompt: args.prompt.clone(),
            prompt_tensor: job.requests.prompts.tensor.clone(),
            prompt_sha256: sha256(prompt_file)?,
            mask: name(args.mask.as_ref()),
            mask_tensor: job.mask.as_ref().and_then(|mask| mask.array.tensor.clone()),
            mask_sha256: hash(args.mask.as_ref())?,
            feedback: args.feedback,
            format: name_of(&format),
            device: args.run.device.clone(),
            vocab_size: args.logits.vocab_size,
            vocab,
        })
    }

    /// Options that ask the same, of these logits and files, on this device.
    pub(crate) fn again(&self, logits: LogitsArgs, files: Files, device: &str) -> SampleArgs {
        SampleArgs {
            logits,
            sampling: SamplingArgs::of(self.sampling.clone()),
            params: files.params.map(PathBuf::from),
            prompt: files.prompt,
            mask: files.mask.map(PathBuf::from),
            feedback: self.feedback,
            // A file of parameters may name texts of tokens.
            vocab: self.vocab.args(),
            format: None,
            plan: false,
            run: RunArgs::on(device),
        }
    }
}
