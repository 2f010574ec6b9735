//! Continues prompts on the GPU: Burn computes the logits, sortilege draws where they lie, and only samples come back.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::tensor::DType;
use burn_lm::data;
use burn_lm::engine::{Batch, Engine, Owner};
use clap::Parser;
use serde::Deserialize;
use sortilege::log::{JsonlWriter, Record, Texts, TokenBytes, WriteRecord};
use sortilege::{Dtype, Kernels, Pending, Request, Sample, SamplingParams};
use tokenizers::Tokenizer;

/// Continues prompts in the manner of Jane Austen, on the GPU.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The prompts, a JSON object a line: {"prompt": "...", "temperature": 0.8, "top_p": 0.95, "seed": 7}.
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/text/prompts.jsonl"))]
    prompts: PathBuf,
    /// Tokens to draw for each.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Steps that are under way before the first of them is waited for.
    #[arg(long, default_value_t = 4)]
    ahead: usize,
    /// Logits of 16 bits.
    #[arg(long)]
    f16: bool,
    /// Let Burn open the device, instead of giving it one.
    #[arg(long)]
    burns_device: bool,
    /// The log of every draw, with the 5 most probable tokens: JSON lines.
    #[arg(long)]
    log: Option<PathBuf>,
}

/// A prompt and its parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    prompt: String,
    #[serde(default = "one")]
    temperature: f32,
    #[serde(default = "one")]
    top_p: f32,
    #[serde(default)]
    top_k: u32,
    #[serde(default)]
    min_p: f32,
    seed: Option<u64>,
}

fn one() -> f32 {
    1.0
}

impl Asked {
    fn read(path: &Path) -> Result<Vec<Self>> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| {
                serde_json::from_str(line)
                    .with_context(|| format!("line {} of {}", number + 1, path.display()))
            })
            .collect()
    }

    fn request(&self) -> Result<Request> {
        let Self { temperature, top_p, top_k, min_p, seed, .. } = *self;
        let params = SamplingParams {
            temperature,
            top_p,
            top_k,
            min_p,
            seed,
            raw_logprobs: Some(5),
            ..Default::default()
        };
        Ok(Request::new(params)?)
    }
}

/// The bytes of every token, for the log.
struct Vocabulary(Vec<Vec<u8>>);

impl TokenBytes for Vocabulary {
    fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.0.get(token as usize).map(Vec::as_slice)
    }
}

/// What has come back: texts that grow, and the log.
struct Output {
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    sequences: Vec<Vec<u32>>,
    log: Option<JsonlWriter<BufWriter<File>>>,
    /// Bytes of the first text that are on the screen.
    shown: usize,
    steps: u64,
}

impl Output {
    /// Takes one step's samples.
    fn take(&mut self, pending: Pending<Sample>) -> Result<()> {
        let texts = Texts::new(&self.vocabulary);
        for (row, sample) in pending.wait()?.iter().enumerate() {
            let drawn =
                sample.draws.first().with_context(|| format!("row {row} has nothing to draw from"))?;
            self.sequences[row].push(drawn.token);
            if let Some(log) = &mut self.log {
                log.write(&Record::sample(row as u64, self.steps, sample, texts))?;
            }
        }
        self.steps += 1;
        self.show()
    }

    /// The first text as it comes, without the bytes of a character that is not whole yet.
    fn show(&mut self) -> Result<()> {
        let text = data::decode(&self.tokenizer, &self.sequences[0])?;
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        eprint!("{}", &whole[self.shown.min(whole.len())..]);
        std::io::stderr().flush()?;
        self.shown = self.shown.max(whole.len());
        Ok(())
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    let tokenizer = data::load_tokenizer(&model.join("tokenizer.json"))?;
    let asked = Asked::read(&cli.prompts)?;
    ensure!(!asked.is_empty(), "{} has no prompts", cli.prompts.display());
    let prompts: Vec<Vec<u32>> =
        asked.iter().map(|asked| data::encode(&tokenizer, &asked.prompt)).collect::<Result<_>>()?;
    let requests = asked.iter().map(Asked::request).collect::<Result<_>>()?;

    let owner = if cli.burns_device { Owner::Burn } else { Owner::Engine };
    let mut engine = Engine::new(&model.join("model.safetensors"), owner, 64)?;
    if cli.f16 {
        engine.dtype = DType::F16;
        engine.sampler.prepare(Kernels::Sample, Dtype::F16)?;
    }
    let info = engine.setup.adapter.get_info();
    eprintln!("{} ({:?}), {} {}", info.name, info.backend, info.driver, info.driver_info);
    let mut batch = Batch::new(&engine, &prompts, requests, cli.steps)?;
    let log = cli.log.map(File::create).transpose().context("cannot create the log")?;
    let log = log.map(|file| JsonlWriter::new(BufWriter::new(file)));
    let vocabulary = Vocabulary(data::token_bytes(&tokenizer));
    let mut output = Output { tokenizer, vocabulary, sequences: prompts, log, shown: 0, steps: 0 };

    let (begin, before) = (Instant::now(), engine.sampler.traffic());
    let mut under_way = VecDeque::new();
    for _ in 0..cli.steps {
        under_way.push_back(engine.step(&mut batch)?);
        if under_way.len() > cli.ahead
            && let Some(oldest) = under_way.pop_front()
        {
            output.take(oldest)?;
        }
    }
    under_way.into_iter().try_for_each(|pending| output.take(pending))?;
    if let Some(log) = &mut output.log {
        log.finish()?;
    }

    let (seconds, after) = (begin.elapsed().as_secs_f64(), engine.sampler.traffic());
    let (rows, steps) = (output.sequences.len(), cli.steps.max(1) as u64);
    let element = if cli.f16 { 2 } else { 4 };
    eprintln!(
        "\n{:.1} tokens/s, the first step with all that Burn compiles; a step has {} bytes back and {} up, beside {} of logits",
        (rows * cli.steps) as f64 / seconds,
        (after.bytes_back - before.bytes_back) / steps,
        (after.bytes_uploaded - before.bytes_uploaded) / steps,
        rows * engine.vocab * element
    );
    for sequence in &output.sequences {
        println!("{}\n", data::decode(&output.tokenizer, sequence)?);
    }
    Ok(())
}
