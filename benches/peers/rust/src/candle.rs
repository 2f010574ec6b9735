//! candle's `LogitsProcessor`: one per row, as an engine has one per sequence; temperature 1, no filter.

use anyhow::Result;
use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::logits::{Dtype, Logits};

pub struct Processors {
    rows: Vec<(LogitsProcessor, Tensor)>,
}

impl Processors {
    pub fn new(logits: &Logits) -> Result<Self> {
        let rows = (0..logits.rows).map(|row| {
            let processor = LogitsProcessor::from_sampling(row as u64, Sampling::All { temperature: 1.0 });
            Ok((processor, tensor(logits, row)?))
        });
        Ok(Self { rows: rows.collect::<Result<_>>()? })
    }

    /// One token per row.
    pub fn draw(&mut self) -> Result<Vec<u32>> {
        self.rows.par_iter_mut().map(|(processor, logits)| Ok(processor.sample(logits)?)).collect()
    }

    /// `[rows][draws]` tokens.
    pub fn draw_often(&mut self, draws: usize) -> Result<Vec<Vec<u32>>> {
        let columns: Vec<Vec<u32>> = (0..draws).map(|_| self.draw()).collect::<Result<_>>()?;
        Ok((0..self.rows.len()).map(|row| columns.iter().map(|column| column[row]).collect()).collect())
    }
}

/// A row in its own type, as an engine's model leaves it.
fn tensor(logits: &Logits, row: usize) -> Result<Tensor> {
    let (vocab, run) = (logits.vocab, row * logits.vocab..(row + 1) * logits.vocab);
    Ok(match logits.dtype {
        Dtype::F32 => Tensor::from_slice(&logits.row(row), vocab, &Device::Cpu)?,
        Dtype::F16 => {
            let values: Vec<f16> = logits.halves()[run].iter().map(|&bits| f16::from_bits(bits)).collect();
            Tensor::from_vec(values, vocab, &Device::Cpu)?
        }
        Dtype::Bf16 => {
            let values: Vec<bf16> = logits.halves()[run].iter().map(|&bits| bf16::from_bits(bits)).collect();
            Tensor::from_vec(values, vocab, &Device::Cpu)?
        }
    })
}
