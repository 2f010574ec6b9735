//! What belongs to a process, and not to one that is forked from it: there, no thread of these lives on, and a lock that
//! another thread held is never let go.

use std::sync::OnceLock;

/// A value for each process: the first of a chain for the one that asks first, the next for one that is forked from it.
/// What a parent has is left alone, as dropping it would wait for threads that are not here.
pub(crate) struct PerProcess<T> {
    first: OnceLock<Box<Link<T>>>,
}

struct Link<T> {
    process: u32,
    value: T,
    next: OnceLock<Box<Link<T>>>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { first: OnceLock::new() }
    }

    /// That of this process.
    pub(crate) fn get(&self) -> &T {
        let process = std::process::id();
        let made = || Box::new(Link { process, value: T::default(), next: OnceLock::new() });
        let mut link = self.first.get_or_init(made);
        while link.process != process {
            link = link.next.get_or_init(made);
        }
        &link.value
    }
}
