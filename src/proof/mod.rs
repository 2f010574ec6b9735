//! What makes a result trustworthy: the definition in f64, and the engines against it.

#[cfg(any(test, feature = "validate"))]
pub mod oracle;
#[cfg(test)]
pub(crate) mod simd;
#[cfg(all(feature = "validate", feature = "device"))]
pub mod validate;
#[cfg(test)]
mod vectors;
