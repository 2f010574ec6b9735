//! Changes of single logits by token, in the words that the device reads: a hash table with linear probing (Knuth, The Art
//! of Computer Programming 3, 6.4), at most half full, so that a token is found in a probe or two and a new one moves no
//! other. `shaders/lib/changes.wgsl` looks up in the same way.

use std::sync::atomic::{AtomicU64, Ordering};

use super::change::{Change, words};
use crate::arithmetic::format::MAX_VOCAB;

/// Tells the contents of one table from those of any other, a copy's included. What grew out of the same by single
/// changes has the same.
#[derive(Debug)]
#[cfg_attr(not(any(test, feature = "wgpu")), expect(dead_code, reason = "a device follows a table by it"))]
struct Lineage(u64);

impl Lineage {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A copy goes its own way.
impl Clone for Lineage {
    fn clone(&self) -> Self {
        Self::new()
    }
}

/// Changes by token. A token past the largest vocabulary changes nothing and is left out: a prompt may hold some, such as
/// images.
#[derive(Clone, Debug)]
pub(crate) struct ChangeTable {
    /// A power of two, or none.
    places: Vec<Change>,
    /// Room for the places while the table grows.
    before: Vec<Change>,
    used: usize,
    lineage: Lineage,
    /// Places written so far.
    version: u64,
    /// The last of them, in a ring.
    written: Vec<u32>,
}

impl Default for ChangeTable {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            before: Vec::new(),
            used: 0,
            lineage: Lineage::new(),
            version: 0,
            written: Vec::new(),
        }
    }
}

/// A state of a table: its lineage, and how many places were written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg(any(test, feature = "wgpu"))]
pub(crate) struct Stamp {
    lineage: u64,
    version: u64,
}

#[cfg(feature = "wgpu")]
impl Stamp {
    pub(crate) fn lineage(self) -> u64 {
        self.lineage
    }

    /// Whether both are states of one table.
    pub(crate) fn is_of(self, other: Self) -> bool {
        self.lineage == other.lineage
    }
}

/// Written places that a table remembers: a step writes a few.
const REMEMBERED: u64 = 256;
const LEAST_PLACES: usize = 4;

impl ChangeTable {
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The words of the device.
    pub(crate) fn places(&self) -> &[Change] {
        &self.places
    }

    /// Every change, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.places.iter().filter(|change| !change.is_empty())
    }

    pub(crate) fn get(&self, token: u32) -> Option<&Change> {
        find(&self.places, token)
    }

    /// Lets `edit` change what there is for a token; one that changes nothing afterwards is removed.
    pub(crate) fn edit(&mut self, token: u32, edit: impl FnOnce(&mut Change)) {
        if token as usize >= MAX_VOCAB {
            return;
        }
        let mut change = self.get(token).copied().unwrap_or(Change::none(token));
        edit(&mut change);
        if change == Change::none(token) { self.remove(token) } else { self.put(change) }
    }

    /// Lets `edit` change what there is for a token, at first what there is in `below`, and keeps it whatever it says.
    pub(crate) fn edit_over(&mut self, below: &Self, token: u32, edit: impl FnOnce(&mut Change)) {
        if token as usize >= MAX_VOCAB {
            return;
        }
        let mut change = self.get(token).or_else(|| below.get(token)).copied().unwrap_or(Change::none(token));
        edit(&mut change);
        self.put(change);
    }

    /// Puts a change in the place of the one of its token.
    fn put(&mut self, change: Change) {
        if (self.used + 1) * 2 > self.places.len() && self.get(change.token()).is_none() {
            self.grow();
        }
        let place = place_of(&self.places, change.token());
        self.used += usize::from(self.places[place].is_empty());
        self.write(place, change);
    }

    /// Removes a token, and moves those forward that lie behind it because of it (Knuth, algorithm R).
    fn remove(&mut self, token: u32) {
        if self.get(token).is_none() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut gap = place_of(&self.places, token);
        let mut next = gap;
        loop {
            next = (next + 1) & mask;
            let change = self.places[next];
            if change.is_empty() {
                break;
            }
            // It may move if its first place does not lie behind the gap.
            let from_home = next.wrapping_sub(home(change.token(), mask)) & mask;
            if from_home >= next.wrapping_sub(gap) & mask {
                self.write(gap, change);
                gap = next;
            }
        }
        self.write(gap, Change::EMPTY);
        self.used -= 1;
    }

    /// Forgets all changes, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.used = 0;
        self.lineage = Lineage::new();
    }

    fn grow(&mut self) {
        let length = (self.places.len() * 2).max(LEAST_PLACES);
        std::mem::swap(&mut self.places, &mut self.before);
        self.places.clear();
        self.places.resize(length, Change::EMPTY);
        for change in self.before.drain(..).filter(|change| !change.is_empty()) {
            let place = place_of(&self.places, change.token());
            self.places[place] = change;
        }
        self.lineage = Lineage::new();
    }

    fn write(&mut self, place: usize, change: Change) {
        self.places[place] = change;
        #[expect(clippy::cast_possible_truncation, reason = "at most twice the vocabulary")]
        let place = place as u32;
        let at = self.version % REMEMBERED;
        match self.written.get_mut(at as usize) {
            Some(written) => *written = place,
            None => self.written.push(place),
        }
        self.version += 1;
    }

    /// The state that it is in.
    #[cfg(any(test, feature = "wgpu"))]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { lineage: self.lineage.0, version: self.version }
    }

    /// Places written since a state, some perhaps twice; `None` where that is not known.
    #[cfg(any(test, feature = "wgpu"))]
    pub(crate) fn written_since(&self, earlier: Stamp) -> Option<impl Iterator<Item = usize>> {
        let is_known = earlier.lineage == self.lineage.0 && self.version - earlier.version <= REMEMBERED;
        let versions = earlier.version..self.version;
        is_known.then(|| versions.map(|version| self.written[(version % REMEMBERED) as usize] as usize))
    }
}

/// The change of a token in the places of a table.
pub(crate) fn find(places: &[Change], token: u32) -> Option<&Change> {
    if places.is_empty() || token as usize >= MAX_VOCAB {
        return None;
    }
    Some(&places[place_of(places, token)]).filter(|change| !change.is_empty())
}

/// Where a token is, or would be put. At least half of the places are empty.
fn place_of(places: &[Change], token: u32) -> usize {
    let mask = places.len() - 1;
    let mut place = home(token, mask);
    while !places[place].is_empty() && places[place].token() != token {
        place = (place + 1) & mask;
    }
    place
}

/// Where a token is looked for first.
fn home(token: u32, mask: usize) -> usize {
    let spread = token.wrapping_mul(words::SPREAD);
    (spread ^ (spread >> 15)) as usize & mask
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Numbers that look random (Knuth's MMIX generator).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, n: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as u32 % n
        }
    }

    fn listed(table: &ChangeTable) -> BTreeMap<u32, u32> {
        table.iter().map(|change| (change.token(), change.count)).collect()
    }

    #[test]
    fn a_table_is_a_map_whatever_comes_and_goes() {
        for tokens in [3, 40, 5000] {
            let mut numbers = Numbers(tokens.into());
            let (mut table, mut map) = (ChangeTable::default(), BTreeMap::new());
            for _ in 0..4000 {
                let (token, count) = (numbers.below(tokens) * 97, numbers.below(3));
                table.edit(token, |change| change.count = count);
                map.insert(token, count);
                map.retain(|_, count| *count > 0);
                assert!(table.used * 2 <= table.places.len());
            }
            assert_eq!(listed(&table), map);
            for token in 0..tokens * 97 {
                assert_eq!(table.get(token).map(|change| change.count), map.get(&token).copied(), "{token}");
            }
            table.clear();
            assert!(table.is_empty() && table.get(97).is_none());
        }
    }

    /// A copy of what a device holds follows the table by the places that were written, or knows that it cannot.
    #[test]
    fn what_was_written_since_is_known() {
        let mut numbers = Numbers(1);
        let mut table = ChangeTable::default();
        let (mut held, mut stamp) = (Vec::new(), table.stamp());
        let (mut followed, mut copied) = (0, 0);
        for round in 0..3000 {
            for _ in 0..numbers.below(if round % 100 == 0 { 600 } else { 4 }) {
                let count = numbers.below(2);
                table.edit(numbers.below(300), |change| change.count = count);
            }
            if let Some(places) = table.written_since(stamp) {
                places.for_each(|place| held[place] = table.places()[place]);
                followed += 1;
            } else {
                held = table.places().to_vec();
                copied += 1;
            }
            stamp = table.stamp();
            assert_eq!(held, table.places(), "round {round}");
        }
        assert!(followed > 2000 && copied > 10, "{followed} {copied}");
    }

    #[test]
    fn a_copy_goes_its_own_way() {
        let mut table = ChangeTable::default();
        table.edit(1, |change| change.ban());
        let mut copy = table.clone();
        assert!(copy.written_since(table.stamp()).is_none());
        copy.edit(2, |change| change.ban());
        table.edit(3, |change| change.ban());
        assert_ne!(copy.stamp(), table.stamp());
        assert!(table.get(2).is_none() && copy.get(3).is_none());
    }

    #[test]
    fn tokens_past_the_largest_vocabulary_are_left_out() {
        let mut table = ChangeTable::default();
        const END: u32 = 1 << 20;
        assert_eq!(END as usize, MAX_VOCAB);
        for token in [END, u32::MAX, 1 << 30, END - 1] {
            table.edit(token, Change::ban);
        }
        assert_eq!(table.iter().map(Change::token).collect::<Vec<_>>(), [END - 1]);
        assert!(table.get(u32::MAX).is_none() && table.get(END).is_none());
    }
}
