//! What was asked when a log was made, asked again.

use sortilege::log::{Kind, Record, Texts};

use super::args::AuditArgs;
use super::findings::Findings;
use super::sidecar::{Options, Sidecar};
use super::sources::{Source, check_tensor};
use crate::engine::Chosen;
use crate::failure::{Failure, Result};
use crate::files::LogitsFile;
use crate::shared_args::{LogitsArgs, Said, VocabSource};
use crate::{log, sample};

/// The work of a command, without its output.
pub(super) enum Replay {
    Log(Box<log::Job>),
    Sample(Box<sample::Job>),
}

impl Replay {
    /// The work that the sidecar tells, on these files.
    pub(super) fn open(args: &AuditArgs, sidecar: &Sidecar, findings: &mut Findings) -> Result<Self> {
        let Sidecar { options, .. } = sidecar;
        match options {
            Options::Log(options) => {
                refuse(
                    [("--params", &args.params), ("--prompt", &args.prompt), ("--mask", &args.mask)],
                    "log",
                )?;
                let told = source("--tokens", options.tokens.as_ref(), options.tokens_sha256.as_ref());
                let tokens = told.find(args.tokens.as_deref(), findings)?;
                let logits = logits(args, sidecar, options.vocab_size)?;
                let job = log::Job::open(&options.again(logits, tokens, &args.device))?;
                let tensors = [options.tokens_tensor.as_deref(), job.tensor()];
                check_tensor(&told, tensors, findings);
                Ok(Self::Log(Box::new(job)))
            }
            Options::Sample(options) => {
                refuse([("--tokens", &args.tokens)], "sample")?;
                let params = source("--params", options.params.as_ref(), options.params_sha256.as_ref());
                let prompt = source("--prompt", options.prompt.as_ref(), options.prompt_sha256.as_ref());
                let mask = source("--mask", options.mask.as_ref(), options.mask_sha256.as_ref());
                let files = sample::Files {
                    params: params.find(args.params.as_deref(), findings)?,
                    prompt: prompt.find(args.prompt.as_deref(), findings)?,
                    mask: mask.find(args.mask.as_deref(), findings)?,
                };
                let logits = logits(args, sidecar, options.vocab_size)?;
                let job = sample::Job::open(&options.again(logits, files, &args.device))?;
                let [of_prompt, of_mask] = job.tensors();
                check_tensor(&prompt, [options.prompt_tensor.as_deref(), of_prompt], findings);
                check_tensor(&mask, [options.mask_tensor.as_deref(), of_mask], findings);
                Ok(Self::Sample(Box::new(job)))
            }
        }
    }

    pub(super) fn logits(&self) -> &LogitsFile {
        match self {
            Self::Log(job) => &job.logits,
            Self::Sample(job) => &job.logits,
        }
    }

    /// The kind of its records.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Log(_) => Kind::Logprobs,
            Self::Sample(_) => Kind::Sample,
        }
    }

    /// Hashes the logits while they are read.
    pub(super) fn hash_while_reading(&self) {
        match self {
            Self::Log(job) => job.logits.hash_while_reading(),
            Self::Sample(job) => job.hash_while_reading(),
        }
    }

    /// Calls `emit` with each record, in order.
    pub(super) fn run(
        &self,
        chosen: &Chosen,
        texts: Texts<'_>,
        mut emit: impl FnMut(&Record<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Log(job) => {
                job.check(chosen)?;
                job.run(chosen, texts, 0, emit)
            }
            Self::Sample(job) => {
                job.check(chosen)?;
                job.run(chosen, |place, sample| emit(&place.record(sample, texts)))
            }
        }
    }
}

/// The vocabulary that the log was made with.
pub(super) fn vocab(options: &Options) -> &VocabSource {
    match options {
        Options::Log(options) => &options.vocab,
        Options::Sample(options) => &options.vocab,
    }
}

fn source<'a>(option: &'static str, told: Option<&'a String>, sha256: Option<&'a String>) -> Source<'a> {
    let takes_lists = ["--tokens", "--prompt"].contains(&option);
    Source { option, told: told.map(String::as_str), sha256: sha256.map(String::as_str), takes_lists }
}

/// An error if an option of the other command is given.
fn refuse<const N: usize>(options: [(&str, &Option<String>); N], command: &str) -> Result<()> {
    match options.into_iter().find(|(_, given)| given.is_some()) {
        None => Ok(()),
        Some((option, _)) => {
            Err(Failure::Usage(format!("{option}: the log is of `{command}`, which has no {option}")))
        }
    }
}

/// The logits as they were asked for: shape and type count where the file does not say them.
fn logits(args: &AuditArgs, sidecar: &Sidecar, vocab_size: Option<usize>) -> Result<LogitsArgs> {
    let meta = &sidecar.meta;
    Ok(LogitsArgs {
        logits: args.logits.clone(),
        tensor: meta.input.tensor.clone(),
        shape: Some(meta.shape.clone()),
        vocab_size,
        dtype: Some(meta.dtype.parse()?),
        said: Said::InSidecar,
        side: "",
    })
}
