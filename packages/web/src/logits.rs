//! Logits in the module's memory, or in a buffer of the device.

use sortilege::{Dtype, GpuLogits, Logits as HostLogits, wgpu};
use wasm_bindgen::prelude::*;

use crate::error::{Result, js, refused};

/// A buffer of the device.
#[wasm_bindgen]
pub struct Buffer(pub(crate) wgpu::Buffer);

/// Where logits `[rows][vocab]` lie, until a call takes them.
#[wasm_bindgen]
pub struct Logits {
    pub(crate) place: Place,
    dtype: Dtype,
    rows: usize,
    vocab: usize,
    row_stride: usize,
}

pub(crate) enum Place {
    Host(Vec<u8>),
    Device { buffer: wgpu::Buffer, byte_offset: u64 },
}

#[wasm_bindgen]
impl Logits {
    /// Copied from the page's memory.
    pub fn host(bytes: Vec<u8>, dtype: &str, rows: usize, vocab: usize, row_stride: usize) -> Result<Logits> {
        let logits = Self { place: Place::Host(bytes), dtype: self::dtype(dtype)?, rows, vocab, row_stride };
        logits.on_host()?;
        Ok(logits)
    }

    /// In a buffer, which is read in place.
    pub fn device(
        buffer: &Buffer,
        byte_offset: f64,
        dtype: &str,
        rows: usize,
        vocab: usize,
        row_stride: usize,
    ) -> Result<Logits> {
        let place =
            Place::Device { buffer: buffer.0.clone(), byte_offset: whole(byte_offset, "byteOffset")? };
        Ok(Self { place, dtype: self::dtype(dtype)?, rows, vocab, row_stride })
    }
}

impl Logits {
    /// For a call, which may outlive what the page holds.
    pub(crate) fn take(&mut self) -> Self {
        Self { place: std::mem::replace(&mut self.place, Place::Host(Vec::new())), ..*self }
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Those in memory; nothing of a device.
    pub(crate) fn on_host(&self) -> Result<Option<HostLogits<'_>>> {
        let Place::Host(bytes) = &self.place else { return Ok(None) };
        HostLogits::strided(bytes, self.dtype, self.rows, self.vocab, self.row_stride).map(Some).map_err(js)
    }

    /// Those of a device; nothing in memory.
    pub(crate) fn on_device(&self) -> Option<GpuLogits<'_>> {
        let Place::Device { buffer, byte_offset } = &self.place else { return None };
        let packed = GpuLogits::packed(buffer, self.dtype, self.rows, self.vocab);
        Some(GpuLogits { byte_offset: *byte_offset, row_stride: self.row_stride, ..packed })
    }
}

/// A type by its name.
pub(crate) fn dtype(name: &str) -> Result<Dtype> {
    let of_name = Dtype::ALL.iter().copied().find(|dtype| dtype.to_string() == name);
    of_name.ok_or_else(|| refused(format!("dtype {name:?}: use \"f32\", \"f16\" or \"bf16\"")))
}

/// A whole number of bytes or places.
pub(crate) fn whole(value: f64, name: &str) -> Result<u64> {
    if value >= 0.0 && value.fract() == 0.0 && value <= 9_007_199_254_740_991.0 {
        return Ok(value as u64);
    }
    Err(refused(format!("{name} {value}: it must be a whole number from 0 on")))
}
