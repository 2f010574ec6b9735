//! Rows are strangers: whatever one of them holds, the answers about the others keep their bits.

use std::fmt::Write;
use std::sync::LazyLock;

use sortilege::synthetic::{SplitMix64, mix};
use sortilege::{
    Dtype, Engine, Logits, LogprobsParams, Mirostat, Order, Request, Row, SampleInputs, SamplingParams,
};

use crate::engines;
use crate::poison::{Bits, OF_LOGITS, POISONS, Stored};

const ROWS: usize = 8;
/// Two tiles, and not a whole number of mask words.
const VOCAB: usize = 4171;
const WORDS: usize = VOCAB.div_ceil(32);
const TOP_K: u32 = 7;

/// Rows that are poisoned, and with what: numbers of `POISONS`.
type Places = Vec<(usize, usize)>;

/// Every other row, each with another poison, the first row among them or the last. `SORTILEGE_STRANGERS=all` adds each
/// poison alone in the first row, the middle and the last, and in every other.
fn places(poisons: usize) -> Vec<Places> {
    let others =
        |from: usize| move |first: usize| (0..4).map(|i| (from + 2 * i, (first + i) % poisons)).collect();
    let mut places: Vec<Places> =
        [0, 1].into_iter().flat_map(|from| (0..poisons).step_by(4).map(others(from))).collect();
    if std::env::var("SORTILEGE_STRANGERS").is_ok_and(|value| value == "all") {
        let sets: [&[usize]; 4] = [&[0], &[4], &[7], &[1, 3, 5, 7]];
        places.extend(
            sets.into_iter()
                .flat_map(|rows| (0..poisons).map(|poison| rows.iter().map(|row| (*row, poison)).collect())),
        );
    }
    places
}

/// A batch of rows.
#[derive(Clone)]
struct Batch {
    dtype: Dtype,
    rows: Vec<Stored>,
}

impl Batch {
    /// Rows as a model has them, with a mask that forbids an eighth, and a draft.
    fn clean(dtype: Dtype) -> Self {
        let row = |number: usize| {
            let mut numbers = SplitMix64::new(mix(number as u64));
            let mut logit = || {
                let mut bytes = [0; 4];
                dtype.store((numbers.unit() * 12.0 - 6.0) as f32, &mut bytes[..dtype.bytes()]);
                u32::from_ne_bytes(bytes)
            };
            let logits = (0..VOCAB).map(|_| logit()).collect();
            let mask = (0..WORDS as u64).map(|word| mix(word << 8) as u32 | mix(word << 9) as u32 | 1 << 7);
            let mut mask: Vec<u32> = mask.collect();
            *mask.last_mut().expect("a word") &= u32::MAX >> (WORDS * 32 - VOCAB);
            Stored { logits, mask, draft: vec![0.9 / VOCAB as f32; VOCAB] }
        };
        Self { dtype, rows: (0..ROWS).map(row).collect() }
    }

    fn bytes(&self) -> Vec<u8> {
        let element =
            |bits: &u32| bits.to_ne_bytes().into_iter().take(self.dtype.bytes()).collect::<Vec<_>>();
        self.rows.iter().flat_map(|row| row.logits.iter().flat_map(element)).collect()
    }
}

/// A request a row: all that a neighbour could disturb.
fn requests() -> Vec<Request> {
    let plain = SamplingParams { raw_logprobs: Some(3), processed_logprobs: Some(5), ..Default::default() };
    let of = |seed: u64| {
        let mut params =
            SamplingParams { seed: Some(seed), entropy: seed.is_multiple_of(2), ..plain.clone() };
        match seed {
            0 => params.top_p = 0.9,
            1 => (params.temperature, params.n) = (0.7, 3),
            2 => (params.min_p, params.dynatemp_range) = (0.02, 0.5),
            3 => (params.typical_p, params.frequency_penalty) = (0.8, 0.5),
            4 => params.temperature = 0.0,
            5 => (params.top_k, params.order) = (40, Order::Llama),
            6 => params.mirostat = Some(Mirostat { tau: 5.0, eta: 0.1 }),
            _ => (params.xtc_threshold, params.xtc_probability) = (0.001, 0.5),
        }
        let mut request = Request::new(params).expect("in range");
        (0..4).for_each(|token| request.accept_token(token * 3 + seed as u32));
        request
    };
    (0..ROWS as u64).map(of).collect()
}

/// The answers about each row, as text that differs where a bit does.
type Answers = Vec<String>;

/// An operation on a batch.
type Operation = fn(&dyn Engine, &Batch, &Logits<'_>) -> Answers;

const OPERATIONS: [(&str, Operation); 9] = [
    ("logprobs", |engine, _, logits| {
        let targets: Vec<Option<u32>> = (0..ROWS as u32).map(|row| (row != 2).then_some(row * 500)).collect();
        let params = LogprobsParams { top_logprobs: 6, temperature: 0.9, entropy: true };
        text(&engine.logprobs(logits, &params, &targets).expect("logprobs"))
    }),
    ("logprobs of given tokens", |engine, _, logits| {
        // Of some rows none, of others those at both ends and in the middle, where a poison may be.
        let lists: [&[u32]; 3] = [&[0, 4170, 2085, 9], &[], &[4095, 4096]];
        let lists: Vec<&[u32]> = (0..ROWS).map(|row| lists[row % 3]).collect();
        let params = LogprobsParams { top_logprobs: 1, temperature: 1.2, entropy: false };
        text(&engine.logprobs_of(logits, &params, &[], &lists).expect("logprobs"))
    }),
    ("divergence", |engine, _, logits| {
        static OTHERS: LazyLock<Vec<u8>> = LazyLock::new(|| Batch::clean(Dtype::F32).bytes());
        let others = Logits::new(&OTHERS, Dtype::F32, ROWS, VOCAB).expect("a batch");
        text(&engine.divergence(logits, &others).expect("divergences"))
    }),
    ("sample", |engine, batch, logits| sample(engine, batch, logits, false)),
    ("sample with drafts", |engine, batch, logits| sample(engine, batch, logits, true)),
    ("row_max", |engine, _, logits| in_rows(&engine.row_max(logits).expect("maxima"), 1)),
    ("log_sum_exp", |engine, _, logits| in_rows(&engine.log_sum_exp(logits).expect("sums"), 1)),
    ("log_softmax", |engine, _, logits| in_rows(&engine.log_softmax(logits).expect("logprobs"), VOCAB)),
    ("top_k", |engine, _, logits| {
        let (values, tokens) = engine.top_k(logits, TOP_K).expect("lists");
        let values = in_rows(&values, TOP_K as usize);
        values.into_iter().zip(tokens.chunks(TOP_K as usize)).map(|(a, b)| format!("{a} {b:?}")).collect()
    }),
];

fn sample(engine: &dyn Engine, batch: &Batch, logits: &Logits<'_>, drafted: bool) -> Answers {
    let requests = requests();
    // One token, or siblings.
    let drafts: Vec<Vec<u32>> = (0..ROWS)
        .map(|row| match row {
            _ if !drafted || row == 1 || row == 6 => Vec::new(),
            _ => (0..1 + row as u32 % 3).map(|sibling| row as u32 * 100 + 7 + sibling).collect(),
        })
        .collect();
    let rows: Vec<Row<'_>> = (0..ROWS)
        .map(|row| Row { draft: &drafts[row], ..requests[row].row(row as u64).detached() })
        .collect();
    let mask: Vec<u32> = batch.rows.iter().flat_map(|row| row.mask.iter().copied()).collect();
    let draft: Vec<f32> = batch.rows.iter().flat_map(|row| row.draft.iter().copied()).collect();
    let inputs = SampleInputs { mask: Some(&mask), draft: Some(&draft) };
    let mut samples = engine.sample(logits, &rows, &inputs).expect("samples");
    samples.iter_mut().for_each(|sample| sample.reopened = 0); // work, not an answer
    text(&samples)
}

/// Shortest texts of floats differ where their values do; a NaN is a NaN.
fn text(answers: &[impl std::fmt::Debug]) -> Answers {
    answers.iter().map(|answer| format!("{answer:?}")).collect()
}

fn in_rows(values: &[f32], row_values: usize) -> Answers {
    let hex = |row: &[f32]| {
        row.iter().fold(String::new(), |mut text, value| {
            write!(text, "{:x} ", value.to_bits()).expect("a string");
            text
        })
    };
    values.chunks(row_values).map(hex).collect()
}

/// What a call makes of a batch before an engine sees it: nothing, or a fault.
type Reach = fn(&mut Batch);

/// Tries every poison at these places; what was tried, and where a neighbour's answer changed.
fn disturbed(engine: &dyn Engine, dtypes: &[Dtype], reach: Reach) -> (usize, Vec<String>) {
    let (mut tried, mut found) = (0, Vec::new());
    for &dtype in dtypes {
        let clean = Batch::clean(dtype);
        let answers = |mut batch: Batch, operation: Operation| {
            reach(&mut batch);
            let bytes = batch.bytes();
            operation(engine, &batch, &Logits::new(&bytes, dtype, ROWS, VOCAB).expect("a batch"))
        };
        for (name, operation) in OPERATIONS {
            let alone = answers(clean.clone(), operation);
            assert_eq!(alone.len(), ROWS);
            // Masks and drafts are the samples' alone.
            let poisons = if name.starts_with("sample") { POISONS.len() } else { OF_LOGITS };
            for places in places(poisons) {
                let mut poisoned = clean.clone();
                for &(row, poison) in &places {
                    POISONS[poison].1(&mut poisoned.rows[row], &Bits::of(dtype));
                }
                let got = answers(poisoned, operation);
                for row in (0..ROWS).filter(|row| places.iter().all(|(poisoned, _)| poisoned != row)) {
                    tried += 1;
                    if got[row] != alone[row] {
                        let names: Vec<&str> = places.iter().map(|(_, poison)| POISONS[*poison].0).collect();
                        found.push(format!("{dtype}, {name}, row {row} beside {places:?}: {names:?}"));
                    }
                }
            }
        }
    }
    (tried, found)
}

#[test]
fn a_row_disturbs_no_other() {
    for (engine_name, engine) in engines() {
        let start = std::time::Instant::now();
        let (tried, found) = disturbed(engine, Dtype::ALL, |_| ());
        println!(
            "{engine_name}: {tried} neighbours of poisoned rows, {:.1} s",
            start.elapsed().as_secs_f64()
        );
        assert!(
            found.is_empty(),
            "{engine_name}: {} of {tried}:\n{}",
            found.len(),
            found[..found.len().min(20)].join("\n")
        );
    }
}

/// Engines that read a little too far: the test above must find each.
#[test]
fn a_row_that_reaches_its_neighbour_is_found() {
    let faults: [(&str, Reach); 4] = [
        ("the first logit of the row after", |batch| {
            (1..ROWS).for_each(|row| batch.rows[row - 1].logits[VOCAB - 1] = batch.rows[row].logits[0]);
        }),
        ("the last logit of the row before", |batch| {
            (1..ROWS).rev().for_each(|row| batch.rows[row].logits[0] = batch.rows[row - 1].logits[VOCAB - 1]);
        }),
        ("a word of the mask of the row after", |batch| {
            (1..ROWS).for_each(|row| batch.rows[row - 1].mask[5] = batch.rows[row].mask[5]);
        }),
        ("the draft of the row after", |batch| {
            (1..ROWS).for_each(|row| batch.rows[row - 1].draft = batch.rows[row].draft.clone());
        }),
    ];
    for (name, reach) in faults {
        let (tried, found) = disturbed(&sortilege::Cpu, &[Dtype::F16], reach);
        println!("{name}: {} of {tried}", found.len());
        assert!(!found.is_empty(), "{name}: {tried} tries");
    }
}
