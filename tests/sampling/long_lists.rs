//! Lists of more entries than one workgroup holds: the kept set of every row, whole, and the raw row behind it.

use super::*;

/// Rows that want lists of every length, beside a row that wants none, with changes and filters of every kind.
fn wanting(number: usize) -> SamplingParams {
    SamplingParams {
        temperature: [1.0, 1.5, 0.0, 0.7][number % 4],
        top_p: [1.0, 0.999, 0.9][number % 3],
        top_k: [0, 3000, 0, 1500, 2][number % 5],
        xtc_threshold: 0.002,
        xtc_probability: [0.0, 1.0][number / 5 % 2],
        frequency_penalty: [0.0, 0.4][number / 3 % 2],
        logit_bias: if number % 4 == 1 { vec![(7, 9.0), (4999, -40.0)] } else { vec![] },
        processed_logprobs: [Some(1 << 20), None, Some(5000), Some(1025), Some(3)][number % 5],
        raw_logprobs: [None, Some(5000), Some(1100), Some(20)][number % 4],
        bad_words: if number % 4 == 2 { vec![vec![12], vec![13]] } else { vec![] },
        logprob_token_ids: if number % 3 == 2 { vec![4999, 0] } else { vec![] },
        seed: Some(number as u64),
        ..SamplingParams::default()
    }
}

const ROWS: usize = 12;

fn wanting_rows() -> Vec<Request> {
    (0..ROWS)
        .map(|number| Request::resume(wanting(number), &[], &[number as u32 * 3]).expect("in range"))
        .collect()
}

#[test]
fn the_kept_set_comes_whole() {
    let requests = wanting_rows();
    let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(1).detached()).collect();
    let mut values: Vec<f32> = (0..ROWS).flat_map(row).collect();
    values[5 * VOCAB + 4] = f32::NAN;
    let devices = gpus();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let mut bytes = vec![0; values.len() * dtype.bytes()];
        for (value, element) in values.iter().zip(bytes.chunks_exact_mut(dtype.bytes())) {
            dtype.store(*value, element);
        }
        let logits = Logits::new(&bytes, dtype, ROWS, VOCAB).expect("a batch");
        let mask: Vec<u32> = (0..ROWS * VOCAB.div_ceil(32)).map(|i| !(i as u32).rotate_left(9) | 1).collect();
        for mask in [None, Some(&mask[..])] {
            let inputs = SampleInputs { mask, draft: None };
            let expected = Cpu.sample(&logits, &rows, &inputs).expect("samples");
            expected.iter().zip(&requests).for_each(|(sample, request)| check_kept(sample, request.params()));
            for gpu in &devices {
                let got = gpu.sample(&logits, &rows, &inputs).expect("samples");
                for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    assert_eq!(got, expected, "row {row} of {dtype} on {}", gpu.info().name);
                }
            }
        }
    }
}

/// What can be said of a whole kept set without an engine.
fn check_kept(sample: &Sample, params: &SamplingParams) {
    let list = &sample.processed.top_logprobs;
    let asked = params.processed_logprobs.unwrap_or(0) as usize;
    assert_eq!(list.len(), asked.min(sample.kept as usize));
    let order = |entry: &sortilege::TopLogprob| (-f64::from(entry.logit), entry.token);
    assert!(list.windows(2).all(|pair| order(&pair[0]) < order(&pair[1])), "in the one order");
    if list.len() == sample.kept as usize && !list.is_empty() {
        let mass: f64 = list.iter().map(|entry| entry.logprob.exp()).sum();
        assert!((mass - 1.0).abs() < 1e-6, "{mass}");
        if let Some(ends) = &sample.kept_ends {
            assert_eq!(
                [&list[0], &list[list.len() - 1]].map(|entry| entry.token),
                [ends[0].token, ends[1].token]
            );
        }
    }
}

/// What a list costs is told before: dispatches, and room for the entries of the vocabulary alone.
#[test]
fn a_long_list_costs_what_the_plan_says() {
    let requests = wanting_rows();
    let shape =
        sortilege::Shape { dtype: Dtype::F16, rows: 2, vocab: VOCAB, row_stride: VOCAB, byte_offset: 0 };
    let plan = |numbers: [usize; 2]| {
        let rows = numbers.map(|number| requests[number].row(1).detached());
        sortilege::Plan::sample(&shape, &rows, false, &sortilege::DeviceLimits::default())
            .expect("fits")
            .cost()
    };
    // The processed list is long; both are.
    assert_eq!([[3, 4], [0, 3], [0, 9]].map(|rows| plan(rows).dispatches - 2), [14, 14, 28]);
    let bytes = plan([0, 9]).bytes_back as usize;
    assert!((2 * 2 * VOCAB * 8..2 * 2 * VOCAB * 8 + 1000).contains(&bytes), "{bytes}");
}

/// Steps without a wait, of requests with penalties, one of which finishes, over rows that lie anywhere, in chunks: the lists
/// of the CPU, which waits.
#[test]
fn rows_that_run_ahead_have_their_lists() {
    const STEPS: u64 = 3;
    let wanting = |number: u32| SamplingParams {
        frequency_penalty: 0.4,
        top_p: 0.99,
        processed_logprobs: Some(5000),
        raw_logprobs: (number != 2).then_some(1100 + number),
        max_tokens: (number == 1).then_some(2),
        seed: Some(number.into()),
        ..SamplingParams::default()
    };
    let first: Vec<Request> =
        (0..4).map(|number| Request::with_prompt(wanting(number), &[7, 9]).expect("in range")).collect();
    let values: Vec<f32> = (0..4).flat_map(row).collect();
    // The last row first, with gaps.
    let offsets: Vec<u64> = (0..4).map(|row| (3 - row) * (VOCAB as u64 + 6)).collect();
    let mut apart = vec![f32::NAN; 4 * (VOCAB + 6)];
    for (row, &offset) in values.chunks(VOCAB).zip(&offsets) {
        apart[offset as usize..][..VOCAB].copy_from_slice(row);
    }
    for adapter in adapters(true).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        let limits = Limits { max_storage_buffer_binding_size: 120_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        let source = upload(&gpu, bytemuck::cast_slice(&apart));
        let tokens = buffer(&gpu, 16, BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
        let histories = gpu.sampler().histories(4, 16).expect("room");
        let batch = GpuLogits { row_offsets: &offsets, ..GpuLogits::packed(&source, Dtype::F32, 4, VOCAB) };
        let step = |position| {
            let rows: Vec<Row<'_>> = first.iter().map(|request| request.row(position)).collect();
            let buffers = SampleBuffers {
                tokens: Some(GpuOutput { buffer: &tokens, byte_offset: 0 }),
                histories: Some(&histories),
                ..SampleBuffers::default()
            };
            let mut open = encoder(&gpu);
            let pending = gpu.sampler().sample(&mut open, &batch, &rows, &buffers).expect("recorded");
            assert!(pending.plan().cost().chunks > 1, "{}", pending.plan());
            gpu.queue().submit([open.finish()]);
            pending
        };
        let steps: Vec<_> = (0..STEPS).map(step).collect();
        let mut requests = first.clone();
        let logits = Logits::f32(&values, 4, VOCAB).expect("a batch");
        for (position, pending) in (0..).zip(steps) {
            let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(position)).collect();
            let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
            assert_eq!(pending.wait().expect("samples"), expected, "step {position} on {}", gpu.info().name);
            requests
                .iter_mut()
                .zip(&expected)
                .for_each(|(request, sample)| request.accept(sample).expect("in turn"));
        }
        assert_eq!(requests.iter().map(|request| request.output().len()).collect::<Vec<_>>(), [3, 2, 3, 3]);
        assert_eq!(read(&gpu, &tokens)[1], u32::MAX, "that of a finished request");

        // The tokens alone are the same ones.
        let rows: Vec<Row<'_>> = first.iter().map(|request| request.row(0)).collect();
        let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("samples");
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput { buffer: &tokens, byte_offset: 0 }),
            ..SampleBuffers::default()
        };
        let mut open = encoder(&gpu);
        gpu.sampler().sample_tokens(&mut open, &batch, &rows, &buffers).expect("recorded");
        gpu.queue().submit([open.finish()]);
        let drawn: Vec<u32> = expected.iter().map(|sample| sample.draws[0].token).collect();
        assert_eq!(read(&gpu, &tokens), drawn);
    }
}
