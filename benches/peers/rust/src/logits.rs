//! Logits `[rows][vocab]` in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result, bail};
use half::{bf16, f16};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

pub struct Logits {
    pub rows: usize,
    pub vocab: usize,
    pub dtype: Dtype,
    words: Vec<u64>,
}

impl Logits {
    /// The numbers of a .npy file: its last `rows * vocab` elements, whatever its header says.
    pub fn read(path: &str, dtype: &str, rows: usize, vocab: usize) -> Result<Self> {
        let dtype = match dtype {
            "f32" => Dtype::F32,
            "f16" => Dtype::F16,
            "bf16" => Dtype::Bf16,
            other => bail!("{other} is none of f32, f16, bf16"),
        };
        let bytes = rows * vocab * if dtype == Dtype::F32 { 4 } else { 2 };
        let mut words = vec![0; bytes.div_ceil(8)];
        let mut file = File::open(path).with_context(|| path.to_owned())?;
        file.seek(SeekFrom::End(-i64::try_from(bytes)?)).with_context(|| format!("{path} is too short"))?;
        file.read_exact(&mut bytemuck::cast_slice_mut(&mut words)[..bytes])?;
        Ok(Self { rows, vocab, dtype, words })
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// A row as f32, borrowed where it is.
    pub fn row(&self, row: usize) -> Cow<'_, [f32]> {
        let run = row * self.vocab..(row + 1) * self.vocab;
        match self.dtype {
            Dtype::F32 => Cow::Borrowed(&bytemuck::cast_slice(&self.words)[run]),
            Dtype::F16 => {
                Cow::Owned(self.halves()[run].iter().map(|&bits| f16::from_bits(bits).to_f32()).collect())
            }
            Dtype::Bf16 => {
                Cow::Owned(self.halves()[run].iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect())
            }
        }
    }

    /// The elements of 16 bits.
    pub fn halves(&self) -> &[u16] {
        bytemuck::cast_slice(&self.words)
    }
}
