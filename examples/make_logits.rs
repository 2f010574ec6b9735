//! Writes a .npy file of synthetic logits: `cargo run --release --example make_logits -- 512 128256 f16 logits.npy`.
//!
//! The values come from a fixed seed and look like a model's: roughly normal with a standard deviation of 3, and one
//! likely token per row. bf16 is written as two raw bytes, as ml_dtypes does; read it with `--dtype bf16`.

use std::error::Error;
use std::io::{BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, vocab, dtype, path] = &arguments[..] else {
        return Err("usage: make_logits ROWS VOCAB f32|f16|bf16 FILE.npy".into());
    };
    let (rows, vocab): (u64, u64) = (rows.parse()?, vocab.parse()?);
    let descriptor = match dtype.as_str() {
        "f32" => "<f4",
        "f16" => "<f2",
        "bf16" => "<V2",
        other => return Err(format!("{other} is none of f32, f16, bf16").into()),
    };
    // The format's version 1.0: magic, length of the header, a Python literal padded to 64 bytes.
    let mut header =
        format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': ({rows}, {vocab}), }}");
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header = format!("{header:<width$}\n", width = padded - 1);
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&u16::try_from(header.len())?.to_le_bytes())?;
    out.write_all(header.as_bytes())?;

    let mut state = 0x5eed_u64;
    for _ in 0..rows {
        let likely = next(&mut state) % vocab;
        for token in 0..vocab {
            let bits = next(&mut state);
            let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
            let normal = (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt();
            let value = if token == likely { 20.0 } else { 3.0 * normal };
            match dtype.as_str() {
                "f32" => out.write_all(&value.to_le_bytes())?,
                "f16" => out.write_all(&half::f16::from_f32(value).to_le_bytes())?,
                _ => out.write_all(&half::bf16::from_f32(value).to_le_bytes())?,
            }
        }
    }
    Ok(out.flush()?)
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
