//! Rows on all cores. In a browser, where this has one thread, one after the other.

#[cfg(not(target_family = "wasm"))]
use std::sync::{Mutex, PoisonError};

/// What `compute` makes of each number below `count`, in order.
pub(crate) fn each<R: Send>(count: usize, compute: impl Fn(usize) -> R + Send + Sync) -> Vec<R> {
    each_of(0..count, |_, number| compute(number))
}

/// What `compute` makes of each item and its number, in order.
///
/// The caller works too: to wait for threads that sleep takes longer than a row, and where two of them wake on one core of
/// two, the other stays idle for milliseconds.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn each_of<I: Send, R: Send>(
    items: impl ExactSizeIterator<Item = I> + Send,
    compute: impl Fn(usize, I) -> R + Send + Sync,
) -> Vec<R> {
    let count = items.len();
    // One row starts no threads.
    let threads = if count > 1 { rayon::current_num_threads().min(count) } else { 1 };
    if threads == 1 {
        return items.enumerate().map(|(number, item)| compute(number, item)).collect();
    }
    let left = Mutex::new(items.enumerate());
    let runs = Mutex::new(Vec::new());
    let work = || {
        let mut taken = Vec::new();
        loop {
            {
                // Long runs first, so that few are taken, and single items last, so that all end together.
                let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                let run = (left.len() / (4 * threads)).max(1);
                taken.extend(left.by_ref().take(run));
            }
            let Some(&(first, _)) = taken.first() else { break };
            let run: Vec<R> = taken.drain(..).map(|(number, item)| compute(number, item)).collect();
            runs.lock().unwrap_or_else(PoisonError::into_inner).push((first, run));
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| work());
        }
        work();
    });
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_unstable_by_key(|(first, _)| *first);
    let mut results = Vec::with_capacity(count);
    runs.into_iter().for_each(|(_, run)| results.extend(run));
    results
}

/// The same, one after the other.
#[cfg(target_family = "wasm")]
pub(crate) fn each_of<I, R>(items: impl Iterator<Item = I>, compute: impl Fn(usize, I) -> R) -> Vec<R> {
    items.enumerate().map(|(number, item)| compute(number, item)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
    }

    #[test]
    fn every_item_is_computed_once_and_results_stand_in_order() {
        for threads in [1, 2, 7] {
            for count in [0, 1, 2, 3, 64, 1000] {
                let mut items = vec![0u32; count];
                let is_last_done = AtomicBool::new(threads == 1 || count < 2);
                let numbers = in_pool(threads, || {
                    each_of(items.iter_mut(), |number, item| {
                        *item += 1;
                        // The first run ends behind the last one.
                        is_last_done.fetch_or(number + 1 == count, Ordering::Relaxed);
                        while number == 0 && !is_last_done.load(Ordering::Relaxed) {
                            std::thread::yield_now();
                        }
                        number
                    })
                });
                assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{threads} threads");
                assert!(items.iter().all(|&times| times == 1), "{threads} threads, {count} items");
            }
        }
    }

    #[test]
    fn the_caller_works_and_others_do() {
        use std::sync::Barrier;
        use std::thread::current;
        in_pool(2, || {
            // Two items that wait for each other need two threads.
            let (met, caller) = (Barrier::new(2), current().id());
            let ids = each(2, |_| {
                met.wait();
                current().id()
            });
            assert!(ids.contains(&caller) && ids[0] != ids[1], "{ids:?}, called by {caller:?}");
        });
    }

    #[test]
    fn items_may_have_items() {
        let sums = in_pool(2, || each(50, |i| each(i, |j| j).into_iter().sum::<usize>()));
        assert_eq!(sums, (0..50).map(|i: usize| i * i.saturating_sub(1) / 2).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "item 41")]
    fn a_panic_is_the_callers() {
        in_pool(3, || each(100, |number| assert!(number != 41, "item {number}")));
    }
}
