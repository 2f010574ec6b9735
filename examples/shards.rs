//! A vocabulary over four threads that share nothing but what they send: `cargo run --release --example shards`.
//!
//! Each thread has the logits of its own tokens, as a device in tensor parallelism has. The keys of the targets are exchanged,
//! then the statistics, as bytes; the answers are, in bits, those of the whole rows.
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use sortilege::shard::{Shard, ShardQuery, ShardStats};
use sortilege::synthetic::{Kind, LIKE_A_MODEL};
use sortilege::{Cpu, Engine, Logits, LogprobsParams};

const ROWS: usize = 8;
const VOCAB: usize = 128_256;
const SHARDS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let kind = Kind::find("normal", LIKE_A_MODEL).ok_or("no such kind")?;
    let rows: Vec<Vec<f32>> = (0..ROWS as u64).map(|row| kind.logits(VOCAB, row << 32)).collect();
    let targets: Vec<Option<u32>> = (0..).step_by(15_000).take(ROWS).map(Some).collect();
    let params = LogprobsParams { top_logprobs: 20, entropy: true, ..LogprobsParams::default() };

    let (keys_out, keys_in) = channel();
    let (stats_out, stats_in) = channel();
    let answers = thread::scope(|threads| {
        let mut largest_out = Vec::new();
        for part in Shard::cut(VOCAB, SHARDS)? {
            let (to_shard, largest) = channel::<Vec<i32>>();
            largest_out.push(to_shard);
            let (keys_out, stats_out) = (keys_out.clone(), stats_out.clone());
            let own: Vec<f32> = rows.iter().flat_map(|row| &row[part.clone()]).copied().collect();
            let query = ShardQuery { params, targets: &targets, token_ids: &[] };
            threads.spawn(move || {
                let logits = Logits::f32(&own, ROWS, part.len()).expect("a batch");
                let shard = Shard::new(logits, part.start, VOCAB).expect("a cut at tiles");
                keys_out
                    .send(shard.keys(&query).expect("tokens of the vocabulary"))
                    .expect("somebody listens");
                let largest = largest.recv().expect("somebody answers");
                let stats = shard.stats(&query, &largest).expect("the keys of all shards");
                stats_out.send(stats.to_bytes()).expect("somebody listens");
            });
        }
        // What an all-reduce of maxima does, and a gather.
        let keys =
            keys_in.iter().take(SHARDS).reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect());
        let keys = keys.ok_or("no shard")?;
        largest_out.iter().try_for_each(|shard: &Sender<_>| shard.send(keys.clone()))?;
        let mut whole: Option<ShardStats> = None;
        for bytes in stats_in.iter().take(SHARDS) {
            println!("a shard sends {} bytes", bytes.len());
            let stats = ShardStats::from_bytes(&bytes)?;
            whole = Some(match whole {
                Some(others) => others.merge(&stats)?,
                None => stats,
            });
        }
        Ok::<_, Box<dyn Error>>(whole.ok_or("no shard")?.logprobs()?)
    })?;

    let all = rows.concat();
    let expected = Cpu.logprobs(&Logits::f32(&all, ROWS, VOCAB)?, &params, &targets)?;
    for (row, answer) in answers.iter().enumerate() {
        let target = answer.target.ok_or("a row that is no distribution")?;
        println!(
            "row {row}: token {} has logprob {:.6}, rank {}",
            target.token,
            target.logprob,
            target.rank()
        );
    }
    if answers != expected {
        return Err("the shards say something else than the whole rows".into());
    }
    println!("{ROWS} rows of {SHARDS} shards are those of the whole, bit for bit");
    Ok(())
}
