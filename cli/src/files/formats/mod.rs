//! Formats of files of arrays: each its reader, and which of them a file is for.

mod fortran;
mod llama;
mod npy;
mod npy_header;
mod npz;
mod open;
mod raw;
mod safetensors;

pub(crate) use self::open::{Format, array_of, open_array, open_format};
pub(crate) use self::safetensors::Header;
