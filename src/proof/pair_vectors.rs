//! Known answers of divergences, bits in and bits out: `tests/vectors/divergence-v2.json` freezes section 14 of
//! `docs/exact.md`. `tests/vectors/divergence.py` computes the same answers from that section alone.
//!
//! `SORTILEGE_BLESS=1 cargo test -p sortilege pair_vectors` rewrites the file, which is right only for a new version.

use serde_json::{Value, json};

use super::vectors::{Random, first_difference, hex64, stored};
use crate::answer::DivergenceBits;
use crate::cpu::divergence_bits;
use crate::{ARITHMETIC_VERSION, Dtype, Logits};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/divergence-v2.json");

fn pairs() -> Vec<(Vec<f32>, Vec<f32>, [Dtype; 2])> {
    const NONE: f32 = f32::NEG_INFINITY;
    let mut random = Random(3);
    let mut row =
        |vocab: usize, scale: f32| -> Vec<f32> { (0..vocab).map(|_| random.logit(scale)).collect() };
    let rounded = row(70, 8.0);
    let (mut masked, long) = (row(4200, 6.0), row(4200, 6.0));
    masked[..4100].fill(NONE);
    let (far, near) = (row(8300, 0.5), row(8300, 20.0));
    let [wide, f16, bf16] = [Dtype::F32, Dtype::F16, Dtype::Bf16];
    vec![
        (vec![0.5], vec![-3.0], [wide; 2]),
        (vec![8.0, 6.0, 5.0, -1.0], vec![8.0, 6.0, 5.0, -1.0], [wide, f16]),
        (vec![8.0, 6.0, 5.0, -1.0], vec![7.5, 6.25, 5.0, -2.0], [wide; 2]),
        (vec![1.0, -0.0, NONE, 0.0], vec![0.0, 0.0, 2.0, NONE], [wide; 2]),
        (vec![1.0, NONE], vec![NONE, 1.0], [wide; 2]),
        (vec![1.0, f32::NAN], vec![0.0, 1.0], [wide; 2]),
        (vec![1.0, 2.0], vec![f32::INFINITY, 1.0], [wide; 2]),
        (vec![NONE; 3], vec![f32::NAN; 3], [wide; 2]),
        (vec![0.0, 0.0, 0.0], vec![0.0, -1e4, -65_504.0], [wide, f16]),
        (vec![0.0, 0.0, 0.0], vec![0.0, -3e5, f32::MIN], [wide; 2]),
        (vec![3e38, 1e38, 0.0], vec![1.4e11, 1.399e11, 2e8], [wide; 2]),
        (vec![1e-40, 0.3, -0.3], vec![-1e-40, 0.1, 0.1], [wide; 2]),
        (vec![0.0, -24.0, -23.9, -43.0, -63.9, -64.1], vec![0.0; 6], [wide; 2]),
        (rounded.clone(), rounded, [wide, bf16]),
        (row(300, 30.0), row(300, 30.0), [wide, f16]),
        (masked, long, [bf16; 2]),
        (far, near, [bf16, f16]),
    ]
}

fn case((first, second, dtypes): &(Vec<f32>, Vec<f32>, [Dtype; 2])) -> Value {
    let bytes = [(first, dtypes[0]), (second, dtypes[1])].map(|(row, dtype)| -> Vec<u8> {
        let bytes = |value: &f32| stored(dtype, *value).to_le_bytes()[..dtype.bytes()].to_vec();
        row.iter().flat_map(bytes).collect()
    });
    let batch = |i: usize| Logits::new(&bytes[i], dtypes[i], 1, first.len()).expect("a row");
    let bits = divergence_bits(&batch(0), &batch(1), 0);
    let answer = bits.decode();
    let DivergenceBits { masses, crosses, unmatched, informations, .. } = bits;
    let digits = |(row, dtype): (&Vec<f32>, Dtype)| -> String {
        row.iter()
            .map(|&value| format!("{:0digits$x}", stored(dtype, value), digits = 2 * dtype.bytes()))
            .collect()
    };
    let numbers = |value: f64| if value.is_nan() { Value::Null } else { hex64(value.to_bits()).into() };
    json!({
        "dtypes": dtypes.map(Dtype::name),
        "logits": [digits((first, dtypes[0])), digits((second, dtypes[1]))],
        "statuses": answer.statuses.map(|status| status.name()),
        "masses": masses.map(hex64),
        "crosses": crosses.map(|cross| format!("{:024x}", cross & ((1 << 96) - 1))),
        "unmatched": unmatched,
        "informations": informations.map(hex64),
        "kl": numbers(answer.kl),
        "reverse_kl": numbers(answer.reverse_kl),
        "jensen_shannon": numbers(answer.jensen_shannon),
    })
}

/// One case a line, so that a change shows as one.
fn render() -> String {
    let lines: Vec<String> = pairs().iter().map(|pair| case(pair).to_string()).collect();
    format!("{{\"arithmetic_version\": {ARITHMETIC_VERSION},\n\"pairs\": [\n{}\n]}}\n", lines.join(",\n"))
}

#[test]
fn pair_vectors_are_unchanged() {
    let got = render();
    if std::env::var_os("SORTILEGE_BLESS").is_some() {
        std::fs::write(FILE, &got).expect("the file is writable");
    }
    let frozen = std::fs::read_to_string(FILE).expect("the vectors are there");
    if let Some(difference) = first_difference(&got, &frozen) {
        panic!("version {ARITHMETIC_VERSION} of the arithmetic is frozen, but {difference}");
    }
    assert!(first_difference(&got.replace("\"kl\":\"3f", "\"kl\":\"3e"), &frozen).is_some(), "a comparison");
}
