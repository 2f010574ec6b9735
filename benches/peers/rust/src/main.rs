//! `peers PROGRAM FILE.npy DTYPE ROWS VOCAB TOP RUNS TARGETS`, TARGETS one token per row with commas between them.
//!
//! Reads the logits into memory, runs the program twice to warm up, then RUNS times, and prints one JSON object: what it
//! found, and the microseconds of each run. RAYON_NUM_THREADS sets the threads.

#[cfg(feature = "burn")]
mod burn;
mod candle;
mod logits;
mod obvious;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::Serialize;

use crate::logits::Logits;

const USAGE: &str =
    "usage: peers read|obvious|candle-draw|burn FILE.npy f32|f16|bf16 ROWS VOCAB TOP RUNS TARGET,TARGET,…";

/// What a program found in a row: the `top` most probable tokens, and the target's logprob and rank.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub tokens: Vec<u32>,
    pub logprobs: Vec<f64>,
    pub logprob: f64,
    pub rank: usize,
}

/// What is asked of each row.
pub struct Asked {
    pub top: usize,
    pub targets: Vec<u32>,
}

#[derive(Default, Serialize)]
struct Report {
    us: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    found: Vec<Found>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drawn: Vec<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, file, dtype, rows, vocab, top, runs, targets] = &arguments[..] else { bail!(USAGE) };
    let logits = Logits::read(file, dtype, rows.parse()?, vocab.parse()?)?;
    let runs: usize = runs.parse()?;
    let asked = Asked {
        top: top.parse()?,
        targets: targets.split(',').map(str::parse).collect::<Result<_, _>>().context("TARGETS")?,
    };
    if asked.targets.len() != logits.rows {
        bail!("{} targets for {} rows", asked.targets.len(), logits.rows);
    }
    let mut report = Report::default();
    match program.as_str() {
        "read" => report.us = time(runs, || Ok(read(&logits)))?,
        "obvious" => {
            report.found = obvious::record(&logits, &asked);
            report.us = time(runs, || Ok(obvious::record(&logits, &asked)))?;
        }
        "candle-draw" => {
            let mut processors = candle::Processors::new(&logits)?;
            report.drawn = processors.draw_often(64)?;
            report.us = time(runs, || processors.draw())?;
        }
        #[cfg(feature = "burn")]
        "burn" => {
            let peer = burn::Burn::new(&logits);
            report.adapter = Some(peer.adapter());
            report.found = peer.record(&asked)?;
            report.us = time(runs, || peer.record(&asked))?;
        }
        other => bail!("{other} is no program of this build; {USAGE}"),
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Microseconds of each of `runs` runs, after two more.
fn time<T>(runs: usize, mut run: impl FnMut() -> Result<T>) -> Result<Vec<f64>> {
    let mut us = Vec::with_capacity(runs);
    for _ in 0..runs + 2 {
        let start = Instant::now();
        black_box(run()?);
        us.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(us.split_off(2))
}

/// The sum of all words, modulo 2^64: the least that reading every byte costs.
fn read(logits: &Logits) -> u64 {
    let sum = |words: &[u64]| words.iter().fold(0, |sum: u64, &word| sum.wrapping_add(word));
    logits.words().par_chunks(1 << 16).map(sum).reduce(|| 0, u64::wrapping_add)
}
