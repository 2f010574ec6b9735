//! What a draw reads and writes beside the logits.

use sortilege::GpuOutput;
use wasm_bindgen::prelude::*;

use crate::error::Result;
use crate::logits::{Buffer, whole};

/// What a call of `sample` reads and writes beside the logits; nothing at first.
#[wasm_bindgen]
#[derive(Default)]
pub struct Inputs {
    pub(crate) mask: Option<Vec<u32>>,
    pub(crate) draft: Option<Vec<f32>>,
    pub(crate) tokens: Option<Output>,
}

/// Where first draws go.
pub(crate) struct Output(Buffer, u64);

impl Output {
    pub(crate) fn place(&self) -> GpuOutput<'_> {
        GpuOutput { buffer: &self.0.0, byte_offset: self.1 }
    }
}

#[wasm_bindgen]
impl Inputs {
    /// Nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Inputs {
        Self::default()
    }

    /// Allowed tokens, a bit each, `[rows][ceil(vocab / 32)]`.
    pub fn set_mask(&mut self, mask: Vec<u32>) {
        self.mask = Some(mask);
    }

    /// Probabilities of the draft, `[rows][vocab]`.
    pub fn set_draft(&mut self, draft: Vec<f32>) {
        self.draft = Some(draft);
    }

    /// A buffer that the first draws go to.
    pub fn set_tokens(&mut self, buffer: Buffer, byte_offset: f64) -> Result<()> {
        self.tokens = Some(Output(buffer, whole(byte_offset, "tokensOffset")?));
        Ok(())
    }
}
