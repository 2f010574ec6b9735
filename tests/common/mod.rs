//! What the tests share: tables of cases, devices and buffers.
#![allow(dead_code, unused_imports, reason = "no test uses everything")]

#[cfg(feature = "gpu")]
mod gpu;
mod table;

#[cfg(feature = "gpu")]
pub(crate) use gpu::{buffer, encoder, gpus, read, upload};
pub(crate) use table::test_each;
