//! Rows on all cores. In a browser, where this has one thread, one after the other.

#[cfg(not(target_family = "wasm"))]
use rayon::prelude::*;

/// What `compute` makes of each number below `count`, in order.
pub(crate) fn each<R: Send>(count: usize, compute: impl Fn(usize) -> R + Send + Sync) -> Vec<R> {
    #[cfg(not(target_family = "wasm"))]
    let numbers = (0..count).into_par_iter();
    #[cfg(target_family = "wasm")]
    let numbers = 0..count;
    numbers.map(compute).collect()
}

/// What `compute` makes of each item and its number, in order.
pub(crate) fn each_of<I: Send, R: Send>(
    items: Vec<I>,
    compute: impl Fn(usize, I) -> R + Send + Sync,
) -> Vec<R> {
    #[cfg(not(target_family = "wasm"))]
    let items = items.into_par_iter();
    #[cfg(target_family = "wasm")]
    let items = items.into_iter();
    items.enumerate().map(|(number, item)| compute(number, item)).collect()
}
