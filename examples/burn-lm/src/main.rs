//! Trains the small language model, evaluates it, and exports logits of held-out text.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn_lm::data::{self, Random, Text};
use burn_lm::model::{LanguageModel, LanguageModelConfig};
use clap::{Args, Parser, Subcommand};
use half::f16;
use tokenizers::Tokenizer;

/// How many steps at the start raise the learning rate from nothing to its peak.
const WARM_UP_STEPS: usize = 100;
/// The learning rate at the end, as a share of its peak.
const FINAL_RATE_SHARE: f64 = 0.05;
/// How many steps one line of progress sums up.
const REPORT_INTERVAL: usize = 100;
/// How many windows are evaluated at once.
const EVALUATION_BATCH: usize = 16;
/// How many windows are exported, and how many positions of each.
const EXPORTED: [usize; 2] = [4, 48];

/// A small language model trained with Burn on the novels of Jane Austen.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The folder of this package, with text/ and model/ in it.
    #[arg(long, global = true, default_value = env!("CARGO_MANIFEST_DIR"))]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train the tokenizer and the model, and save both to model/.
    Train(Training),
    /// Print the perplexity over the whole held-out text.
    Eval,
    /// Write logits and targets of windows of the held-out text, and the tokenizer.
    Export {
        /// The folder to write to.
        #[arg(long)]
        output: PathBuf,
        #[command(flatten)]
        noise: NoiseArgs,
    },
}

/// Noise, for logits that are nearly those of the model.
#[derive(Args)]
struct NoiseArgs {
    /// Add Gaussian noise to the matrices of one layer: this share of the standard deviation of each.
    #[arg(long, value_name = "SHARE", requires = "layer")]
    noise: Option<f64>,
    /// The layer that gets the noise, counted from 0.
    #[arg(long, value_name = "N", requires = "noise")]
    layer: Option<usize>,
    /// The seed of the noise.
    #[arg(long, default_value_t = 1813, requires = "noise")]
    noise_seed: u64,
}

#[derive(Args)]
struct Training {
    /// How many batches to train on.
    #[arg(long, default_value_t = 5000)]
    steps: usize,
    /// How many windows of the context's length make a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// The peak of the learning rate.
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// The seed of the initial weights and of the batches.
    #[arg(long, default_value_t = 1813)]
    seed: u64,
}

/// What evaluation and export need.
struct Trained {
    config: LanguageModelConfig,
    model: LanguageModel,
    tokenizer: Tokenizer,
    /// The tokens of the held-out text.
    held_out: Vec<u32>,
    device: Device,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Train(training) => train(&cli.folder, &training),
        Command::Eval => evaluate(&Trained::load(&cli.folder)?),
        Command::Export { output, noise } => {
            let mut trained = Trained::load(&cli.folder)?;
            if let (Some(share), Some(layer)) = (noise.noise, noise.layer) {
                trained.model = trained.model.with_noise(layer, share, noise.noise_seed)?;
            }
            export(&trained, &output)
        }
    }
}

fn text_path(folder: &Path) -> PathBuf {
    folder.join("text/austen.txt.gz")
}

fn tokenizer_path(folder: &Path) -> PathBuf {
    folder.join("model/tokenizer.json")
}

fn weights_path(folder: &Path) -> PathBuf {
    folder.join("model/model.safetensors")
}

impl Trained {
    fn load(folder: &Path) -> Result<Self> {
        let config = LanguageModelConfig::new();
        let device = Device::flex();
        let model = config.load(&weights_path(folder), &device)?;
        let tokenizer = data::load_tokenizer(&tokenizer_path(folder))?;
        let text = Text::read(&text_path(folder))?;
        let held_out = data::encode(&tokenizer, &text.held_out)?;
        Ok(Self { config, model, tokenizer, held_out, device })
    }
}

fn train(folder: &Path, training: &Training) -> Result<()> {
    ensure!(training.steps > 0, "--steps must be at least 1");
    ensure!(training.batch > 0, "--batch must be at least 1");
    let config = LanguageModelConfig::new();
    let text = Text::read(&text_path(folder))?;
    let tokenizer = data::train_tokenizer(&text.training, config.vocabulary)?;
    fs::create_dir_all(folder.join("model")).context("cannot make the folder model/")?;
    tokenizer
        .save(tokenizer_path(folder), false)
        .map_err(|error| anyhow!(error).context("cannot save the tokenizer"))?;
    let tokens = data::encode(&tokenizer, &text.training)?;
    ensure!(tokens.len() > config.context, "the text is too short");

    let device = Device::flex().autodiff();
    device.seed(training.seed);
    let mut model = config.init(&device);
    eprintln!(
        "{} parameters, {} training tokens in {} bytes",
        model.num_params(),
        tokens.len(),
        text.training.len()
    );
    let mut optimizer = AdamWConfig::new()
        .with_beta_2(0.99)
        .with_epsilon(1e-8)
        .with_weight_decay(0.05)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let mut random = Random(training.seed);
    let begin = Instant::now();
    let mut losses = 0.0;
    let mut counted = 0;
    for step in 1..=training.steps {
        let starts: Vec<usize> =
            (0..training.batch).map(|_| random.below(tokens.len() - config.context)).collect();
        let (inputs, targets) = data::windows(&tokens, &starts, config.context, &device);
        let loss = model.log_likelihood(inputs, targets).mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        losses += loss.into_scalar::<f64>();
        counted += 1;
        let rate = learning_rate(step, training);
        model = optimizer.step(rate, model, gradients);

        if step % REPORT_INTERVAL == 0 || step == training.steps {
            let seconds = begin.elapsed().as_secs_f64();
            let seen = step * training.batch * config.context;
            eprintln!(
                "step {step} of {}: loss {:.4}, rate {rate:.2e}, {:.0} tokens/s, {seconds:.0} s",
                training.steps,
                losses / f64::from(counted),
                seen as f64 / seconds,
            );
            (losses, counted) = (0.0, 0);
        }
    }
    model.valid().save(&weights_path(folder))?;
    // Evaluate what was saved: its weights are rounded to float16.
    evaluate(&Trained::load(folder)?)
}

/// The learning rate at a step: a linear warm-up, then half a cosine down to its final share.
fn learning_rate(step: usize, training: &Training) -> f64 {
    if step < WARM_UP_STEPS {
        return training.learning_rate * step as f64 / WARM_UP_STEPS as f64;
    }
    let left = training.steps.saturating_sub(WARM_UP_STEPS).max(1) as f64;
    let progress = (step - WARM_UP_STEPS) as f64 / left;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    training.learning_rate * (FINAL_RATE_SHARE + (1.0 - FINAL_RATE_SHARE) * cosine)
}

/// Prints the perplexity over the held-out text, in windows of the context's length that do not
/// overlap: each token but the first is predicted once, from those before it in its window.
fn evaluate(trained: &Trained) -> Result<()> {
    let tokens = &trained.held_out;
    ensure!(tokens.len() > 1, "the held-out text is too short");
    let context = trained.config.context;
    let predicted = tokens.len() - 1;
    let whole: Vec<usize> = (0..predicted / context).map(|n| n * context).collect();
    let mut batches: Vec<(&[usize], usize)> =
        whole.chunks(EVALUATION_BATCH).map(|starts| (starts, context)).collect();
    let rest = [whole.len() * context];
    if rest[0] < predicted {
        batches.push((&rest, predicted - rest[0]));
    }
    let mut total = 0.0;
    for (starts, length) in batches {
        let (inputs, targets) = data::windows(tokens, starts, length, &trained.device);
        let likelihoods = trained.model.log_likelihood(inputs, targets);
        total += values(likelihoods)?.into_iter().map(f64::from).sum::<f64>();
    }
    let loss = -total / predicted as f64;
    println!("held-out text: {predicted} tokens predicted, loss {loss:.6}, perplexity {:.6}", loss.exp());
    Ok(())
}

fn export(trained: &Trained, output: &Path) -> Result<()> {
    let [requests, positions] = EXPORTED;
    let vocabulary = trained.config.vocabulary;
    let tokens = &trained.held_out;
    let starts = data::readable_starts(&trained.tokenizer, tokens, requests, positions)?;
    let (inputs, targets) = data::windows(tokens, &starts, positions, &trained.device);
    let logits: Vec<f16> = values(trained.model.forward(inputs))?.into_iter().map(f16::from_f32).collect();
    let targets: Vec<i32> = targets
        .try_into_data_as::<i32>()
        .and_then(|read| Ok(read.try_into_vec::<i32>()?))
        .map_err(|error| anyhow!("cannot read the targets: {error}"))?;

    fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    let bytes = logits.iter().flat_map(|logit| logit.to_le_bytes());
    let shape = [requests, positions, vocabulary];
    write_npy(&output.join("logits.npy"), "<f2", &shape, bytes.collect())?;
    let bytes = targets.iter().flat_map(|target| target.to_le_bytes());
    write_npy(&output.join("tokens.npy"), "<i4", &EXPORTED, bytes.collect())?;
    trained
        .tokenizer
        .save(output.join("tokenizer.json"), false)
        .map_err(|error| anyhow!(error).context("cannot save the tokenizer"))?;

    let mut total = 0.0;
    let mut hits = 0;
    for (row, &target) in logits.chunks(vocabulary).zip(&targets) {
        let row: Vec<f64> = row.iter().map(|logit| logit.to_f64()).collect();
        let maximum = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|logit| (logit - maximum).exp()).sum();
        let logit = row[target as usize];
        total += logit - maximum - sum.ln();
        hits += usize::from(logit == maximum);
    }
    for start in &starts {
        let window = &tokens[*start..=start + positions];
        println!(
            "window at token {start} of {}: {}",
            tokens.len(),
            data::decode(&trained.tokenizer, window)?
        );
    }
    println!(
        "exported: {} positions, {hits} targets are the likeliest token, perplexity {:.9}",
        targets.len(),
        (-total / targets.len() as f64).exp()
    );
    Ok(())
}

/// The elements of a tensor of floats, in C order.
fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor
        .try_into_data_as::<f32>()
        .and_then(|read| Ok(read.try_into_vec::<f32>()?))
        .map_err(|error| anyhow!("cannot read a result: {error}"))
}

/// Writes an array to a file in NumPy's format, version 1.0.
fn write_npy(path: &Path, kind: &str, shape: &[usize], data: Vec<u8>) -> Result<()> {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", sizes.join(", "));
    // Magic, version and length take 10 bytes; spaces and a newline fill up to a multiple of 64.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(b"\x93NUMPY\x01\x00")?;
        file.write_all(&(header.len() as u16).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        file.write_all(&data)?;
        file.flush()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
