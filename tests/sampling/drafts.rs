//! Draft tokens: verified in one call, and rejected without a change of the distribution.

use sortilege::device::{Gpu, adapters};
use sortilege::wgpu::{BufferUsages, Limits};
use sortilege::{
    Cpu, DraftTokens, DraftTree, Dtype, Engine, Error, GpuInput, GpuLogits, GpuOutput, Logits, NO_TOKEN,
    Request, Row, Sample, SampleBuffers, SampleInputs, SamplingParams, Verification,
};

use crate::common::{buffer, encoder, gpus, read, upload};
use crate::{VOCAB, row};

/// Sample-and-match gives the tokens of plain decoding; rejection the distribution of the target.
#[test]
fn a_chain_is_verified_in_one_call() {
    let params = SamplingParams {
        temperature: 0.8,
        top_k: 4,
        frequency_penalty: 0.3,
        seed: Some(9),
        ..SamplingParams::default()
    };
    // Plain decoding, one token after the other; the logits of a position depend on its number alone.
    let mut plain = Request::new(params).expect("in range");
    let start = plain.clone();
    for position in 0..5u64 {
        let values = row(position as usize);
        let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
        let samples = Cpu.sample(&logits, &[plain.row(position)], &SampleInputs::default()).expect("samples");
        plain.accept(&samples[0]).expect("in turn");
    }
    let values: Vec<f32> = (0..5).flat_map(row).collect();
    let logits = Logits::f32(&values, 5, VOCAB).expect("a batch");
    for gpu in gpus() {
        for right in 0..=4usize {
            let mut draft = plain.output()[..4].to_vec();
            if right < 4 {
                draft[right] = (draft[right] + 1) % VOCAB as u32;
            }
            let chain = DraftTokens::new(&start, 0, &draft, Verification::SampleAndMatch).expect("a chain");
            let rows: Vec<Row<'_>> = chain.rows().collect();
            let samples = gpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
            let verified = chain.verify(&samples);
            assert!(verified.accepted.iter().copied().eq(0..right), "{verified:?}");
            assert_eq!(verified.tokens(), plain.output()[..=right]);
        }
    }
}

/// The path of a tree that plain decoding takes is accepted, as far as the tree goes along with it.
#[test]
fn a_tree_is_verified_in_one_call() {
    let params = SamplingParams {
        top_p: 0.9,
        repetition_penalty: 1.4,
        no_repeat_ngram_size: 2,
        seed: Some(3),
        ..SamplingParams::default()
    };
    let mut plain = Request::with_prompt(params, &[5, 6, 5]).expect("in range");
    let start = plain.clone();
    for position in 0..4u64 {
        let values = row(position as usize);
        let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
        let samples = Cpu.sample(&logits, &[plain.row(position)], &SampleInputs::default()).expect("samples");
        plain.accept(&samples[0]).expect("in turn");
    }
    let other = |token: u32| (token + 1) % VOCAB as u32;
    let [a, b, c, d] = *plain.output() else { panic!("four tokens") };
    // What plain decoding takes is the second child each time; a false copy of its end hangs on the first one.
    type Tree = (Vec<u32>, Vec<Option<usize>>, Vec<usize>);
    let trees: [Tree; 4] = [
        (
            vec![other(a), a, b, other(b), b, c],
            vec![None, None, Some(0), Some(1), Some(1), Some(4)],
            vec![1, 4, 5],
        ),
        (vec![a, other(b), c], vec![None, Some(0), Some(1)], vec![0]),
        (vec![other(a), b], vec![None, Some(0)], vec![]),
        (vec![], vec![], vec![]),
    ];
    for (tokens, parents, accepted) in trees {
        let tree =
            DraftTree::new(&start, 0, &tokens, &parents, Verification::SampleAndMatch).expect("a tree");
        let rows: Vec<Row<'_>> = tree.rows().collect();
        let values: Vec<f32> = rows.iter().flat_map(|asked| row(asked.position as usize)).collect();
        let logits = Logits::f32(&values, rows.len(), VOCAB).expect("a batch");
        for gpu in gpus() {
            let samples = gpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
            let verified = tree.verify(&samples);
            assert_eq!(verified.accepted, accepted, "{tokens:?}");
            assert_eq!(verified.tokens(), [a, b, c, d][..=accepted.len()], "{tokens:?}");
        }
    }
}

/// Siblings of a tree are tried in turn, of greedy requests too: a device says what the CPU says.
#[test]
fn a_tree_by_rejection_is_the_cpus() {
    let tokens = [7, 30, 2, 9, 4, 4000, 11];
    let parents = [None, None, None, Some(1), Some(1), Some(1), Some(5)];
    for temperature in [0.0, 1.3] {
        let params = SamplingParams {
            temperature,
            top_k: 900,
            frequency_penalty: 0.5,
            seed: Some(5),
            ..SamplingParams::default()
        };
        let request = Request::with_prompt(params, &[5, 6]).expect("in range");
        let tree = DraftTree::new(&request, 0, &tokens, &parents, Verification::Rejection).expect("a tree");
        let rows: Vec<Row<'_>> = tree.rows().collect();
        let mut values: Vec<f32> = rows.iter().flat_map(|asked| row(asked.position as usize)).collect();
        values[30] = 20.0; // one that a greedy request takes, though not the first that is tried
        let logits = Logits::f32(&values, rows.len(), VOCAB).expect("a batch");
        let mut draft = vec![0.5 / VOCAB as f32; rows.len() * VOCAB];
        tokens.iter().for_each(|token| draft[*token as usize] = 0.05);
        let inputs = SampleInputs { mask: None, draft: Some(&draft) };
        let expected = Cpu.sample(&logits, &rows, &inputs).expect("samples");
        let accepted = tree.verify(&expected).accepted;
        assert_eq!(accepted.first(), Some(&1), "at temperature {temperature}");
        for gpu in gpus() {
            let samples = gpu.sample(&logits, &rows, &inputs).expect("samples");
            assert_eq!(samples, expected, "at temperature {temperature}");
        }
    }
}

/// Blocks of every kind of request beside rows of all other kinds: a device says what the CPU says, and draws the same tokens
/// where it writes nothing else.
#[test]
fn a_block_is_the_cpus() {
    let plain = SamplingParams { seed: Some(11), ..SamplingParams::default() };
    let kinds = [
        plain.clone(),
        SamplingParams { temperature: 0.0, frequency_penalty: 0.3, ..plain.clone() },
        SamplingParams { temperature: 1.6, top_k: 40, top_p: 0.9, raw_logprobs: Some(3), ..plain.clone() },
        SamplingParams { dynatemp_range: 0.4, min_p: 0.01, processed_logprobs: Some(5), ..plain.clone() },
        SamplingParams { stop_token_ids: vec![9], no_repeat_ngram_size: 2, ..plain.clone() },
        SamplingParams {
            max_tokens: Some(2),
            entropy: true,
            processed_logprobs: Some(1500),
            ..plain.clone()
        },
        SamplingParams { allowed_token_ids: Some(vec![7, 30, 2, 9, 4, 11]), xtc_probability: 0.5, ..plain },
    ];
    let requests: Vec<Request> =
        kinds.into_iter().map(|params| Request::with_prompt(params, &[5, 6]).expect("in range")).collect();
    let drafts = [vec![7, 30, 2, 9], vec![30], vec![], vec![4, 9, 11, 9, 30, 7, 7]];
    let chains: Vec<DraftTokens<'_>> = requests
        .iter()
        .flat_map(|request| drafts.iter().map(move |draft| (request, draft)))
        .map(|(request, draft)| DraftTokens::new(request, 0, draft, Verification::Block).expect("a block"))
        .collect();
    let mut rows = vec![requests[0].row(3)];
    for (number, chain) in chains.iter().enumerate() {
        rows.extend(chain.rows());
        let draft = &drafts[0][..number % 3];
        rows.push(Row { draft, ..requests[number % 3].row(number as u64).detached() });
    }
    let mut values: Vec<f32> = rows.iter().flat_map(|asked| row(asked.position as usize)).collect();
    // The drafts are likely, each a little too likely or not likely enough.
    for (number, token) in (0..rows.len()).flat_map(|row| [7, 30, 2, 9, 4, 11].map(|token| (row, token))) {
        values[number * VOCAB + token] = 12.0 + ((number * 31 + token * 7) % 13) as f32 * 0.3;
    }
    let broken = rows.iter().position(|row| row.block_place == Some(2)).expect("a row in a block");
    values[broken * VOCAB + 1] = f32::NAN;
    let mut draft = vec![0.1 / VOCAB as f32; rows.len() * VOCAB];
    for own in draft.chunks_mut(VOCAB) {
        [7, 30, 2, 9, 4, 11].iter().for_each(|token| own[*token as usize] = 0.15);
    }
    let logits = Logits::f32(&values, rows.len(), VOCAB).expect("a batch");
    let inputs = SampleInputs { mask: None, draft: Some(&draft) };
    let expected = Cpu.sample(&logits, &rows, &inputs).expect("samples");
    let mut first = 1;
    let mut accepted = vec![0; 8];
    for (number, chain) in chains.iter().enumerate() {
        let own = &expected[first..][..drafts[number % drafts.len()].len() + 1];
        accepted[chain.verify(own).accepted.len()] += 1;
        first += own.len() + 1;
    }
    assert!(accepted[0] > 0 && accepted[1] > 0 && accepted[2..].iter().sum::<u32>() > 3, "{accepted:?}");
    for gpu in gpus() {
        let samples = gpu.sample(&logits, &rows, &inputs).expect("samples");
        for (row, (sample, expected)) in samples.iter().zip(&expected).enumerate() {
            assert_eq!(sample, expected, "row {row} of {}, {:?}", gpu.info().name, rows[row]);
        }
        let source = upload(&gpu, bytemuck::cast_slice(&values));
        let drafted = upload(&gpu, bytemuck::cast_slice(&draft));
        let tokens = buffer(&gpu, rows.len() as u64 * 4, BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
        let buffers = SampleBuffers {
            draft: Some(GpuInput::new(&drafted)),
            tokens: Some(GpuOutput::new(&tokens)),
            ..SampleBuffers::default()
        };
        let batch = GpuLogits::packed(&source, Dtype::F32, rows.len(), VOCAB);
        let mut open = encoder(&gpu);
        gpu.sampler().sample_tokens(&mut open, &batch, &rows, &buffers).expect("recorded");
        gpu.queue().submit([open.finish()]);
        let drawn = read(&gpu, &tokens);
        let of_samples =
            expected.iter().map(|sample| sample.draws.first().map_or(NO_TOKEN, |drawn| drawn.token));
        assert!(drawn.iter().copied().eq(of_samples), "{drawn:?}");
    }
}

/// Chunks end between blocks, wherever rows lie; a block that is longer is refused. A batch of host memory is cut before a block.
#[test]
fn a_block_is_not_cut() {
    const WIDE: usize = 1 << 17;
    let request =
        Request::new(SamplingParams { seed: Some(6), ..SamplingParams::default() }).expect("in range");
    let blocks = |count: usize, draft: &'static [u32]| -> Vec<Row<'_>> {
        let chain = DraftTokens::new(&request, 0, draft, Verification::Block).expect("a block");
        (0..count).flat_map(|_| chain.rows().collect::<Vec<_>>()).collect()
    };
    let batch = |rows: usize, vocab: usize| -> [Vec<f32>; 2] {
        let values = (0..rows * vocab).map(|i| (i * 7919 % 1009) as f32 / 100.0).collect();
        [values, vec![1.0 / vocab as f32; rows * vocab]]
    };
    for adapter in adapters(true).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        // Four rows a chunk.
        let limits = Limits { max_storage_buffer_binding_size: 100_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        for (draft, chunks) in [(&[1][..], 3), (&[1, 2], 6), (&[1, 2, 3], 6), (&[1, 2, 3, 4], 0)] {
            let rows = blocks(6, draft);
            let [values, probabilities] = batch(rows.len(), VOCAB);
            let logits = Logits::f32(&values, rows.len(), VOCAB).expect("a batch");
            let inputs = SampleInputs { mask: None, draft: Some(&probabilities) };
            let expected = Cpu.sample(&logits, &rows, &inputs).expect("samples");
            let source = upload(&gpu, bytemuck::cast_slice(&values));
            let drafted = upload(&gpu, bytemuck::cast_slice(&probabilities));
            let buffers = SampleBuffers { draft: Some(GpuInput::new(&drafted)), ..SampleBuffers::default() };
            let packed = GpuLogits::packed(&source, Dtype::F32, rows.len(), VOCAB);
            // The rows from the last one on, so that bindings hold them in another order than the buffer.
            let turned: Vec<f32> = values.chunks(VOCAB).rev().flatten().copied().collect();
            let turned = upload(&gpu, bytemuck::cast_slice(&turned));
            let offsets: Vec<u64> = (0..rows.len()).rev().map(|row| (row * VOCAB) as u64).collect();
            let anywhere = GpuLogits { buffer: &turned, row_stride: VOCAB, row_offsets: &offsets, ..packed };
            for batch in [packed, anywhere] {
                let sampled = gpu
                    .submit(|encoder| gpu.sampler().sample(encoder, &batch, &rows, &buffers))
                    .and_then(|pending| Ok((pending.plan().cost().chunks, pending.wait()?)));
                match sampled {
                    Ok((cut, samples)) => {
                        assert_eq!(cut, chunks, "blocks of {}", draft.len() + 1);
                        assert_eq!(samples, expected, "blocks of {}", draft.len() + 1);
                    }
                    Err(error) => {
                        let words = "ends before row 4, within a block of draft tokens";
                        assert!(chunks == 0 && error.to_string().contains(words), "{error}");
                    }
                }
            }
            match gpu.sample(&logits, &rows, &inputs) {
                Ok(samples) => assert!(chunks > 0 && samples == expected, "blocks of {}", draft.len() + 1),
                Err(error) => assert!(chunks == 0 && error.to_string().contains("row 4"), "{error}"),
            }
        }
    }
    static DRAFT: [u32; 40] = [3; 40];
    let rows = blocks(3, &DRAFT);
    let [values, probabilities] = batch(rows.len(), WIDE);
    let logits = Logits::f32(&values, rows.len(), WIDE).expect("a batch");
    let inputs = SampleInputs { mask: None, draft: Some(&probabilities) };
    let expected = Cpu.sample(&logits, &rows, &inputs).expect("samples");
    for gpu in gpus() {
        assert_eq!(gpu.sample(&logits, &rows, &inputs).expect("samples"), expected);
    }
}

/// As much mass as there can be, 2^63, of which a row of a block takes its part.
#[test]
fn a_block_of_all_the_mass_there_is() {
    const MOST: usize = 1 << 20;
    let request =
        Request::new(SamplingParams { seed: Some(3), ..SamplingParams::default() }).expect("in range");
    let chain = DraftTokens::new(&request, 0, &[5, 6], Verification::Block).expect("a block");
    let rows: Vec<Row<'_>> = chain.rows().collect();
    let zeros = vec![0; 3 * MOST * 2];
    let logits = Logits::new(&zeros, Dtype::F16, 3, MOST).expect("a batch");
    let mut draft = vec![0.5 / MOST as f32; 3 * MOST];
    draft[5] = 0.0; // what the block stands on is all of it
    let inputs = SampleInputs { mask: None, draft: Some(&draft) };
    let expected = Cpu.sample(&logits, &rows, &inputs).expect("samples");
    assert_eq!(chain.verify(&expected).accepted, [0, 1]);
    for gpu in gpus() {
        match gpu.sample(&logits, &rows, &inputs) {
            Ok(samples) => assert_eq!(samples, expected, "{}", gpu.info().name),
            // Old Mesa ends loops after so many rounds, and says so.
            Err(error) => assert!(error.to_string().contains("rounds"), "{error}"),
        }
    }
}

/// What no block can be.
#[test]
fn what_is_no_block_is_named() {
    let request =
        Request::new(SamplingParams { seed: Some(6), ..SamplingParams::default() }).expect("in range");
    let says = |error: Error, words: &str| assert!(error.to_string().contains(words), "{error}");
    let long = DraftTokens::new(&request, 0, &[1; 65], Verification::Block);
    says(long.expect_err("too long"), "65 draft tokens, over the limit of 64");
    let tree = DraftTree::new(&request, 0, &[1, 2], &[None, Some(0)], Verification::Block);
    says(tree.expect_err("a tree"), "verify it by rejection");
}

/// Rejection: a draft with the target's own probabilities always stands, an impossible one never, and what comes out
/// has the target's distribution whatever the draft was.
#[test]
fn rejection_keeps_the_distribution() {
    const TOKENS: usize = 6;
    let target = [0.4f32, 0.3, 0.15, 0.1, 0.05, 0.0];
    let draft = [0.1f32, 0.2, 0.3, 0.1, 0.05, 0.25];
    let logits: Vec<f32> = target.iter().map(|p| p.ln()).collect();
    let positions = 40_000usize;
    let request =
        Request::new(SamplingParams { seed: Some(4), ..SamplingParams::default() }).expect("in range");
    let run = |draft: &[f32; TOKENS], token_of: &dyn Fn(usize) -> u32| -> Vec<Sample> {
        let values: Vec<f32> = logits.iter().copied().cycle().take(positions * TOKENS).collect();
        let drafts: Vec<f32> = draft.iter().copied().cycle().take(positions * TOKENS).collect();
        let tokens: Vec<u32> = (0..positions).map(token_of).collect();
        let rows: Vec<Row<'_>> = tokens
            .iter()
            .zip(0..)
            .map(|(draft, i)| Row { draft: std::slice::from_ref(draft), ..request.row(i) })
            .collect();
        let inputs = SampleInputs { mask: None, draft: Some(&drafts) };
        Cpu.sample(&Logits::f32(&values, positions, TOKENS).expect("a batch"), &rows, &inputs)
            .expect("samples")
    };
    // Draft tokens drawn from the draft, by stratified points.
    let drafted = |i: usize| {
        let point = ((i as f64 + 0.5) * 0.618_033_988_749_895).fract();
        let mut below = 0.0;
        draft
            .iter()
            .position(|p| {
                below += f64::from(*p);
                point < below
            })
            .unwrap_or(TOKENS - 1) as u32
    };
    let samples = run(&draft, &drafted);
    // The draft's own shares lie hundreds away.
    assert_drawn_from(&target, &samples);
    let accepted = samples.iter().filter(|sample| sample.accepted == Some(true)).count() as f64;
    let expected: f64 = target.iter().zip(&draft).map(|(p, q)| f64::from(p.min(*q))).sum();
    assert!((accepted / positions as f64 - expected).abs() < 0.01, "{accepted} accepted");
    assert!(
        run(&target, &drafted_of_target)
            .iter()
            .zip(0..)
            .all(|(sample, i)| { sample.accepted == Some(target[drafted_of_target(i) as usize] > 0.0) })
    );
    // Probabilities that sum to far more than one leave nothing: the draw falls back to the target.
    let greedy_draft = run(&[1.0; TOKENS], &|_| 5);
    assert!(greedy_draft.iter().all(|s| s.accepted == Some(false) && s.draws[0].token < 5));
}

/// A draft model that samples with the same seed and positions, as engines do: its numbers are not the residual's.
#[test]
fn a_draft_of_the_same_seed_changes_no_distribution() {
    let target = [0.4f32, 0.1, 0.25, 0.25];
    let draft = [0.5f32, 0.5, 0.0, 0.0];
    let positions = 20_000usize;
    let request =
        Request::new(SamplingParams { seed: Some(8), ..SamplingParams::default() }).expect("in range");
    let batch = |p: &[f32; 4]| -> Vec<f32> { p.iter().map(|p| p.ln()).cycle().take(4 * positions).collect() };
    let sample = |values: &[f32], rows: &[Row<'_>], draft: Option<&[f32]>| {
        let logits = Logits::f32(values, positions, 4).expect("a batch");
        Cpu.sample(&logits, rows, &SampleInputs { mask: None, draft }).expect("samples")
    };
    let plain: Vec<Row<'_>> = (0..positions).map(|i| request.row(i as u64)).collect();
    let drafted = sample(&batch(&draft), &plain, None);
    let rows: Vec<Row<'_>> = plain
        .iter()
        .zip(&drafted)
        .map(|(row, sample)| Row { draft: std::slice::from_ref(&sample.draws[0].token), ..*row })
        .collect();
    let probabilities: Vec<f32> = draft.iter().copied().cycle().take(4 * positions).collect();
    let samples = sample(&batch(&target), &rows, Some(&probabilities));
    // With the draw's own numbers, tokens 2 and 3 are off by 3000.
    assert_drawn_from(&target, &samples);
}

/// The count of each token is within five standard deviations of a binomial count.
fn assert_drawn_from(target: &[f32], samples: &[Sample]) {
    for (token, p) in (0u32..).zip(target) {
        let count = samples.iter().filter(|sample| sample.draws[0].token == token).count() as f64;
        let expected = f64::from(*p) * samples.len() as f64;
        let allowed = 5.0 * (expected * (1.0 - f64::from(*p))).sqrt();
        assert!((count - expected).abs() <= allowed, "token {token}: {count} of {expected}");
    }
}

fn drafted_of_target(i: usize) -> u32 {
    (i % 6) as u32
}
