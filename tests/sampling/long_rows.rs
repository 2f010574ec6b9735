//! Rows of large vocabularies, flat, with many draws and filters: right, or refused by a driver that cuts loops short.

use super::*;

/// Requests that open a flat row again and again, some more than others.
fn heavy(number: usize) -> SamplingParams {
    SamplingParams {
        n: [1, 16, 12, 3][number % 4],
        temperature: [1.0, 2.0, 0.8][number % 3],
        top_p: [1.0, 0.999, 0.95][number % 3],
        min_p: [0.0, 1e-6][number / 2 % 2],
        typical_p: [1.0, 0.99][number / 3 % 2],
        top_n_sigma: [0.0, 4.0][number / 5 % 2],
        epsilon_cutoff: [0.0, 1e-9][number / 4 % 2],
        eta_cutoff: [0.0, 1e-9][number / 6 % 2],
        repetition_penalty: [1.0, 1.3][number / 7 % 2],
        raw_logprobs: [None, Some(20), Some(1024)][number % 3],
        processed_logprobs: [Some(20), None][number % 2],
        order: Order::Llama,
        seed: Some(number as u64),
        ..SamplingParams::default()
    }
}

#[test]
fn a_long_flat_row_is_right_or_refused() {
    const CASES: usize = 12;
    for gpu in gpus() {
        let mut refused = Vec::new();
        for number in 0..CASES {
            let vocab = [262_144, 200_003, 524_288, 1 << 20][number % 4];
            let logits: Vec<f32> =
                (0..vocab).map(|i| ((i * 7919 + number) % 10_007) as f32 / 9000.0).collect();
            let logits = Logits::f32(&logits, 1, vocab).expect("a row");
            let prompt: Vec<u32> = (0..2000).map(|i| i * 97 % vocab as u32).collect();
            let request = Request::with_prompt(heavy(number), &prompt).expect("in range");
            let rows = [request.row(3).detached()];
            match gpu.sample(&logits, &rows, &SampleInputs::default()) {
                Ok(samples) => {
                    let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("a sample");
                    assert_eq!(samples, expected, "case {number} on {}", gpu.info().name);
                }
                Err(Error::Limit(why)) if why.contains("rounds of loops") => refused.push(number),
                Err(error) => panic!("case {number} on {}: {error}", gpu.info().name),
            }
        }
        assert!(refused.len() <= 3, "{}: {refused:?} refused", gpu.info().name);
        eprintln!("{}: {refused:?} refused of {CASES}", gpu.info().name);
    }
}
