//! Draws tokens for eight sequences: web-rwkv computes the logits, sortilege draws where they lie, and only samples come back.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use rwkv_engine::engine::{Batch, Engine};
use rwkv_engine::{requests, weights};
use sortilege::log::{JsonlWriter, Record, Texts, WriteRecord};

/// Draws from a model of web-rwkv's, on the GPU. Without --model its weights are random, and so the tokens mean nothing.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// An RWKV v7 in safetensors, as web-rwkv reads it.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Tokens to draw for each sequence.
    #[arg(long, default_value_t = 50)]
    steps: u64,
    /// The log of every draw, with the 5 most probable tokens: JSON lines.
    #[arg(long)]
    log: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let file = match &cli.model {
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => weights::file(1)?,
    };
    let log = cli.log.map(File::create).transpose().context("cannot create the log")?;
    let mut log = log.map(|file| JsonlWriter::new(BufWriter::new(file)));

    let engine = Engine::new(&file, requests::COUNT)?;
    let info = engine.context.adapter.get_info();
    eprintln!("{} ({:?}), {} {}", info.name, info.backend, info.driver, info.driver_info);
    let prompts = requests::prompts(engine.vocab);
    let mut batch = Batch::new(&engine, &prompts, requests::requests(&prompts, cli.steps)?)?;

    let (begin, before) = (Instant::now(), engine.sampler.traffic());
    let (mut steps, mut rows) = (0, 0);
    while !batch.is_finished() {
        let Some(head) = engine.forward(&mut batch)? else { continue };
        let samples = engine.draw(&head, &batch)?.wait()?;
        for (&sequence, sample) in head.sequences.iter().zip(&samples) {
            if let Some(log) = &mut log {
                let position = batch.requests[sequence].output().len() as u64;
                log.write(&Record::sample(sequence as u64, position, sample, Texts::NONE))?;
            }
        }
        batch.accept(&head.sequences, &samples)?;
        (steps, rows) = (steps + 1, rows + samples.len() as u64);
    }
    if let Some(log) = &mut log {
        log.finish()?;
    }

    let (seconds, after) = (begin.elapsed().as_secs_f64(), engine.sampler.traffic());
    for (sequence, request) in batch.requests.iter().enumerate() {
        let tokens: Vec<String> = request.output().iter().map(u32::to_string).collect();
        println!("{sequence}: {}", tokens.join(" "));
    }
    eprintln!(
        "{:.1} tokens/s, the first steps with all that web-rwkv compiles; a step has {} bytes back and {} up, beside {} of logits",
        rows as f64 / seconds,
        (after.bytes_back - before.bytes_back) / steps.max(1),
        (after.bytes_uploaded - before.bytes_uploaded) / steps.max(1),
        rows * engine.model.info.num_vocab_padded() as u64 * 4 / steps.max(1)
    );
    Ok(())
}
