//! Rows, results and tokens anywhere in the engine's buffers: by offsets, in any order, beside the logits in one buffer.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use sortilege::device::{Gpu, adapters};
use sortilege::wgpu::{BufferUsages, Limits};
use sortilege::{
    Cpu, Dtype, Engine, Error, GpuLogits, GpuOutput, Logits, LogprobsParams, NO_TOKEN, Request, Row, Sample,
    SampleBuffers, SampleInputs, SamplingParams,
};

use common::{buffer, encoder, gpus, read, test_each, upload};

/// `elements` logits of a type, all different within a row of odd length.
fn elements(dtype: Dtype, elements: usize) -> Vec<u8> {
    let mut bytes = vec![0; elements * dtype.bytes()];
    for (i, element) in bytes.chunks_exact_mut(dtype.bytes()).enumerate() {
        dtype.store(((i * 7919) % 4093) as f32 / 256.0 - 8.0, element);
    }
    bytes
}

/// The rows that begin at these elements, one after the other.
fn gathered(bytes: &[u8], dtype: Dtype, vocab: usize, offsets: &[u64]) -> Vec<u8> {
    let width = dtype.bytes();
    offsets.iter().flat_map(|&offset| &bytes[offset as usize * width..][..vocab * width]).copied().collect()
}

fn requests(count: usize) -> Vec<Request> {
    let params = |row: usize| SamplingParams {
        temperature: [0.0, 0.8, 1.2][row % 3],
        top_p: [1.0, 0.9][row % 2],
        seed: Some(row as u64),
        raw_logprobs: Some(3),
        logprob_token_ids: [vec![], vec![2, 0]][row % 2].clone(),
        logit_bias: if row.is_multiple_of(2) { Vec::new() } else { vec![(1, 0.75)] },
        ..SamplingParams::default()
    };
    (0..count).map(|row| Request::with_prompt(params(row), &[1, 3]).expect("in range")).collect()
}

fn first_tokens(samples: &[Sample]) -> Vec<u32> {
    samples.iter().map(|sample| sample.draws[0].token).collect()
}

/// Rows in host memory too, on the CPU engine and uploaded: what the rows one after the other give, divergences included.
#[test]
fn rows_in_host_memory_begin_at_their_offsets() {
    let offsets: &[u64] = &[700, 3, 0, 3, 1401, 5];
    let gpus = gpus();
    let engines: Vec<&dyn Engine> =
        gpus.iter().map(|gpu| gpu as &dyn Engine).chain([&Cpu as &dyn Engine]).collect();
    for &dtype in Dtype::ALL {
        for vocab in [1, 333, 700] {
            let bytes = elements(dtype, 2101);
            let anywhere = Logits::with_row_offsets(&bytes, dtype, vocab, offsets).expect("within");
            let packed = gathered(&bytes, dtype, vocab, offsets);
            let packed = Logits::new(&packed, dtype, offsets.len(), vocab).expect("a batch");
            let reversed: Vec<u64> = offsets.iter().rev().copied().collect();
            let other = Logits::with_row_offsets(&bytes, dtype, vocab, &reversed).expect("within");
            let requests = requests(offsets.len());
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(0)).collect();
            let params = LogprobsParams { top_logprobs: 5, ..LogprobsParams::default() };
            for engine in &engines {
                let answers = |logits: &Logits<'_>| {
                    let samples = (vocab > 3).then(|| engine.sample(logits, &rows, &SampleInputs::default()));
                    let divergences = [engine.divergence(logits, &other), engine.divergence(&other, logits)];
                    format!(
                        "{:?} {:?} {samples:?} {divergences:?}",
                        engine.logprobs(logits, &params, &[]),
                        engine.log_softmax(logits)
                    )
                };
                let expected = answers(&packed);
                assert!(!expected.contains("Err("), "{expected}");
                assert_eq!(answers(&anywhere), expected, "{dtype} {vocab}");
            }
            let slice = anywhere.slice_rows(1, 4);
            let is_same = |row: usize| slice.row(row) == packed.row(row + 1);
            assert!(slice.rows() == 4 && (0..4).all(is_same), "{dtype} {vocab}");
        }
        let bytes = elements(dtype, 10);
        assert!(Logits::with_row_offsets(&bytes, dtype, 4, &[6]).is_ok());
        for offset in [7, 10, u64::MAX] {
            let message =
                Logits::with_row_offsets(&bytes, dtype, 4, &[0, offset]).expect_err("outside").to_string();
            assert!(message.contains(&format!("row 1 of 4 {dtype}, {offset} elements")), "{message}");
        }
    }
}

/// One row as often as its results are more than a processor addresses.
#[test]
#[cfg(target_pointer_width = "64")]
fn results_beyond_memory_are_an_error() {
    let bytes = vec![0; 4 << 20];
    let offsets = vec![0; 1 << 26];
    let logits = Logits::with_row_offsets(&bytes, Dtype::F32, 1 << 20, &offsets).expect("within");
    let softmax = Cpu.log_softmax(&logits).map(|_| ()).expect_err("256 TiB");
    let lists = Cpu.top_k(&logits, 1 << 20).map(|_| ()).expect_err("twice that");
    for message in [softmax.to_string(), lists.to_string()] {
        assert!(message.contains("[67108864][1048576] values are more than memory can hold"), "{message}");
    }
    // The lists alone: rows are of one token.
    let narrow = Logits::with_row_offsets(&bytes, Dtype::F32, 1, &offsets).expect("within");
    let message = Cpu.top_k(&narrow, 1 << 20).map(|_| ()).expect_err("512 TiB").to_string();
    assert!(message.contains("lower `rows`"), "{message}");
    let (values, tokens) = Cpu.top_k(&narrow.slice_rows(0, 2), 3).expect("padded");
    let none = (f32::NEG_INFINITY, NO_TOKEN);
    assert_eq!(values, [0.0, none.0, none.0, 0.0, none.0, none.0]);
    assert_eq!(tokens, [0, none.1, none.1, 0, none.1, none.1]);
    assert_eq!(Cpu.top_k(&narrow.slice_rows(0, 2), 0), Ok((vec![], vec![])));
}

/// Each call, over rows in any order, overlapping, several times, at odd elements; the same plan when they move.
#[test]
fn rows_begin_at_their_offsets() {
    let cases: &[(usize, &[u64])] = &[
        (5, &[0]),
        (5, &[17, 3, 0, 3, 1]),
        (333, &[9000, 1, 400, 5001]),
        (4097, &[1, 4100, 2, 8, 12_289]),
        (4096, &[4096, 4, 8192]),
        (3000, &[12_000, 0, 7]),
    ];
    for gpu in gpus() {
        for &dtype in Dtype::ALL {
            let cases = cases.iter().map(|case| (format!("{dtype} {case:?}"), *case));
            test_each(cases, |(vocab, offsets)| logprobs_and_samples(&gpu, dtype, vocab, offsets));
        }
    }
}

fn logprobs_and_samples(gpu: &Gpu, dtype: Dtype, vocab: usize, offsets: &[u64]) {
    const LEAD: usize = 3; // elements
    let rows = offsets.len();
    let bytes = elements(dtype, 17_000);
    let source = upload(gpu, &bytes);
    let body = &bytes[LEAD * dtype.bytes()..];
    let packed = gathered(body, dtype, vocab, offsets);
    let logits = Logits::new(&packed, dtype, rows, vocab).expect("a batch");
    let batch = GpuLogits {
        byte_offset: (LEAD * dtype.bytes()) as u64,
        row_offsets: offsets,
        ..GpuLogits::packed(&source, dtype, rows, vocab)
    };
    let targets: Vec<Option<u32>> = (0..rows).map(|row| (row != 1).then_some(row as u32)).collect();
    let ids: Vec<&[u32]> = (0..rows).map(|row| if row == 2 { &[] } else { &[4u32, 0][..] }).collect();
    // The second list is too long for one workgroup.
    for top_logprobs in [20, vocab.min(1500) as u32] {
        let params = LogprobsParams { top_logprobs, temperature: 0.9, entropy: true };
        let mut open = encoder(gpu);
        let pending =
            gpu.sampler().logprobs_of(&mut open, &batch, &params, &targets, &ids).expect("recorded");
        gpu.queue().submit([open.finish()]);
        let expected = Cpu.logprobs_of(&logits, &params, &targets, &ids).expect("records");
        assert_eq!(pending.wait().expect("records"), expected, "{top_logprobs} entries");
    }

    let requests = requests(rows);
    let asked: Vec<Row<'_>> = requests.iter().map(|request| request.row(9)).collect();
    let mut open = encoder(gpu);
    let pending =
        gpu.sampler().sample(&mut open, &batch, &asked, &SampleBuffers::default()).expect("recorded");
    let out = upload(gpu, &vec![0; rows * vocab * 4]);
    gpu.sampler().log_softmax(&mut open, &batch, GpuOutput::new(&out)).expect("recorded");
    assert_eq!(pending.plan().cost().dispatches, if rows > 1 { 3 } else { 2 }, "one round");
    gpu.queue().submit([open.finish()]);
    let expected = Cpu.sample(&logits, &asked, &SampleInputs::default()).expect("samples");
    assert_eq!(pending.wait().expect("samples"), expected);
    let expected: Vec<u32> = Cpu.log_softmax(&logits).expect("values").iter().map(|x| x.to_bits()).collect();
    assert!(read(gpu, &out) == expected, "log_softmax");
}

/// A device with small bindings: rows that one binding holds are a chunk, and so are those that follow.
#[test]
fn rows_far_apart_are_chunks() {
    const VOCAB: usize = 3000;
    let bytes = elements(Dtype::F32, 40 * VOCAB);
    let offsets: Vec<u64> = [0, 2, 1, 39, 38, 20, 20, 21, 3, 30].map(|row| row * VOCAB as u64 + row).to_vec();
    let offsets: Vec<u64> = offsets.into_iter().map(|offset| offset.min(39 * VOCAB as u64)).collect();
    let packed = gathered(&bytes, Dtype::F32, VOCAB, &offsets);
    let logits = Logits::new(&packed, Dtype::F32, 10, VOCAB).expect("a batch");
    let requests = requests(10);
    let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(1)).collect();
    let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
    let mut devices = 0;
    for adapter in adapters(false).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        let limits = Limits { max_storage_buffer_binding_size: 50_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        let source = upload(&gpu, &bytes);
        let batch = GpuLogits { row_offsets: &offsets, ..GpuLogits::packed(&source, Dtype::F32, 10, VOCAB) };
        let tokens = buffer(&gpu, 4 * 100, BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
        gpu.queue().write_buffer(&tokens, 0, &[0xa5; 4 * 100]);
        let places: Vec<u64> = (0..10).map(|row| row * row).collect();
        let out = Some(GpuOutput { buffer: &tokens, byte_offset: 8 });
        let buffers = SampleBuffers { tokens: out, token_offsets: &places, ..SampleBuffers::default() };
        let mut open = encoder(&gpu);
        let pending = gpu.sampler().sample(&mut open, &batch, &rows, &buffers).expect("recorded");
        assert_eq!(pending.plan().cost().chunks, 5, "{}", pending.plan());
        gpu.queue().submit([open.finish()]);
        let samples = pending.wait().expect("samples");
        assert_eq!(samples, expected);
        let mut words = vec![0xa5a5_a5a5; 100];
        for (place, token) in places.iter().zip(first_tokens(&samples)) {
            words[2 + *place as usize] = token;
        }
        assert_eq!(read(&gpu, &tokens), words, "each token at its place, and nothing beside");
        devices += 1;
    }
    assert!(devices > 0, "no adapter");
}

/// Tokens alone: those of `sample`, nothing back, and the buffers serve the next step.
#[test]
fn tokens_alone_bring_nothing_back() {
    const VOCAB: usize = 4100;
    for gpu in gpus() {
        let mut bytes = elements(Dtype::F16, 4 * VOCAB);
        Dtype::F16.store(f32::NAN, &mut bytes[2 * VOCAB * 2..][..2]);
        let logits = Logits::new(&bytes, Dtype::F16, 4, VOCAB).expect("a batch");
        let source = upload(&gpu, &bytes);
        let batch = GpuLogits::packed(&source, Dtype::F16, 4, VOCAB);
        let tokens = upload(&gpu, &[0; 24]);
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput { buffer: &tokens, byte_offset: 4 }),
            ..SampleBuffers::default()
        };
        let requests = requests(4);
        let before = gpu.sampler().traffic();
        let mut first_upload = 0;
        for step in 0..5 {
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(step)).collect();
            let mut open = encoder(&gpu);
            gpu.sampler().sample_tokens(&mut open, &batch, &rows, &buffers).expect("recorded");
            gpu.queue().submit([open.finish()]);
            let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
            let token = |sample: &Sample| sample.draws.first().map_or(u32::MAX, |drawn| drawn.token);
            let words: Vec<u32> = expected.iter().map(token).collect();
            assert_eq!(words[2], u32::MAX, "a row with a NaN");
            assert_eq!(read(&gpu, &tokens)[1..5], words, "step {step}");
            if step == 0 {
                first_upload = gpu.sampler().traffic().bytes_uploaded - before.bytes_uploaded;
            }
        }
        let after = gpu.sampler().traffic();
        assert_eq!(after.bytes_back, before.bytes_back);
        let uploaded = after.bytes_uploaded - before.bytes_uploaded;
        assert!(uploaded < 2 * first_upload, "{uploaded} bytes in five steps, {first_upload} in the first");
        let mut open = encoder(&gpu);
        let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(0)).collect();
        let nowhere = gpu.sampler().sample_tokens(&mut open, &batch, &rows, &SampleBuffers::default());
        assert!(matches!(&nowhere, Err(Error::Params(why)) if why.contains("nowhere to go")), "{nowhere:?}");
    }
}

/// Results beside the logits in one buffer, two of them in another, and at offsets that no binding has in common.
#[test]
fn results_may_lie_beside_the_logits() {
    const VOCAB: usize = 1003;
    const ROWS: usize = 3;
    const LOGITS: usize = 500; // words before them
    const OUT: usize = LOGITS + ROWS * VOCAB + 1;
    for gpu in gpus() {
        let bytes = elements(Dtype::F32, OUT + ROWS * VOCAB + 100);
        let words: Vec<u32> = bytes.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
        let logits = Logits::new(&bytes[LOGITS * 4..], Dtype::F32, ROWS, VOCAB).expect("a batch");
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        let (values, tokens) = Cpu.top_k(&logits, 5).expect("values");
        type Record = fn(&Gpu, &mut sortilege::wgpu::CommandEncoder, &GpuLogits<'_>) -> sortilege::Result<()>;
        fn at<'a>(batch: &GpuLogits<'a>, word: usize) -> GpuOutput<'a> {
            GpuOutput { buffer: batch.buffer, byte_offset: word as u64 * 4 }
        }
        type Results<'a> = &'a [(usize, Vec<u32>)];
        let cases: [(&str, Record, Results<'_>); 4] = [
            (
                "row_max",
                |gpu, open, batch| gpu.sampler().row_max(open, batch, at(batch, 7)),
                &[(7, bits(Cpu.row_max(&logits).expect("values")))],
            ),
            (
                "log_sum_exp",
                |gpu, open, batch| gpu.sampler().log_sum_exp(open, batch, at(batch, LOGITS - ROWS)),
                &[(LOGITS - ROWS, bits(Cpu.log_sum_exp(&logits).expect("values")))],
            ),
            (
                "log_softmax",
                |gpu, open, batch| gpu.sampler().log_softmax(open, batch, at(batch, OUT)),
                &[(OUT, bits(Cpu.log_softmax(&logits).expect("values")))],
            ),
            (
                "top_k",
                |gpu, open, batch| gpu.sampler().top_k(open, batch, 5, at(batch, 11), at(batch, 26)),
                &[(11, bits(values)), (26, tokens)],
            ),
        ];
        test_each(cases.iter().map(|case| (case.0, case)), |(_, record, results)| {
            let shared = upload(&gpu, &bytes);
            let batch = GpuLogits {
                byte_offset: LOGITS as u64 * 4,
                ..GpuLogits::packed(&shared, Dtype::F32, ROWS, VOCAB)
            };
            let mut open = encoder(&gpu);
            record(&gpu, &mut open, &batch).expect("recorded");
            gpu.queue().submit([open.finish()]);
            let mut expected = words.clone();
            for (word, result) in *results {
                expected[*word..][..result.len()].copy_from_slice(result);
            }
            assert!(read(&gpu, &shared) == expected, "the results in their places, and nothing beside");
        });

        // Two results of which a kernel knows one place.
        let source = upload(&gpu, &bytes[LOGITS * 4..]);
        let batch = GpuLogits::packed(&source, Dtype::F32, ROWS, VOCAB);
        let outs = [0, 1].map(|_| upload(&gpu, &[0; 4 * 40]));
        let mut open = encoder(&gpu);
        let [first, second] =
            [(0, 3), (1, 6)].map(|(i, word)| GpuOutput { buffer: &outs[i], byte_offset: word * 4 });
        gpu.sampler().top_k(&mut open, &batch, 5, first, second).expect("recorded");
        gpu.queue().submit([open.finish()]);
        let (values, tokens) = Cpu.top_k(&logits, 5).expect("values");
        assert_eq!(read(&gpu, &outs[0])[3..18], bits(values));
        assert_eq!(read(&gpu, &outs[1])[6..21], tokens);
    }
}

/// What lies nowhere, or over something else.
#[test]
fn what_lies_wrong_is_refused() {
    for gpu in gpus() {
        let source = upload(&gpu, &[0; 4 * 100]);
        let tokens = upload(&gpu, &[0; 4 * 10]);
        let packed = GpuLogits::packed(&source, Dtype::F32, 3, 20);
        let requests = requests(3);
        let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(0)).collect();
        let mut open = encoder(&gpu);

        let offsets: [(&[u64], &str); 4] = [
            (&[0, 20], "2 row offsets for 3 rows"),
            (
                &[0, 81, 20],
                "row 1 of 20 f32, 81 elements from byte 0, does not lie in the buffer of 400 bytes",
            ),
            (&[0, 80, u64::MAX - 3], "row 2"),
            (&[u64::MAX / 4, 0, 0], "row 0"),
        ];
        for (row_offsets, words) in offsets {
            let batch = GpuLogits { row_offsets, ..packed };
            let params = LogprobsParams::default();
            let refused = gpu.sampler().logprobs(&mut open, &batch, &params, &[]);
            let message = refused.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        // The last token of an odd row is read with the half word behind it.
        let half = buffer(&gpu, 398, BufferUsages::STORAGE);
        let batch = GpuLogits { row_offsets: &[0], ..GpuLogits::packed(&half, Dtype::F16, 1, 199) };
        let refused = gpu.sampler().logprobs(&mut open, &batch, &LogprobsParams::default(), &[]);
        let message = refused.expect_err("half a word").to_string();
        assert!(
            message.contains("does not lie in the buffer of 398 bytes, of which whole words"),
            "{message}"
        );

        let ragged = GpuLogits { row_offsets: &[0, 1, 2], ..packed };
        for (first, second) in [(&ragged, &packed), (&packed, &ragged)] {
            let message =
                gpu.sampler().divergence(&mut open, first, second).expect_err("refused").to_string();
            assert!(message.contains("rows of one stride"), "{message}");
        }

        let places: [(&[u64], &str); 3] = [
            (&[1, 2], "2 token offsets for 3 rows"),
            (&[0, 9, 10], "the tokens of 44 bytes at byte 0"),
            (&[0, 1, u64::MAX], "the tokens of"),
        ];
        for (token_offsets, words) in places {
            let out = Some(GpuOutput::new(&tokens));
            let buffers = SampleBuffers { tokens: out, token_offsets, ..SampleBuffers::default() };
            let refused = gpu.sampler().sample(&mut open, &packed, &rows, &buffers);
            let message = refused.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }

        // Rows of 20 with 10 between them: there is room between and behind them, and nowhere else.
        let gaps = GpuLogits { row_stride: 30, ..packed };
        let at = |word: u64| GpuOutput { buffer: &source, byte_offset: word * 4 };
        for (word, row) in
            [(18, Some(0)), (19, Some(0)), (20, None), (27, None), (28, Some(1)), (60, Some(2)), (80, None)]
        {
            let outcome = gpu.sampler().row_max(&mut open, &gaps, at(word));
            match (row, outcome) {
                (None, Ok(())) => {}
                (Some(row), Err(error)) => {
                    assert!(error.to_string().contains(&format!("over row {row}")), "{error}")
                }
                (expected, got) => panic!("word {word}: {got:?}, expected {expected:?}"),
            }
        }
        let overlap =
            gpu.sampler().top_k(&mut open, &gaps, 2, at(80), at(85)).expect_err("one word").to_string();
        assert!(overlap.contains("at bytes 320 and 340 of one buffer overlap"), "{overlap}");
        gpu.sampler().top_k(&mut open, &gaps, 2, at(80), at(86)).expect("side by side");
        let no_copy = buffer(&gpu, 400, BufferUsages::STORAGE);
        let alone = GpuLogits::packed(&no_copy, Dtype::F32, 1, 20);
        let out = GpuOutput { buffer: &no_copy, byte_offset: 200 };
        let message = gpu.sampler().row_max(&mut open, &alone, out).expect_err("no usage").to_string();
        assert!(message.contains("lacks the usage COPY_DST"), "{message}");
    }
}
