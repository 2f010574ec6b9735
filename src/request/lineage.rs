//! What tells a table of changes, or a history, from every other.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the contents of one table from those of any other, a copy's included. What grew out of the same by single
/// changes has the same.
#[derive(Debug)]
#[cfg_attr(not(any(test, feature = "gpu")), expect(dead_code, reason = "a device follows a table by it"))]
pub(super) struct Lineage(u64);

impl Lineage {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Never 0.
    #[cfg(any(test, feature = "gpu"))]
    pub(super) fn number(&self) -> u64 {
        self.0
    }
}

/// A copy goes its own way.
impl Clone for Lineage {
    fn clone(&self) -> Self {
        Self::new()
    }
}
