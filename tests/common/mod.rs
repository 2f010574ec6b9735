//! What the tests share: tables of cases, devices and buffers.
#![allow(dead_code, unused_imports, reason = "no test uses everything")]

#[cfg(feature = "wgpu")]
mod gpu;
mod table;

#[cfg(feature = "wgpu")]
pub(crate) use gpu::{buffer, encoder, gpus, read, upload};
pub(crate) use table::test_each;
