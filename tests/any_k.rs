//! Lists of any length: the k largest logits of a row from the first to the last token, on every adapter and on the
//! CPU, against a full sort.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use sortilege::audit::difference;
use sortilege::device::{Gpu, adapters};
use sortilege::synthetic::mix;
use sortilege::wgpu::{BufferUsages, Limits};
use sortilege::{
    Cpu, DeviceLimits, Dtype, Engine, Error, GpuLogits, GpuOutput, Logits, LogprobsParams, NO_TOKEN, Plan,
    Shape,
};

use common::{buffer, encoder, gpus, test_each};

/// A batch of one row of each kind, as stored bits.
struct Batch {
    dtype: Dtype,
    vocab: usize,
    /// Elements from the start of one row to the start of the next.
    stride: usize,
    bytes: Vec<u8>,
}

/// Largest finite magnitude plus one unit: the bits of infinity.
fn infinity(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F32 => 0x7f80_0000,
        Dtype::F16 => 0x7c00,
        Dtype::Bf16 => 0x7f80,
        _ => unreachable!("{dtype} has no line here"),
    }
}

fn sign(dtype: Dtype) -> u32 {
    1 << (8 * dtype.bytes() - 1)
}

/// The number with these bits, by the definition of its format.
fn value(dtype: Dtype, stored: u32) -> f32 {
    match dtype {
        Dtype::F32 => f32::from_bits(stored),
        Dtype::Bf16 => f32::from_bits(stored << 16),
        Dtype::F16 => {
            let (exponent, fraction) = ((stored >> 10 & 31) as i32, (stored & 1023) as f32);
            let magnitude = match exponent {
                0 => fraction * 2f32.powi(-24),
                31 if fraction == 0.0 => f32::INFINITY,
                31 => f32::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
            };
            if stored & 0x8000 == 0 { magnitude } else { -magnitude }
        }
        _ => unreachable!("{dtype} has no line here"),
    }
}

/// Random bits.
fn noise(counter: u64) -> u32 {
    (mix(counter) >> 32) as u32
}

const KINDS: [&str; 10] = [
    "any finite bits",
    "seven values",
    "all equal",
    "one finite",
    "a NaN",
    "+infinity",
    "half impossible",
    "zeros of both signs",
    "rising",
    "nothing finite",
];

/// Bits of a token's logit.
fn stored(kind: &str, dtype: Dtype, token: usize, vocab: usize) -> u32 {
    let (infinity, sign) = (infinity(dtype), sign(dtype));
    let random = noise(token as u64 ^ (vocab as u64) << 32) & (sign | (sign - 1));
    let finite = if random & infinity == infinity { random ^ (infinity & (infinity >> 1)) } else { random };
    let is_middle = token == vocab / 2;
    match kind {
        "any finite bits" => finite,
        "seven values" => (finite % 7 * (infinity / 8)) | (finite & sign),
        "all equal" => infinity / 2,
        "one finite" if is_middle => sign | (infinity / 3),
        "a NaN" if is_middle => infinity + 1,
        "+infinity" if is_middle => infinity,
        "half impossible" if token.is_multiple_of(2) => finite,
        "zeros of both signs" => finite & sign,
        "rising" => (token as u32).min(infinity - 1),
        "a NaN" | "+infinity" => finite,
        _ => sign | infinity, // impossible
    }
}

impl Batch {
    fn new(dtype: Dtype, vocab: usize, gap: usize) -> Self {
        let stride = vocab + gap;
        let width = dtype.bytes();
        let mut bytes = vec![0xff; (KINDS.len() * stride * width).next_multiple_of(4)]; // NaN between the rows
        for (row, kind) in KINDS.iter().enumerate() {
            for token in 0..vocab {
                let at = (row * stride + token) * width;
                bytes[at..at + width]
                    .copy_from_slice(&stored(kind, dtype, token, vocab).to_ne_bytes()[..width]);
            }
        }
        Self { dtype, vocab, stride, bytes }
    }

    fn logits(&self) -> Logits<'_> {
        Logits::strided(&self.bytes, self.dtype, KINDS.len(), self.vocab, self.stride).expect("a batch")
    }

    /// The whole row in order, by a sort; empty where the row is no distribution.
    fn sorted(&self, kind: &str) -> Vec<(f32, u32)> {
        let row: Vec<f32> = (0..self.vocab)
            .map(|token| value(self.dtype, stored(kind, self.dtype, token, self.vocab)))
            .collect();
        if row.iter().any(|x| x.is_nan() || *x == f32::INFINITY) {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..row.len()).filter(|&token| row[token].is_finite()).collect();
        order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).expect("no NaN").then(a.cmp(&b)));
        order.into_iter().map(|token| (row[token] + 0.0, token as u32)).collect()
    }

    /// What `top_k` is to return.
    fn expected(&self, k: usize) -> (Vec<f32>, Vec<u32>) {
        let entries = KINDS.iter().flat_map(|kind| {
            let past = std::iter::repeat((f32::NEG_INFINITY, NO_TOKEN));
            self.sorted(kind).into_iter().chain(past).take(k)
        });
        entries.unzip()
    }
}

type Lists = (Vec<f32>, Vec<u32>);

/// Sizes on both sides of 1024, the limit of one workgroup, and of 8192, the items of a block.
const CASES: &[(usize, usize, &[usize])] = &[
    (1, 0, &[1025, 9000]),
    (1000, 1, &[1025, 2000]),
    (1025, 3, &[1, 1023, 1024, 1025, 1026]),
    (4097, 0, &[1025, 4096, 4097, 4098]),
    (8193, 1, &[1025, 5000, 8191, 8192, 8193, 8194]),
    (20_000, 5, &[8193, 19_999]),
    (33_333, 0, &[1024, 1025, 33_333]),
];

#[test]
fn any_k_is_a_full_sort_cut_short() {
    let gpus = gpus();
    let kinds = KINDS.len();
    let cases = CASES.iter().flat_map(|&(vocab, gap, ks)| {
        let of =
            move |dtype, k| (format!("[{kinds}][{vocab}] {dtype} gap {gap}, k {k}"), (dtype, vocab, gap, k));
        Dtype::ALL.iter().copied().flat_map(move |dtype| ks.iter().map(move |&k| of(dtype, k)))
    });
    test_each(cases, |(dtype, vocab, gap, k)| {
        let batch = Batch::new(dtype, vocab, gap);
        let (logits, expected) = (batch.logits(), batch.expected(k));
        let wrong = |lists: Result<Lists, Error>| difference(&lists.expect("a list"), &expected);
        assert_eq!(wrong(Cpu.top_k(&logits, k as u32)), None, "cpu");
        for gpu in &gpus {
            assert_eq!(wrong(gpu.top_k(&logits, k as u32)), None, "{}", gpu.info().name);
        }
    });
}

/// Devices whose small bindings hold few rows at a time: the same lists, in a plan that says what it does.
#[test]
fn chunks_change_no_list() {
    let mut devices = 0;
    for adapter in adapters(false).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        // A row's scratch is 2 · 2 · 256 words of counts, 16 of cuts, and a pair per entry: 84 160 bytes for 9500.
        let limits = Limits { max_storage_buffer_binding_size: 200_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        for (dtype, k, chunks, dispatches) in
            [(Dtype::F32, 9500, 5, 16), (Dtype::Bf16, 9500, 5, 10), (Dtype::F16, 1024, 1, 2)]
        {
            let batch = Batch::new(dtype, 9000, 2);
            let logits = batch.logits();
            let shape = Shape {
                dtype,
                rows: KINDS.len(),
                vocab: batch.vocab,
                row_stride: batch.stride,
                byte_offset: 0,
            };
            let plan =
                Plan::logprobs(&shape, k, &DeviceLimits::from(&gpu.device().limits())).expect("a plan");
            assert_eq!(plan.cost().dispatches, chunks * dispatches, "{plan}");
            assert!(plan.cost().bytes_scratch <= 200_000, "{plan}");
            let got = gpu.top_k(&logits, k).expect("a list");
            assert_eq!(difference(&got, &batch.expected(k as usize)), None, "{dtype}, {k}");
            let params = LogprobsParams { top_logprobs: k, temperature: 0.8, entropy: true };
            let targets: Vec<Option<u32>> = (0..KINDS.len() as u32).map(|row| Some(row * 70)).collect();
            let records = gpu.logprobs(&logits, &params, &targets).expect("records");
            assert_eq!(records, Cpu.logprobs(&logits, &params, &targets).expect("records"), "{dtype}, {k}");
        }
        devices += 1;
    }
    assert!(devices > 0, "no adapter");
}

/// The longest list of the largest vocabulary.
#[test]
fn a_million_entries() {
    let vocab = sortilege::MAX_VOCAB;
    let values: Vec<f32> = (0..vocab).map(|token| (noise(token as u64) % 5003) as f32 / 100.0).collect();
    let logits = Logits::f32(&values, 1, vocab).expect("a batch");
    let mut order: Vec<u32> = (0..vocab as u32).collect();
    order.sort_by(|&a, &b| values[b as usize].total_cmp(&values[a as usize]));
    let sorted: Vec<f32> = order.iter().map(|&token| values[token as usize]).collect();
    let expected = (sorted, order);
    assert!(Cpu.top_k(&logits, vocab as u32).expect("a list") == expected, "cpu");
    for gpu in gpus() {
        assert!(gpu.top_k(&logits, vocab as u32).expect("a list") == expected, "{}", gpu.info().name);
    }
}

#[test]
fn lists_that_cannot_be_are_refused() {
    let too_long = LogprobsParams::MAX_TOP_LOGPROBS + 1;
    let logits = Logits::f32(&[1.0, 2.0], 1, 2).expect("a batch");
    let params = LogprobsParams { top_logprobs: too_long, ..LogprobsParams::default() };
    let shape = Shape { dtype: Dtype::F32, rows: 1, vocab: 2, row_stride: 2, byte_offset: 0 };
    let refused = |name: &str, error: Error| {
        let words = format!("{name} 1048577 is over the limit of 1048576: ask for fewer entries");
        assert_eq!(error.to_string(), words);
    };
    refused("top_k", Cpu.top_k(&logits, too_long).unwrap_err());
    refused("top_logprobs", Cpu.logprobs(&logits, &params, &[]).unwrap_err());
    refused("top_logprobs", Plan::logprobs(&shape, too_long, &DeviceLimits::default()).unwrap_err());
    let many = Shape { rows: 1000, vocab: 1 << 20, row_stride: 1 << 20, ..shape };
    let message = Plan::logprobs(&many, 1 << 20, &DeviceLimits::default()).unwrap_err().to_string();
    assert!(message.contains("1000 rows") && message.contains("lower `rows` or `top_logprobs`"), "{message}");
    for gpu in gpus() {
        refused("top_k", gpu.top_k(&logits, too_long).unwrap_err());
        refused("top_logprobs", gpu.logprobs(&logits, &params, &[]).unwrap_err());
        let source = buffer(&gpu, 2 * 4000 * 4, BufferUsages::STORAGE);
        let batch = GpuLogits::packed(&source, Dtype::F32, 2, 4000);
        let [large, small] =
            [2 * 2000 * 4, 2 * 2000 * 4 - 4].map(|size| buffer(&gpu, size, BufferUsages::STORAGE));
        let mut open = encoder(&gpu);
        for (values, tokens) in [(&large, &small), (&small, &large)] {
            let (values, tokens) = (GpuOutput::new(values), GpuOutput::new(tokens));
            let message =
                gpu.sampler().top_k(&mut open, &batch, 2000, values, tokens).unwrap_err().to_string();
            assert!(message.contains("16000 bytes") && message.contains("15996"), "{message}");
        }
    }
}
