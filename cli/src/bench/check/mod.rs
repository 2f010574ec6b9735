//! Outputs are looked at before they are timed. Nothing is measured here, and nothing is computed but by the library.

mod bits;
mod definition;
#[cfg(test)]
mod tests;

pub(super) use self::bits::{against_cpu, rows_to_check};
pub(super) use self::definition::Truths;
