//! Tables of cases: each case has a name, all are run, and every one that fails is reported.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the check on every case; one whose check panics has failed.
///
/// # Panics
/// With name and message of each case that failed, and if there are no cases, which would prove nothing.
#[track_caller]
pub(crate) fn test_each<C>(cases: impl IntoIterator<Item = (impl Display, C)>, mut check: impl FnMut(C)) {
    let (mut count, mut failures) = (0, Vec::new());
    for (name, case) in cases {
        count += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(case))) {
            let text = panic.downcast_ref::<&str>().copied();
            let message = panic.downcast_ref::<String>().map(String::as_str).or(text);
            failures.push(format!("{name}: {}", message.unwrap_or("panics without a message")));
        }
    }
    assert!(count > 0, "no cases");
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
}
