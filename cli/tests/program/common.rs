//! Files for the program, and what its records must say.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) use crate::folder::{Folder, stderr, successful};

impl Folder {
    /// A folder with a copy of the logits, tokens and tokenizer in `assets/`.
    pub(crate) fn with_assets() -> Self {
        let folder = Self::new();
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets");
        for name in ["logits.npy", "tokens.npy", "tokenizer.json"] {
            folder.put(name, std::fs::read(assets.join(name)).expect(name));
        }
        folder
    }

    pub(crate) fn make_folder(&self, name: &str) {
        std::fs::create_dir(self.path(name)).expect(name);
    }

    /// Names and bytes of what a folder in this one holds, hidden files included; no bytes for a folder.
    pub(crate) fn contents(&self, name: &str) -> BTreeMap<String, Option<Vec<u8>>> {
        let entries = std::fs::read_dir(self.path(name)).expect(name);
        let entries = entries.map(|entry| entry.expect("a readable entry"));
        entries
            .map(|entry| (entry.file_name().into_string().expect("UTF-8"), std::fs::read(entry.path()).ok()))
            .collect()
    }

    /// Waits until the folder holds an output in the making, of which something was written.
    pub(crate) fn wait_for_draft(&self, name: &str) {
        let is_growing = |(name, bytes): (&String, &Option<Vec<u8>>)| {
            name.starts_with(".sortilege-") && bytes.as_ref().is_some_and(|bytes| !bytes.is_empty())
        };
        for _ in 0..10_000 {
            if self.contents(name).iter().any(is_growing) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("no output is written to {name}");
    }

    /// A .npy file of zeros as f16, of so many rows of 131072: its rows take a while, and no room on a disk.
    pub(crate) fn put_zeros(&self, name: &str, rows: u64) {
        self.put(name, npy("<f2", &format!("({rows}, 131072)"), b""));
        let file = std::fs::OpenOptions::new().append(true).open(self.path(name)).expect(name);
        let header = file.metadata().expect(name).len();
        file.set_len(header + rows * 131_072 * 2).expect("a file with a hole");
    }

    /// What a run that must succeed prints, as one JSON value per line.
    pub(crate) fn lines(&self, line: &str) -> Vec<Value> {
        self.text(line).lines().map(|line| serde_json::from_str(line).expect("strict JSON")).collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where two outputs differ first.
pub(crate) fn difference(left: &[u8], right: &[u8]) -> Option<String> {
    if left == right {
        return None;
    }
    let place =
        left.iter().zip(right).position(|(l, r)| l != r).unwrap_or_else(|| left.len().min(right.len()));
    let around = |bytes: &[u8]| {
        let end = (place + 40).min(bytes.len());
        String::from_utf8_lossy(&bytes[place.saturating_sub(40)..end]).into_owned()
    };
    Some(format!(
        "byte {place} of {} and {}: {:?} and {:?}",
        left.len(),
        right.len(),
        around(left),
        around(right)
    ))
}

/// The text of a field of CSV, by the way back that the help gives.
pub(crate) fn text_of_cell(cell: &str) -> String {
    let json = format!("\"{}\"", cell.replace('"', "\\\""));
    let text: String = serde_json::from_str(&json).expect("the inside of a JSON string");
    let is_skipped =
        |c: char| c.is_whitespace() || matches!(c, '\'' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let is_formula = |text: &str| {
        text.trim_start_matches(is_skipped).starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
    };
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).map_or_else(|| text.clone(), str::to_owned)
}

/// A .npy file.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_in_order(descr, "False", shape, data)
}

/// A .npy file that says whether it is in Fortran order.
pub(crate) fn npy_in_order(descr: &str, is_fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {is_fortran}, 'shape': {shape}, }}");
    let length = (header.len() + 11).next_multiple_of(64) - 10;
    let length_field = u16::try_from(length).expect("short");
    let header = format!("{header:<width$}\n", width = length - 1);
    [b"\x93NUMPY\x01\x00", &length_field.to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// An .npz file of these entries.
pub(crate) fn npz(method: zip::CompressionMethod, entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        writer.start_file(format!("{name}.npy"), options).expect("a new entry");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

/// A .safetensors file of tensors with name, dtype, shape and bytes.
pub(crate) fn safetensors(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (json!({}), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        data.extend_from_slice(bytes);
    }
    let header = header.to_string();
    let padding = " ".repeat(header.len().next_multiple_of(8) - header.len());
    let header = header + &padding;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// The values as bytes of a dtype.
pub(crate) fn stored(dtype: &str, values: &[f32]) -> Vec<u8> {
    let bytes = |value: &f32| match dtype {
        "f32" => value.to_le_bytes().to_vec(),
        "f16" => half::f16::from_f32(*value).to_le_bytes().to_vec(),
        "bf16" => half::bf16::from_f32(*value).to_le_bytes().to_vec(),
        _ => unreachable!("{dtype}"),
    };
    values.iter().flat_map(bytes).collect()
}

pub(crate) fn i32s(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// What is asked of a row.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) target: Option<usize>,
    pub(crate) top: usize,
    pub(crate) temperature: f64,
}

/// Compares a line of jsonl with the definition in f64; says the first thing that is wrong.
pub(crate) fn check_line(line: &Value, logits: &[f64], question: Question) -> Result<(), String> {
    let Question { target, top, temperature } = question;
    let scaled: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
    let max = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let logsumexp = max + scaled.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    let finite = || scaled.iter().filter(|x| x.is_finite());
    let entropy = -finite().map(|x| (x - logsumexp).exp() * (x - logsumexp)).sum::<f64>();
    let number = |name: &str, found: &Value, expected: f64| match found.as_f64() {
        Some(found) if (found - expected).abs() < 1e-6 => Ok(()),
        None if expected == f64::NEG_INFINITY && found.is_null() => Ok(()),
        _ => Err(format!("{name} is {found}, expected {expected}")),
    };
    let same = |name: &str, found: &Value, expected: Value| {
        if *found == expected { Ok(()) } else { Err(format!("{name} is {found}, expected {expected}")) }
    };
    same("status", &line["status"], json!("ok"))?;
    number("logsumexp", &line["logsumexp"], logsumexp)?;
    number("entropy", &line["entropy"], entropy)?;
    let mut order: Vec<usize> = (0..logits.len()).filter(|&token| logits[token].is_finite()).collect();
    order.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).expect("no NaN").then(a.cmp(&b)));
    order.truncate(top);
    let entries = line["top"].as_array().ok_or("top is no array")?;
    let tokens: Vec<&Value> = entries.iter().map(|entry| &entry["token"]).collect();
    same("top", &json!(tokens), json!(order))?;
    for (entry, token) in entries.iter().zip(order) {
        number("top logprob", &entry["logprob"], scaled[token] - logsumexp)?;
        if target == Some(token) {
            same("the target's logprob in top", &entry["logprob"], line["logprob"].clone())?;
        }
    }
    same("token", &line["token"], json!(target))?;
    let Some(target) = target else {
        return same("unknown", &json!([line["logprob"], line["rank"]]), json!([null, null]));
    };
    number("logprob", &line["logprob"], scaled[target] - logsumexp)?;
    let greater = logits.iter().filter(|&&logit| logit > logits[target]).count();
    same("rank", &line["rank"], json!(greater + 1))
}
