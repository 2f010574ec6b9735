//! A request as a device knows it, which may remember it longer than it lives.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Tells the history of a request from any other's, as long as it grows by what is drawn alone.
#[derive(Debug)]
pub(crate) struct Identity {
    life: Arc<Life>,
    /// How often its history, or what looks at it, became another than a device makes of the draws.
    turns: u32,
}

/// What is known of a request from afar.
#[derive(Debug)]
pub(crate) struct Life {
    /// Its own, never 0.
    number: u64,
    /// Tokens of prompt and output so far.
    tokens: AtomicUsize,
    has_finished: AtomicBool,
    /// Which time it entered the histories of a device last; 0 before.
    entry: AtomicU64,
}

impl Identity {
    pub(super) fn new(tokens: usize, has_finished: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let life = Life {
            number,
            tokens: tokens.into(),
            has_finished: has_finished.into(),
            entry: AtomicU64::new(0),
        };
        Self { life: Arc::new(life), turns: 0 }
    }

    pub(super) fn turn(&mut self) {
        self.turns = self.turns.wrapping_add(1);
    }

    /// Whether a device goes on from what was drawn with this entry.
    pub(crate) fn goes_on_from(&self, entry: u64) -> bool {
        entry != 0 && self.life.entry.load(Ordering::Relaxed) == entry
    }

    pub(super) fn tell(&self, tokens: usize, has_finished: bool) {
        self.life.tokens.store(tokens, Ordering::Relaxed);
        self.life.has_finished.store(has_finished, Ordering::Relaxed);
    }

    pub(crate) fn number(&self) -> u64 {
        self.life.number
    }

    pub(crate) fn turns(&self) -> u32 {
        self.turns
    }

    /// What remembers the request, and does not keep it.
    pub(crate) fn watch(&self) -> Weak<Life> {
        Arc::downgrade(&self.life)
    }
}

/// A copy goes its own way.
impl Clone for Identity {
    fn clone(&self) -> Self {
        Self::new(self.life.tokens(), self.life.has_finished())
    }
}

impl Life {
    pub(crate) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::Relaxed)
    }

    /// It enters the histories of a device. Gives the entry before.
    pub(crate) fn enter(&self, entry: u64) -> u64 {
        self.entry.swap(entry, Ordering::Relaxed)
    }

    /// It did not enter where it just did, and goes on where it was.
    pub(crate) fn enter_again(&self, entered: u64, before: u64) {
        // Unless it has entered others meanwhile.
        let _ = self.entry.compare_exchange(entered, before, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.has_finished.load(Ordering::Relaxed)
    }
}
