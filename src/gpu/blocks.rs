//! Where in an upload lies what requests keep: the places of those that stay do not change when others come and go.

use crate::request::Inputs;
use crate::request::table::Stamp;

/// The kept quads of one request in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// The state of the changes that the buffer holds, or `None` before they are sent.
    pub(crate) held: Option<Stamp>,
    pub(crate) table: Stamp,
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
    /// Finds places for what the requests keep. A request that was there before stays where it was. There
    /// is room for all of them, packed.
    pub(crate) fn place(&mut self, inputs: &Inputs<'_>, room: usize) {
        let is_same =
            |(wanted, block): (Block, &Block)| wanted.table.is_of(block.table) && wanted.quads == block.quads;
        let mut count = 0;
        if blocks_of(inputs).all(|wanted| {
            count += 1;
            self.list.get(count - 1).is_some_and(|block| is_same((wanted, block)))
        }) && count == self.list.len()
        {
            return;
        }
        std::mem::swap(&mut self.list, &mut self.before);
        self.list.clear();
        self.before.sort_unstable_by_key(|block| block.table);
        for wanted in blocks_of(inputs) {
            let before = self.before.partition_point(|block| block.table.lineage() < wanted.table.lineage());
            let known = self.before.get(before).filter(|block| is_same((wanted, block)));
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
fn blocks_of(inputs: &Inputs<'_>) -> impl Iterator<Item = Block> {
    let rows = inputs.rows();
    (0..rows.len()).filter_map(move |i| {
        let changes = inputs.changes(i);
        let quads = changes.kept_quads(inputs.vocab);
        let is_new = i == 0 || !std::ptr::eq(rows[i].request, rows[i - 1].request);
        let block = Block { held: None, table: changes.kept.stamp(), first: UNPLACED, quads };
        (is_new && quads > 0).then_some(block)
    })
}
