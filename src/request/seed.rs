//! A seed for a request that names none.

#[cfg(target_family = "wasm")]
use crate::error::Error;
use crate::error::Result;

/// A seed for a request without one.
#[cfg(not(target_family = "wasm"))]
#[expect(clippy::unnecessary_wraps, reason = "a browser may have none")]
pub(super) fn random_seed() -> Result<u64> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // The standard library's only source of randomness: two keys from the system, hashed.
    Ok(RandomState::new().build_hasher().finish())
}

/// A seed for a request without one. The keys of the standard library are the same in every run of a module.
#[cfg(target_family = "wasm")]
pub(super) fn random_seed() -> Result<u64> {
    getrandom::u64()
        .map_err(|error| Error::Params(format!("there is no randomness for a seed ({error}): give `seed`")))
}
