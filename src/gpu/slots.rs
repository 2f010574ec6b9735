//! Which request has which slot of the histories, and who leaves where there is none.

use std::collections::HashMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::request::ahead::Run;
use crate::request::{Identity, Life};

/// Who has which slot.
#[derive(Debug)]
pub(super) struct Slots {
    list: Vec<Slot>,
    /// By the number of a request.
    by_owner: HashMap<u64, usize>,
    calls: u64,
    /// What calls that are not recorded yet have changed.
    begun: Vec<Begun>,
}

/// A slot as it was before a call.
#[derive(Debug)]
struct Begun {
    call: u64,
    number: usize,
    slot: Slot,
    /// The entry of the request that has taken it, as it was before.
    entry: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Number of the request; 0 of none.
    owner: u64,
    /// Its turns: after another one its tokens are no longer those of the slot.
    turns: u32,
    life: Weak<Life>,
    /// Tokens before the row that was drawn last, and the call that drew it.
    length: u64,
    call: u32,
    /// Which time a request entered any histories: each row of one time was drawn behind the one before.
    entry: u64,
    /// When it was used last.
    used: u64,
    /// Whether it is needed: it holds tokens that change logits, not only what may end the request.
    looks_back: bool,
}

/// What is lost if a slot goes to another request; the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// Nobody's, or of a request that is dropped or has finished.
    Nothing,
    /// What the host has accepted: the request enters again.
    Known,
    /// The end of a request that runs ahead.
    End,
    /// A request that runs ahead.
    History,
}

impl Slot {
    fn loss(&self) -> Loss {
        match self.life.upgrade() {
            None => Loss::Nothing,
            Some(life) if life.has_finished() => Loss::Nothing,
            Some(life) if life.tokens() as u64 > self.length => Loss::Known,
            Some(_) if self.looks_back => Loss::History,
            Some(_) => Loss::End,
        }
    }
}

impl Slots {
    /// So many that nobody has.
    pub(super) fn new(count: usize) -> Self {
        Self { list: vec![Slot::default(); count], by_owner: HashMap::new(), calls: 0, begun: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The number of a call that begins.
    pub(super) fn begin(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// The run of a request whose last token is the one that its slot waits for.
    pub(super) fn go_on(&mut self, request: &Identity, length: u64, capacity: usize) -> Option<Run> {
        let number = *self.by_owner.get(&request.number())?;
        let slot = &mut self.list[number];
        let is_its_own = slot.turns == request.turns() && request.goes_on_from(slot.entry);
        if !is_its_own || slot.used == self.calls || slot.length + 1 != length {
            return None;
        }
        self.begun.push(Begun { call: self.calls, number, slot: slot.clone(), entry: None });
        slot.used = self.calls;
        Some(new_run(number, length, Some(slot.call), slot.entry, capacity))
    }

    /// Why a request has no run.
    pub(super) fn why_not(&self, request: &Identity, length: u64) -> String {
        let Some(&number) = self.by_owner.get(&request.number()) else {
            return format!(
                "it has not entered, or another request has its place ({} places, see `Histories`)",
                self.list.len()
            );
        };
        let slot = &self.list[number];
        if slot.turns != request.turns() {
            "its tokens or parameters have changed since".to_owned()
        } else if !request.goes_on_from(slot.entry) {
            "it has entered others since".to_owned()
        } else if slot.used == self.calls {
            "an earlier row of this call is of the same request".to_owned()
        } else {
            match length.saturating_sub(slot.length + 1) {
                0 => "its draw at this position was recorded already, and nothing was accepted since"
                    .to_owned(),
                before => format!("{before} steps before it were not recorded with them"),
            }
        }
    }

    /// A slot for a request that enters: its own, or the one whose loss is the least, and of several the one that was not used
    /// for the longest. One that only wants to know when it ends takes none that is needed. The inner `None` for the second row
    /// of a request in one call; else the slot, and which time a request enters.
    pub(super) fn take(&mut self, request: &Identity, looks_back: bool) -> Option<Option<(usize, u64)>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let own = self.by_owner.get(&request.number()).copied();
        if own.is_some_and(|number| self.list[number].used == self.calls) {
            return Some(None);
        }
        let may_be_taken = |slot: &Slot, loss: Loss| {
            slot.used != self.calls && (looks_back || loss == Loss::Nothing || !slot.looks_back)
        };
        let all = self.list.iter().enumerate().map(|(number, slot)| (number, slot, slot.loss()));
        let idle = all.filter(|(_, slot, loss)| may_be_taken(slot, *loss));
        let least = idle.min_by_key(|(_, slot, loss)| (*loss, slot.used)).map(|(number, ..)| number);
        let number = own.or(least)?;
        let (entry, life) = (NEXT.fetch_add(1, Ordering::Relaxed), request.watch());
        let before = life.upgrade().map(|life| life.enter(entry));
        let slot = self.list[number].clone();
        self.begun.push(Begun { call: self.calls, number, slot, entry: before });
        self.by_owner.remove(&self.list[number].owner);
        self.by_owner.insert(request.number(), number);
        self.list[number] = Slot {
            owner: request.number(),
            turns: request.turns(),
            life,
            entry,
            // Nobody goes on from here before the call is recorded.
            length: u64::MAX - 1,
            call: 0,
            used: self.calls,
            looks_back,
        };
        Some(Some((number, entry)))
    }

    /// A call that failed takes back what no other call has changed since; the last change first, as a request may have lost
    /// one slot and taken another.
    pub(super) fn end(&mut self, call: u64, is_recorded: bool) {
        while let Some(place) = self.begun.iter().rposition(|begun| begun.call == call) {
            let begun = self.begun.remove(place);
            if !is_recorded && self.list[begun.number].used == call {
                self.take_back(begun);
            }
        }
    }

    fn take_back(&mut self, Begun { number, slot: before, entry, .. }: Begun) {
        let taken = &self.list[number];
        if let Some((life, entry)) = taken.life.upgrade().zip(entry) {
            life.enter_again(taken.entry, entry);
        }
        let [taken, owner] = [taken.owner, before.owner];
        self.list[number] = before;
        if taken == owner {
            return;
        }
        self.by_owner.remove(&taken);
        if owner != 0 && *self.by_owner.entry(owner).or_insert(number) != number {
            self.list[number] = Slot::default(); // meanwhile it has another
        }
    }

    pub(super) fn keep(&mut self, owner: u64, run: &Run, call: u32) {
        let slot = &mut self.list[run.slot as usize];
        if slot.owner == owner {
            (slot.length, slot.call) = (run.length.into(), call);
        }
    }
}

pub(super) fn new_run(slot: usize, length: u64, call: Option<u32>, entry: u64, capacity: usize) -> Run {
    #[expect(clippy::cast_possible_truncation, reason = "within a buffer of words that 32 bits count")]
    let [slot, length, capacity] = [slot as u32, length as u32, capacity as u32];
    Run { slot, capacity, length, call, entry }
}
