//! Known answers, bits in and bits out: `tests/vectors/exact-v2.json` freezes version 2 of the arithmetic.
//!
//! `SORTILEGE_BLESS=1 cargo test -p sortilege vectors` rewrites the file, which is right only for a new version.
//! `tests/vectors/reference.py` computes the same answers from `docs/exact.md` alone.
#![expect(clippy::cast_possible_truncation, reason = "bits are cut out of wider numbers")]

use serde_json::{Value, json};

use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::lane::{LaneScale, definition};
use crate::cpu::logprobs_bits;
use crate::{ARITHMETIC_VERSION, Cpu, Dtype, Engine, Logits, LogprobsParams};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/exact-v2.json");

/// A 64-bit linear congruential generator (Knuth's MMIX constants), upper half.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Between -scale and scale.
    pub(super) fn logit(&mut self, scale: f32) -> f32 {
        (self.next() as f32 / 2_147_483_648.0 - 1.0) * scale
    }
}

fn hex32(bits: u32) -> String {
    format!("{bits:08x}")
}

pub(super) fn hex64(bits: u64) -> String {
    format!("{bits:016x}")
}

fn token_cases() -> Vec<Value> {
    let mut random = Random(1);
    let mut cases = Vec::new();
    for temperature in [1.0f32, 0.05, 0.5, 0.7, 1.3, 10.0, 0.001, 1000.0] {
        for scale in [1e-30f32, 0.01, 1.0, 20.0, 200.0, 1e6, 1e30] {
            for _ in 0..3 {
                let (a, b) = (random.logit(scale), random.logit(scale));
                // Often within the window, whatever the temperature.
                let b = if random.next() & 1 == 0 { a - (random.logit(30.0) * temperature).abs() } else { b };
                let (max, logit) = (a.max(b).to_bits(), a.min(b).to_bits());
                cases.push(token_case(temperature, max, logit));
            }
        }
    }
    // The lightest weights: a window a little too narrow would lose them.
    for x in [-34.0f32, -34.5, -35.0, -35.3, -35.4, -36.0, -50.0] {
        cases.push(token_case(1.0, 0, x.to_bits()));
    }
    cases
}

fn token_case(temperature: f32, max: u32, logit: u32) -> Value {
    let octaves = Scale::new(temperature).octaves_below(max, logit);
    let (units, lane_weight, lane_surprisal) = definition::token(LaneScale::new(temperature), max, logit);
    json!({
        "temperature": hex32(temperature.to_bits()),
        "max": hex32(max),
        "logit": hex32(logit),
        "octaves": octaves,
        "weight": hex64(octaves.map_or(0, exact::token_weight)),
        "units": units,
        "lane_weight": hex32(lane_weight.to_bits()),
        "lane_surprisal": hex32(lane_surprisal.to_bits()),
    })
}

fn row_cases() -> Vec<Value> {
    let mut random = Random(2);
    let mut row = |vocab: usize, scale: f32, peak: f32| -> Vec<f32> {
        (0..vocab).map(|i| if i == vocab / 2 { peak } else { random.logit(scale) }).collect()
    };
    let infinity = f32::INFINITY;
    let rows: Vec<(Vec<f32>, Dtype, f32)> = vec![
        (vec![0.5], Dtype::F32, 1.0),
        (vec![1.0, 1.0, -0.0, 0.0, -infinity], Dtype::F32, 0.7),
        (vec![8.0, 6.0, 5.0, -1.0], Dtype::F32, 2.0),
        (vec![f32::MAX, f32::MIN, 1.0], Dtype::F32, 1.0),
        (vec![f32::MIN, -infinity, f32::MIN], Dtype::F32, 1.0),
        (vec![1.0, f32::NAN], Dtype::F32, 1.0),
        (vec![1.0, infinity], Dtype::F32, 1.0),
        (vec![-infinity; 3], Dtype::F32, 1.0),
        (vec![1e-40, 0.0, -1e-40], Dtype::F32, 0.001),
        ((0..70).map(|i| (i % 3) as f32).collect(), Dtype::F32, 1.0),
        (row(300, 6e-5, 0.0), Dtype::F16, 0.001),
        (row(100, 4.0, 12.0), Dtype::F32, 1.0),
        (row(500, 40.0, -7.0), Dtype::Bf16, 1.3),
        (row(1000, 10.0, 30.0), Dtype::F16, 0.05),
        (row(4097, 3.0, 15.0), Dtype::F16, 1.0),
        (row(9000, 8.0, 8.0), Dtype::F16, 10.0),
        (row(12_500, 0.01, 18.0), Dtype::Bf16, 1.0),
    ];
    let mut cases: Vec<Value> = rows
        .into_iter()
        .map(|(values, dtype, temperature)| {
            row_case(
                &values.iter().map(|&value| stored(dtype, value)).collect::<Vec<_>>(),
                dtype,
                temperature,
            )
        })
        .collect();
    // What no f32 value can say, or what only one rule decides.
    let one = 1f32.to_bits();
    let bits: [(Vec<u32>, Dtype); 8] = [
        (vec![one, 0xffc0_0000], Dtype::F32),
        (vec![0x3c00, 0xfe00], Dtype::F16),
        (vec![0x3f80, 0xffc0], Dtype::Bf16),
        (vec![0x8000_0000], Dtype::F32),
        (vec![0.5f32.to_bits(), (-1e30f32).to_bits(), (-1e10f32).to_bits()], Dtype::F32),
        // Distances of 2^24 + 1 and + 3 with L = 0: the nearest f32 is a tie.
        (vec![0f32.to_bits(), (-16_777_216f32).to_bits(), (-33_554_432f32).to_bits(), one], Dtype::F32),
        ([vec![0xfc00; 4096], vec![0x3c00, 0x4000]].concat(), Dtype::F16),
        (vec![0x3c00; 4096], Dtype::F16),
    ];
    cases.extend(bits.iter().map(|(stored, dtype)| row_case(stored, *dtype, 1.0)));
    // Distances among which a flushed subnormal could turn four ties of a surprisal's sum.
    let mut ties = vec![0; 64];
    for (token, bits) in
        [(0, 0x807f_ffff), (1, 0xa578_6c87), (2, 0xb1f8_6c87), (16, 0x8c78_6c87), (32, 0x98f8_6c87)]
    {
        ties[token] = bits;
    }
    cases.push(row_case(&ties, Dtype::F32, 0.7));
    cases
}

/// The stored form of a value, in the low bits.
pub(super) fn stored(dtype: Dtype, value: f32) -> u32 {
    match dtype {
        Dtype::F32 => value.to_bits(),
        Dtype::F16 => half::f16::from_f32(value).to_bits().into(),
        Dtype::Bf16 => half::bf16::from_f32(value).to_bits().into(),
    }
}

fn row_case(stored: &[u32], dtype: Dtype, temperature: f32) -> Value {
    let vocab = stored.len();
    let width = dtype.bytes();
    let bytes: Vec<u8> = stored.iter().flat_map(|bits| bits.to_ne_bytes()[..width].to_vec()).collect();
    let logits = Logits::new(&bytes, dtype, 1, vocab).expect("a row");
    let params = LogprobsParams { top_logprobs: 4, temperature, entropy: true };
    let target = Some((vocab / 3) as u32);
    let bits = logprobs_bits(&logits, 0, &params, target);
    let answer = bits.decode(temperature, true, target);
    let (bits, distribution) = (bits.distribution, answer.distribution);
    let is_sound = bits.status == 0;
    let number = |value: f64| is_sound.then(|| hex64(value.to_bits()));
    json!({
        "dtype": dtype.name(),
        "temperature": hex32(temperature.to_bits()),
        "logits": stored.iter().map(|bits| format!("{bits:0digits$x}", digits = 2 * width)).collect::<String>(),
        "status": distribution.status.name(),
        "max": is_sound.then(|| hex32(distribution.max.to_bits())),
        "mass": is_sound.then(|| hex64(bits.mass)),
        "surprisal": is_sound.then(|| hex64(bits.surprisal)),
        "logsumexp": number(distribution.logsumexp),
        "entropy": number(distribution.entropy),
        "top": distribution.top_logprobs.iter()
            .map(|entry| json!([entry.token, hex32(entry.logit.to_bits()), hex64(entry.logprob.to_bits())]))
            .collect::<Vec<_>>(),
        "target": answer.target.map(|target| json!({
            "token": target.token,
            "logprob": hex64(target.logprob.to_bits()),
            "n_greater": target.n_greater,
            "n_equal": target.n_equal,
        })),
        // At temperature 1, the first tokens.
        "log_softmax": is_sound.then(|| {
            let values = Cpu.log_softmax(&logits).expect("a row");
            values.iter().take(16).map(|value| hex32(value.to_bits())).collect::<Vec<_>>()
        }),
        "log_sum_exp": is_sound.then(|| hex32(Cpu.log_sum_exp(&logits).expect("a row")[0].to_bits())),
    })
}

/// One case a line, so that a change shows as one.
fn render() -> String {
    let lines = |cases: Vec<Value>| cases.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n");
    format!(
        "{{\"arithmetic_version\": {ARITHMETIC_VERSION},\n\"tokens\": [\n{}\n],\n\"rows\": [\n{}\n]}}\n",
        lines(token_cases()),
        lines(row_cases())
    )
}

pub(super) fn first_difference(got: &str, frozen: &str) -> Option<String> {
    if got == frozen {
        return None;
    }
    let pair = got.lines().zip(frozen.lines()).enumerate().find(|(_, (got, frozen))| got != frozen);
    Some(pair.map_or_else(
        || "the number of cases differs".to_owned(),
        |(line, (got, frozen))| format!("line {}:\n{got}\ninstead of\n{frozen}", line + 1),
    ))
}

#[test]
fn vectors_are_unchanged() {
    let got = render();
    if std::env::var_os("SORTILEGE_BLESS").is_some() {
        std::fs::write(FILE, &got).expect("the file is writable");
    }
    let frozen = std::fs::read_to_string(FILE).expect("the vectors are there");
    if let Some(difference) = first_difference(&got, &frozen) {
        panic!("version {ARITHMETIC_VERSION} of the arithmetic is frozen, but {difference}");
    }
}

#[test]
fn a_changed_bit_is_seen() {
    let got = render();
    let place = got.rfind("\"mass\":\"").expect("a mass") + 20;
    let mut changed = got.clone();
    let digit = if &got[place..=place] == "0" { "1" } else { "0" };
    changed.replace_range(place..=place, digit);
    assert!(first_difference(&changed, &got).expect("a difference").starts_with("line "));
}
