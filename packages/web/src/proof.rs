//! For the tests of the package: the grid of `sortilege validate`, and what goes wrong on purpose.

use std::hint::black_box;

use sortilege::validate::{Extent, Report, digests, validate_async};
use sortilege::{GpuLogits, LogprobsParams};
use wasm_bindgen::prelude::*;

use crate::engine::{Engine, NO_DEVICE};
use crate::error::{Result, js, refused};
use crate::logits::Logits;

#[wasm_bindgen]
impl Engine {
    /// Every case on the device, or without one on the CPU engine, as JSON: cases and mismatches of these operations.
    /// `progress` hears how many batches are done, and of how many.
    pub async fn validate(&self, names: Vec<String>, progress: js_sys::Function) -> Result<String> {
        let mut tell = |done: usize, of: usize| {
            let _ = progress.call2(&JsValue::NULL, &done.into(), &of.into());
        };
        let gpu = self.0.clone();
        let wanted = |name: &str| names.iter().any(|wanted| wanted == name);
        let reports = validate_async(gpu.as_deref(), Extent::Quick, &wanted, &mut tell).await.map_err(js)?;
        let report = |report: &Report| {
            serde_json::json!({
                "name": report.name,
                "cases": report.cases,
                "mismatches": report.mismatches,
                "first": report.first_mismatch,
            })
        };
        Ok(serde_json::Value::from_iter(reports.iter().map(report)).to_string())
    }

    /// Hashes of what the CPU engine answers, a line each.
    pub fn digests() -> Result<String> {
        let digests = digests(Extent::Quick).map_err(js)?;
        Ok(digests.iter().map(|(name, digest)| format!("{name} {digest:016x}\n")).collect())
    }

    /// Submits a step, and forgets its answer.
    pub fn forget(&self, logits: &Logits) -> Result<()> {
        let gpu = self.gpu()?;
        let batch: GpuLogits<'_> = logits.on_device().ok_or_else(|| refused(NO_DEVICE))?;
        let params = LogprobsParams::default();
        gpu.submit(|encoder| gpu.sampler().logprobs(encoder, &batch, &params, &[])).map(drop).map_err(js)
    }
}

/// Takes all memory, and more, later.
#[wasm_bindgen]
pub async fn exhausts() {
    for size in (0..=30).rev().map(|bits| 1 << bits) {
        let mut block = Vec::<u8>::new();
        while block.try_reserve_exact(size).is_ok() {
            // Unseen by the optimiser, which leaves out what nobody uses.
            std::mem::forget(black_box(std::mem::take(&mut block)));
        }
    }
    black_box(Vec::<u8>::with_capacity(1 << 10));
}

/// A panic, later.
#[wasm_bindgen]
pub async fn panics() {
    let nothing: Option<u32> = std::env::args().next().map(|_| 0);
    nothing.expect("planted");
}
