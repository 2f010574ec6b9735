//! Changes of single logits by token, in the words that the device reads: a hash table of buckets of four, at most half
//! full, in which a token lies in one of two buckets (Pagh and Rodler, Cuckoo hashing, 2004; Dietzfelbinger and Weidling,
//! Balanced allocation and dictionaries with tightly packed constant size bins, 2007). A look-up reads two quads of words
//! and has no loop, which drivers and compilers make dear; a new token moves at most one other.
//! `shaders/lib/changes.wgsl` looks up in the same way.

use super::change::{BUCKET, Bucket, Change, words};
use super::lineage::Lineage;
use crate::arithmetic::format::MAX_VOCAB;

/// Changes by token. A token past the largest vocabulary changes nothing and is left out: a prompt may hold some, such as
/// images.
#[derive(Clone, Debug)]
pub(crate) struct ChangeTable {
    /// A power of two, or none.
    buckets: Vec<Bucket>,
    /// Room for them while the table grows.
    before: Vec<Bucket>,
    used: usize,
    lineage: Lineage,
    /// Buckets written so far.
    version: u64,
    /// The last of them, in a ring.
    written: Vec<u32>,
}

impl Default for ChangeTable {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            before: Vec::new(),
            used: 0,
            lineage: Lineage::new(),
            version: 0,
            written: Vec::new(),
        }
    }
}

/// A state of a table: its lineage, and how many buckets were written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(any(test, feature = "gpu"))]
pub(crate) struct Stamp {
    lineage: u64,
    version: u64,
}

#[cfg(feature = "gpu")]
impl Stamp {
    pub(crate) fn lineage(self) -> u64 {
        self.lineage
    }
}

/// Written buckets that a table remembers: a step writes a few.
const REMEMBERED: u64 = 256;

impl ChangeTable {
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// What the device reads.
    pub(crate) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Every change, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Change> {
        self.buckets.iter().flat_map(Bucket::iter)
    }

    pub(crate) fn get(&self, token: u32) -> Option<Change> {
        find(&self.buckets, token)
    }

    /// Lets `edit` change what there is for a token; one that changes nothing afterwards is removed.
    pub(crate) fn edit(&mut self, token: u32, edit: impl FnOnce(&mut Change)) {
        if token as usize >= MAX_VOCAB {
            return;
        }
        let mut change = self.get(token).unwrap_or(Change::none(token));
        edit(&mut change);
        if change == Change::none(token) { self.remove(token) } else { self.put(change) }
    }

    /// Lets `edit` change what there is for a token, at first what there is in `below`, and keeps it whatever it says.
    pub(crate) fn edit_over(&mut self, below: &Self, token: u32, edit: impl FnOnce(&mut Change)) {
        if token as usize >= MAX_VOCAB {
            return;
        }
        let mut change = self.get(token).or_else(|| below.get(token)).unwrap_or(Change::none(token));
        edit(&mut change);
        self.put(change);
    }

    /// Puts a change in the place of the one of its token.
    fn put(&mut self, change: Change) {
        if let Some((bucket, place)) = place_of(&self.buckets, change.token()) {
            self.write(bucket, place, Some(change));
            return;
        }
        if (self.used + 1) * 2 > self.buckets.len() * BUCKET {
            self.grow();
        }
        while !self.insert(change) {
            self.grow();
        }
    }

    /// Puts a change where there is room, in its first bucket or in its second; where both are full, one that lies there
    /// moves to its other bucket. `false` if none can: in a table half full that hardly happens.
    fn insert(&mut self, change: Change) -> bool {
        let own = homes(change.token(), self.buckets.len());
        for bucket in own {
            if let Some(place) = self.buckets[bucket].find_empty() {
                self.used += 1;
                self.write(bucket, place, Some(change));
                return true;
            }
        }
        for (bucket, place) in
            own.into_iter().flat_map(|bucket| (0..BUCKET).map(move |place| (bucket, place)))
        {
            let Some(moved) = self.buckets[bucket].get(place) else { continue };
            for other in homes(moved.token(), self.buckets.len()) {
                if let Some(free) = self.buckets[other].find_empty() {
                    self.used += 1;
                    self.write(other, free, Some(moved));
                    self.write(bucket, place, Some(change));
                    return true;
                }
            }
        }
        false
    }

    fn remove(&mut self, token: u32) {
        if let Some((bucket, place)) = place_of(&self.buckets, token) {
            self.used -= 1;
            self.write(bucket, place, None);
        }
    }

    /// Forgets all changes, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.used = 0;
        self.lineage = Lineage::new();
    }

    fn grow(&mut self) {
        let mut length = (self.buckets.len() * 2).max(1);
        std::mem::swap(&mut self.buckets, &mut self.before);
        let before = std::mem::take(&mut self.before);
        loop {
            self.buckets.clear();
            self.buckets.resize(length, Bucket::EMPTY);
            self.used = 0;
            if before.iter().flat_map(Bucket::iter).all(|change| self.insert(change)) {
                break;
            }
            length *= 2;
        }
        self.before = before;
        self.lineage = Lineage::new();
    }

    fn write(&mut self, bucket: usize, place: usize, change: Option<Change>) {
        self.buckets[bucket].set(place, change);
        #[expect(clippy::cast_possible_truncation, reason = "fewer than the vocabulary has tokens")]
        let bucket = bucket as u32;
        let at = self.version % REMEMBERED;
        match self.written.get_mut(at as usize) {
            Some(written) => *written = bucket,
            None => self.written.push(bucket),
        }
        self.version += 1;
    }

    /// The state that it is in.
    #[cfg(any(test, feature = "gpu"))]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { lineage: self.lineage.number(), version: self.version }
    }

    /// Buckets written since a state, some perhaps twice; `None` where that is not known.
    #[cfg(any(test, feature = "gpu"))]
    pub(crate) fn written_since(&self, earlier: Stamp) -> Option<impl Iterator<Item = usize>> {
        let is_known =
            earlier.lineage == self.lineage.number() && self.version - earlier.version <= REMEMBERED;
        let versions = earlier.version..self.version;
        is_known.then(|| versions.map(|version| self.written[(version % REMEMBERED) as usize] as usize))
    }
}

/// The change of a token in the buckets of a table.
pub(crate) fn find(buckets: &[Bucket], token: u32) -> Option<Change> {
    let (bucket, place) = place_of(buckets, token)?;
    buckets[bucket].get(place)
}

/// Where a token is.
fn place_of(buckets: &[Bucket], token: u32) -> Option<(usize, usize)> {
    if buckets.is_empty() || token as usize >= MAX_VOCAB {
        return None;
    }
    let found = |bucket: usize| buckets[bucket].find(token).map(|place| (bucket, place));
    homes(token, buckets.len()).into_iter().find_map(found)
}

/// The two buckets that a token may lie in, which may be the same.
pub(crate) fn homes(token: u32, buckets: usize) -> [usize; 2] {
    [words::FIRST, words::SECOND].map(|factor| {
        let spread = token.wrapping_mul(factor);
        (spread ^ (spread >> 15)) as usize & (buckets - 1)
    })
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
                assert!(table.used * 2 <= table.buckets.len() * BUCKET);
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
                places.for_each(|bucket| held[bucket] = table.buckets()[bucket]);
                followed += 1;
            } else {
                held = table.buckets().to_vec();
                copied += 1;
            }
            stamp = table.stamp();
            assert_eq!(held, table.buckets(), "round {round}");
        }
        assert!(followed > 2000 && copied > 10, "{followed} {copied}");
    }

    /// Tokens that all want the same two buckets of a small table make it grow, and no further than they need.
    #[test]
    fn tokens_that_want_the_same_place_are_all_found() {
        let wanted = homes(5, 16);
        let same: Vec<u32> = (0..1 << 20).filter(|&token| homes(token, 16) == wanted).take(100).collect();
        let mut table = ChangeTable::default();
        for &token in &same {
            table.edit(token, Change::ban);
            assert!(table.get(token).is_some_and(|change| change.is_banned()));
        }
        assert!(same.len() == 100 && same.iter().all(|&token| table.get(token).is_some()));
        assert!(table.buckets().len() <= 1024, "{}", table.buckets().len());
        let mut large = ChangeTable::default();
        (0..100_000).for_each(|token| large.edit(token * 7, Change::ban));
        assert_eq!(large.buckets().len(), 65_536, "half full");
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
        assert_eq!(table.iter().map(|change| change.token()).collect::<Vec<_>>(), [END - 1]);
        assert!(table.get(u32::MAX).is_none() && table.get(END).is_none());
    }
}
