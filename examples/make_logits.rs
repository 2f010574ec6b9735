//! Writes a .npy file of synthetic logits: `cargo run --release --example make_logits -- 512 128256 f16 logits.npy`.
//!
//! The values come from a fixed seed and look like a model's: roughly normal with a standard deviation of 3, and one
//! likely token per row. bf16 is written as two raw bytes, as ml_dtypes does; read it with `--dtype bf16`.

use std::error::Error;
use std::io::{BufWriter, Write};

use sortilege::Dtype;
use sortilege::synthetic::{Kind, LIKE_A_MODEL, SplitMix64};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, vocab, dtype, path] = &arguments[..] else {
        return Err("usage: make_logits ROWS VOCAB f32|f16|bf16 FILE.npy".into());
    };
    let (rows, vocab): (usize, usize) = (rows.parse()?, vocab.parse()?);
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

    let kind = Kind::find("one likely", LIKE_A_MODEL).ok_or("no such kind")?;
    let dtype: Dtype = dtype.parse()?;
    let mut row = vec![0; vocab * dtype.bytes()];
    let mut numbers = SplitMix64::new(0x5eed);
    for _ in 0..rows {
        kind.store(dtype, numbers.seed(), &mut row);
        out.write_all(&row)?;
        numbers = numbers.skip(vocab as u64 + 1); // one for each token, and one for the likely one
    }
    Ok(out.flush()?)
}
