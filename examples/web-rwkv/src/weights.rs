//! A tiny RWKV v7 of random weights, as a file of safetensors: names and shapes as web-rwkv wants them, and no meaning.

use anyhow::Result;
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

/// Tokens. No multiple of 8, so that rows of logits are padded, and more than one tile of the sampler's.
pub const VOCAB: usize = 4099;
const LAYERS: usize = 2;
const WIDTH: usize = 128;
const HEAD: usize = 64;
const HIDDEN: usize = 4 * WIDTH;
/// Of the low-rank matrices.
const RANK: usize = 32;

/// The file whose weights follow from the seed, the same on every machine.
pub fn file(seed: u64) -> Result<Vec<u8>> {
    let mut random = Random(seed);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tensors()
        .into_iter()
        .map(|(name, shape, mean)| {
            // Matrices keep the size of what they multiply.
            let deviation = if shape.len() > 1 { (shape[1] as f32).sqrt().recip() } else { 0.1 };
            let weight = |_| f16::from_f32(mean + deviation * random.normal()).to_le_bytes();
            let bytes = (0..shape.iter().product()).flat_map(weight).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F16, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(serialize(views, None)?)
}

/// Name, shape and mean of each tensor.
fn tensors() -> Vec<(String, Vec<usize>, f32)> {
    let mut all = Vec::new();
    let mut add = |name: &str, shape: &[usize], mean| all.push((name.to_owned(), shape.to_vec(), mean));
    add("emb.weight", &[VOCAB, WIDTH], 0.0);
    add("head.weight", &[VOCAB, WIDTH], 0.0);
    // Logits with a deviation of 3: some tokens are likely, most are not.
    let norms = [("blocks.0.ln0", 1.0), ("ln_out", 3.0)];
    for (norm, gain) in norms {
        add(&format!("{norm}.weight"), &[WIDTH], gain);
        add(&format!("{norm}.bias"), &[WIDTH], 0.0);
    }
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize], mean| add(&format!("blocks.{layer}.{name}"), shape, mean);
        for norm in ["ln1", "ln2", "att.ln_x"] {
            add(&format!("{norm}.weight"), &[WIDTH], 1.0);
            add(&format!("{norm}.bias"), &[WIDTH], 0.0);
        }
        for mix in ["att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g", "ffn.x_k"] {
            add(mix, &[WIDTH], 0.5);
        }
        for low_rank in ["w", "a", "v", "g"] {
            add(&format!("att.{low_rank}0"), &[WIDTH], 0.0);
            add(&format!("att.{low_rank}1"), &[RANK, WIDTH], 0.0);
            add(&format!("att.{low_rank}2"), &[WIDTH, RANK], 0.0);
        }
        for matrix in ["key", "value", "receptance", "output"] {
            add(&format!("att.{matrix}.weight"), &[WIDTH, WIDTH], 0.0);
        }
        add("att.r_k", &[WIDTH / HEAD, HEAD], 0.0);
        add("att.k_k", &[WIDTH], 0.8);
        add("att.k_a", &[WIDTH], 1.0);
        add("ffn.key.weight", &[HIDDEN, WIDTH], 0.0);
        add("ffn.value.weight", &[WIDTH, HIDDEN], 0.0);
    }
    all
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nearly normal: the sum of four even numbers, with a deviation of 1.
    fn normal(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u32 = (0..4).map(|part| (bits >> (16 * part)) as u32 & 0xffff).sum();
        (sum as f32 / 65536.0 - 2.0) * 3f32.sqrt()
    }
}
