//! Which draws follow from merged lists: those whose filters begin with a top-k that is no longer than the list.

use sortilege::shard::{Shard, ShardQuery};
use sortilege::synthetic::{KINDS, Kind, LIKE_A_MODEL, SplitMix64};
use sortilege::{
    Cpu, Dtype, Engine, Logits, LogprobsParams, Request, Sample, SampleInputs, SamplingParams, TargetLogprob,
};

use super::{Batch, merged};

fn sample(row: &[f32], params: &SamplingParams, position: u64) -> Sample {
    let request = Request::new(params.clone()).expect("parameters");
    let logits = Logits::f32(row, 1, row.len()).expect("a row");
    Cpu.sample(&logits, &[request.row(position)], &SampleInputs::default()).expect("a sample").remove(0)
}

/// Tokens, ranks and logprobs.
fn drawn(sample: &Sample) -> Vec<TargetLogprob> {
    sample.draws.iter().map(|drawn| drawn.processed).collect()
}

/// The logits of a merged list, all else impossible.
fn listed(batch: &Batch, top_logprobs: u32) -> Vec<f32> {
    let query = ShardQuery {
        params: LogprobsParams { top_logprobs, ..LogprobsParams::default() },
        ..ShardQuery::default()
    };
    let parts = Shard::cut(batch.vocab, 4).expect("four tiles");
    let answer = merged(batch.stats(&parts, &query), &mut SplitMix64::new(3))
        .logprobs()
        .expect("all is here")
        .remove(0);
    let mut row = vec![f32::NEG_INFINITY; batch.vocab];
    answer.distribution.top_logprobs.iter().for_each(|entry| row[entry.token as usize] = entry.logit);
    row
}

#[test]
fn draws_within_the_list_are_those_of_the_whole() {
    let mut cut_too_short = 0;
    let tied = Kind::find("tied", KINDS).expect("a kind");
    for (kind, seed) in LIKE_A_MODEL.iter().chain([tied]).zip(0..) {
        let batch = Batch::of(kind, Dtype::F32, 1, 20_000, seed);
        for (top_k, top_p, min_p, temperature) in
            [(1, 1.0, 0.0, 1.0), (40, 1.0, 0.0, 0.8), (50, 0.9, 0.0, 1.0), (50, 0.95, 0.05, 1.7)]
        {
            let params = SamplingParams {
                top_k,
                top_p,
                min_p,
                temperature,
                n: 8,
                seed: Some(seed),
                processed_logprobs: Some(5),
                ..SamplingParams::default()
            };
            for position in 0..20 {
                let whole = sample(&batch.rows[0], &params, position);
                let short = sample(&listed(&batch, top_k), &params, position);
                assert_eq!(drawn(&short), drawn(&whole), "{} {params:?} at {position}", kind.name);
                assert_eq!((short.kept, &short.processed), (whole.kept, &whole.processed), "{}", kind.name);
                let too_short = sample(&listed(&batch, top_k / 2), &params, position);
                cut_too_short += usize::from(drawn(&too_short) != drawn(&whole));
            }
        }
    }
    // A list that is shorter than the top-k is found out by the same comparison.
    assert!(cut_too_short > 100, "{cut_too_short}");
}
