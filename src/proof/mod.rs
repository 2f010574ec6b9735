//! What makes a result trustworthy: the definition in f64, audits of single answers against it, and the validation of
//! engines. It imports every other room; of it, the others import nothing but in tests.

#[cfg(feature = "validate")]
pub mod audit;
#[cfg(all(test, feature = "validate", feature = "device"))]
mod faults;
#[cfg(all(feature = "validate", feature = "device"))]
mod grid;
#[cfg(test)]
mod numbers;
#[cfg(all(feature = "validate", feature = "device"))]
mod operations;
#[cfg(feature = "validate")]
pub mod oracle;
#[cfg(test)]
mod pair_vectors;
#[cfg(all(feature = "validate", feature = "device"))]
mod sampling;
#[cfg(all(feature = "validate", feature = "device"))]
mod settings;
#[cfg(all(test, feature = "validate"))]
mod shards;
#[cfg(test)]
pub(crate) mod simd;
#[cfg(feature = "validate")]
pub mod synthetic;
#[cfg(all(feature = "validate", feature = "device"))]
pub mod validate;
#[cfg(test)]
mod vectors;
