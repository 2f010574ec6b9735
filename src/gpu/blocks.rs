//! Where in an upload lies what requests keep: the places of those that stay do not change when others come and go.

use crate::request::Inputs;
use crate::request::table::Stamp;

/// The kept quads of one request in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// The state of the changes that the buffer holds, or `None` before they are sent.
    pub(crate) held: Option<Stamp>,
    /// Of the request's table.
    pub(crate) lineage: u64,
    pub(crate) first: usize,
    pub(crate) quads: usize,
}

/// Blocks in the order of the rows.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) list: Vec<Block>,
    before: Vec<Block>,
}

impl Blocks {
    /// Finds places for what the requests of the rows keep, within so many quads.
    pub(crate) fn place(&mut self, inputs: &Inputs<'_>, room: usize) {
        self.place_all(|| wanted(inputs), room);
    }

    /// Finds places for these. A block that was there before stays where it was. There is room for all of them, packed.
    fn place_all<I: Iterator<Item = Block>>(&mut self, wanted: impl Fn() -> I, room: usize) {
        let is_same = |a: &Block, b: &Block| a.lineage == b.lineage && a.quads == b.quads;
        if wanted().zip(&self.list).all(|(wanted, block)| is_same(&wanted, block))
            && wanted().count() == self.list.len()
        {
            return;
        }
        std::mem::swap(&mut self.list, &mut self.before);
        self.list.clear();
        self.before.sort_unstable_by_key(|block| block.lineage);
        for wanted in wanted() {
            let before = self.before.partition_point(|block| block.lineage < wanted.lineage);
            let known = self.before.get(before).filter(|block| is_same(&wanted, block));
            self.list.push(known.copied().unwrap_or(wanted));
        }
        self.before.clear();
        self.before.extend(self.list.iter().filter(|block| block.first != UNPLACED));
        self.before.sort_unstable_by_key(|block| block.first);
        if !self.fill_gaps(room) {
            self.pack();
        }
    }

    /// Places the new blocks between those that stay; `false` if one fits nowhere.
    fn fill_gaps(&mut self, room: usize) -> bool {
        let (mut next_known, mut end) = (0, 0);
        for block in self.list.iter_mut().filter(|block| block.first == UNPLACED) {
            loop {
                let gap_end = self.before.get(next_known).map_or(room, |known| known.first);
                if gap_end >= end + block.quads {
                    break;
                }
                let Some(known) = self.before.get(next_known) else { return false };
                end = end.max(known.first + known.quads);
                next_known += 1;
            }
            block.first = end;
            end += block.quads;
        }
        true
    }

    /// Places all blocks anew, one after the other.
    fn pack(&mut self) {
        let mut end = 0;
        for block in &mut self.list {
            (block.first, block.held) = (end, None);
            end += block.quads;
        }
    }
}

/// Before a block has a place.
const UNPLACED: usize = usize::MAX;

/// What the requests of the rows keep, once where rows of one request follow each other.
fn wanted(inputs: &Inputs<'_>) -> impl Iterator<Item = Block> {
    (0..inputs.len()).filter(|&row| inputs.begins_request(row)).filter_map(|row| {
        let changes = inputs.changes(row);
        let quads = changes.kept_quads(inputs.vocab);
        let lineage = changes.kept.stamp().lineage();
        (quads > 0).then_some(Block { held: None, lineage, first: UNPLACED, quads })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks come, go, and change places at random: they lie apart, within the room, and those that stay do not move
    /// unless all are packed.
    #[test]
    fn blocks_lie_apart_and_stay() {
        let mut state = 1u64;
        let mut below = move |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 40).expect("24 bits") % n
        };
        let (mut blocks, mut present) = (Blocks::default(), Vec::<(u64, usize)>::new());
        let (mut stayed, mut packed, mut filled) = (0, 0, 0);
        for lineage in 1..4000 {
            match below(4) {
                0 if present.len() > 1 => drop(present.swap_remove(below(present.len()))),
                1 if present.len() > 1 => present.rotate_left(1),
                _ if present.iter().map(|block| block.1).sum::<usize>() < 900 => {
                    present.push((lineage, 1 + below(90)));
                }
                _ => present.truncate(3),
            }
            let new =
                |&(lineage, quads): &(u64, usize)| Block { held: None, lineage, first: UNPLACED, quads };
            let before = blocks.list.clone();
            blocks.place_all(|| present.iter().map(new), 1000);
            let mut ranges: Vec<_> =
                blocks.list.iter().map(|block| block.first..block.first + block.quads).collect();
            assert!(
                blocks
                    .list
                    .iter()
                    .zip(&present)
                    .all(|(block, wanted)| (block.lineage, block.quads) == *wanted)
            );
            ranges.sort_unstable_by_key(|range| range.start);
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:?}");
            assert!(ranges.last().is_none_or(|last| last.end <= 1000), "{ranges:?}");
            let place = |list: &[Block], lineage| {
                list.iter().find(|block| block.lineage == lineage).map(|block| block.first)
            };
            let moved = before
                .iter()
                .filter(|block| place(&blocks.list, block.lineage).is_some_and(|now| now != block.first));
            if moved.count() > 0 {
                packed += 1
            } else {
                stayed += 1
            }
            let end = before.iter().map(|block| block.first + block.quads).max().unwrap_or(0);
            filled += blocks
                .list
                .iter()
                .filter(|block| place(&before, block.lineage).is_none() && block.first < end)
                .count();
        }
        assert!(stayed > 3000 && packed > 10 && filled > 100, "{stayed} {packed} {filled}");
    }
}
