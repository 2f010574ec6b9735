//! Eight sequences, each with a prompt and parameters of its own.

use sortilege::{Request, Result, SamplingParams};

use crate::weights::Random;

/// Sequences.
pub const COUNT: usize = 8;

/// Prompts of 3 to 38 tokens: some are longer than a chunk that web-rwkv reads at once.
pub fn prompts(vocab: usize) -> Vec<Vec<u32>> {
    let mut random = Random(7);
    let mut token = || (random.bits() % vocab as u64) as u32;
    (0..COUNT).map(|row| (0..3 + row * 5).map(|_| token()).collect()).collect()
}

/// Requests of so many tokens: greedy ones among filters and penalties of several kinds.
pub fn requests(prompts: &[Vec<u32>], tokens: u64) -> Result<Vec<Request>> {
    let (raw_logprobs, max_tokens) = (Some(5), Some(tokens));
    let plain = |row| SamplingParams { seed: Some(row), raw_logprobs, max_tokens, ..Default::default() };
    let params: [SamplingParams; COUNT] = [
        SamplingParams { temperature: 0.0, ..plain(0) },
        SamplingParams { temperature: 0.8, top_p: 0.95, ..plain(1) },
        SamplingParams { top_k: 40, repetition_penalty: 1.2, ..plain(2) },
        SamplingParams { temperature: 0.9, min_p: 0.05, typical_p: 0.95, ..plain(3) },
        plain(4),
        SamplingParams { temperature: 0.0, frequency_penalty: 1.5, ..plain(5) },
        SamplingParams { temperature: 1.4, top_n_sigma: 2.0, processed_logprobs: Some(3), ..plain(6) },
        SamplingParams { top_p: 0.9, presence_penalty: 0.8, frequency_penalty: 0.4, ..plain(7) },
    ];
    params.into_iter().zip(prompts).map(|(params, prompt)| Request::with_prompt(params, prompt)).collect()
}
