//! What a call uploads: where its parts lie, and what the buffer holds already, so that only differences are sent.

use std::ops::Range;

use super::asked::Asked;
use super::blocks::Blocks;
use super::buffers::buffer;
use super::guard::{guarded, made};
use super::room::{Room, most_bytes};
use crate::answer::FinishReason;
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::rng::halves;
use crate::error::Result;
use crate::plan::{REQUEST_BYTES, ROW_BYTES};
use crate::request::ahead::{Places, Run};
use crate::request::change::BUCKET;
use crate::request::table::ChangeTable;
use crate::request::{Compiled, Inputs, RequestWords, Row};

/// A buffer, and what it holds.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) room: Room,
    held: Vec<u8>,
    /// Bytes of `held` that are not sent yet.
    changed: Vec<Range<usize>>,
    blocks: Blocks,
    /// Room for words on their way.
    words: Vec<u32>,
}

impl Upload {
    /// A buffer with room for this and some more, and for what came before where a binding holds both.
    pub(crate) fn new(device: &wgpu::Device, room: Room, before: Option<&Room>) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let most = most_bytes(device);
        let both = before.map(|before| room.and(before)).filter(|both| both.bytes() <= most);
        let room = both.unwrap_or(room).with_reserve(most);
        let usage = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let buffer = made(device, "making the upload buffer", || {
            buffer(device, "sortilege upload", room.bytes(), usage)
        })?;
        Ok(Self {
            buffer,
            room,
            // As wgpu makes it: zeros that are put are taken for held.
            held: vec![0; usize_of(room.bytes())],
            changed: Vec::new(),
            blocks: Blocks::default(),
            words: Vec::new(),
        })
    }
}

impl Upload {
    /// Puts requests and rows with their lists where they belong. There is room for them.
    pub(crate) fn put_asked(&mut self, asked: &Asked<'_>, rows: usize) {
        match asked {
            Asked::Nothing => {}
            Asked::Observe(request, targets, token_ids) => {
                self.put_request(0, request);
                for row in 0..rows {
                    let target = targets.get(row).copied().flatten().unwrap_or(NO_TOKEN);
                    self.put_quad(row, [0, target, 0, 0]);
                }
                let given_quads = asked.given_quads();
                for (row, tokens) in token_ids.iter().enumerate() {
                    self.put_given(row, given_quads, tokens);
                }
            }
            Asked::Sample(inputs) => {
                self.blocks.place(inputs, self.room.kept);
                let given_quads = asked.given_quads();
                if given_quads > 0 {
                    (0..rows).for_each(|row| self.put_given(row, given_quads, inputs.token_ids(row)));
                }
                self.put_inputs(inputs, self.room.first_given() + rows * given_quads, RequestWords::new);
            }
            Asked::Tokens(inputs) => {
                self.blocks.place(inputs, self.room.kept);
                self.put_inputs(inputs, self.room.first_given(), RequestWords::of_token_alone);
            }
        }
    }

    /// Puts where each of so many rows begins in its binding, behind the heads.
    pub(crate) fn put_offsets(&mut self, rows: usize, offsets: impl Iterator<Item = u32>) {
        self.put_words(rows, rows.div_ceil(4), offsets);
    }

    /// The given tokens of a row: so many quads, in which no token comes after the last.
    fn put_given(&mut self, row: usize, quads: usize, tokens: &[u32]) {
        let words = tokens.iter().copied().chain(std::iter::repeat(NO_TOKEN));
        self.put_words(self.room.first_given() + row * quads, quads, words);
    }

    /// Rows whose changes of this step lie from here on, and what each asks for.
    fn put_inputs(
        &mut self,
        inputs: &Inputs<'_>,
        first_step: usize,
        words_of: impl Fn(&Compiled) -> RequestWords,
    ) {
        let mut block = 0;
        let (mut next_step, mut next_table) = (first_step, self.room.end());
        for (i, row) in inputs.rows().iter().enumerate() {
            let changes = inputs.changes(i);
            let mut request = words_of(&row.request.compiled);
            request.repetition = changes.repetition.to_bits();
            request.flags |= inputs.finish(i).map_or(0, FinishReason::code);
            let kept_quads = changes.kept_quads(inputs.vocab);
            if kept_quads > 0 {
                while self.blocks.list[block].lineage != changes.kept.stamp().lineage() {
                    block += 1;
                }
                let first = self.room.rows + self.blocks.list[block].first;
                self.put_block(block, changes.kept, changes.allowed[0], first);
                request.first_kept = word(first);
                request.kept_buckets = word(changes.kept.buckets().len());
                if changes.allowed[0].is_some() {
                    request.first_allowed = word(first + changes.kept.buckets().len() * BUCKET);
                }
            }
            if !changes.step.is_empty() {
                request.first_step = word(next_step);
                request.step_buckets = word(changes.step.len());
                self.put_quads(next_step, bytemuck::cast_slice(changes.step));
                next_step += changes.step.len() * BUCKET;
            }
            if let Some(mask) = changes.allowed[1] {
                request.first_allowed = word(next_step);
                next_step += self.put_allowed(next_step, mask, changes.allowed[0], inputs.vocab);
            }
            if !changes.xtc_exempt.is_empty() {
                (request.first_xtc_exempt, request.n_xtc_exempt) =
                    (word(next_step), word(changes.xtc_exempt.len()));
                let quads = changes.xtc_exempt.len().div_ceil(4);
                self.put_words(next_step, quads, changes.xtc_exempt.iter().copied());
                next_step += quads;
            }
            let draft_quads = inputs.draft_quads(i);
            if draft_quads > 0 {
                (request.first_draft, request.n_drafts) = (word(next_step), word(row.draft.len()));
                self.put_words(next_step, draft_quads, row.draft.iter().copied());
                next_step += draft_quads;
            }
            [request.block_place, request.block_behind] = inputs.block(i).map(word);
            if let Some(run) = inputs.run(i) {
                self.put_run(run, row, &mut request, [next_step, next_table]);
                next_step += run.quads(row);
                next_table += run.buckets(row) * BUCKET;
            }
            self.put_request(i, &request);
            let [low, high] = halves(row.position);
            self.put_quad(i, [word(i), row.draft.first().copied().unwrap_or(NO_TOKEN), low, high]);
        }
    }

    /// What a row that runs ahead tells, from this quad on, and the table that the device makes of it, from that one on.
    fn put_run(&mut self, run: &Run, row: &Row<'_>, request: &mut RequestWords, [told, table]: [usize; 2]) {
        let word_of = |quad: usize| word(usize_of(self.room.word_of(quad)));
        request.history = word_of(told);
        request.step_buckets = word(run.buckets(row));
        request.first_step = word(table);
        let places = Places {
            table: word_of(table),
            kept: word_of(request.first_kept as usize),
            kept_buckets: request.kept_buckets,
        };
        let mut words = std::mem::take(&mut self.words);
        run.put(row, places, &mut words);
        words.resize(run.quads(row) * 4, 0);
        self.put_quads(told, bytemuck::cast_slice(&words));
        self.words = words;
    }

    /// What a request keeps: of a table that is there already, the buckets that were written since.
    fn put_block(&mut self, block: usize, table: &ChangeTable, allowed: Option<&[u32]>, first: usize) {
        let held = self.blocks.list[block].held.replace(table.stamp());
        let buckets = table.buckets();
        if let Some(written) = held.and_then(|held| table.written_since(held)) {
            for bucket in written {
                self.put_quads(first + bucket * BUCKET, bytemuck::bytes_of(&buckets[bucket]));
            }
        } else {
            self.put_quads(first, bytemuck::cast_slice(buckets));
            if let Some(allowed) = allowed {
                let of_table = buckets.len() * BUCKET;
                let quads = self.blocks.list[block].quads - of_table;
                self.put_words(first + of_table, quads, allowed.iter().copied());
            }
        }
    }

    /// A grammar mask within the allowed tokens of its request.
    fn put_allowed(&mut self, first: usize, mask: &[u32], allowed: Option<&[u32]>, vocab: usize) -> usize {
        let quads = vocab.div_ceil(128);
        let of_request = |i: usize| allowed.map_or(u32::MAX, |words| words.get(i).copied().unwrap_or(0));
        self.put_words(first, quads, mask.iter().enumerate().map(|(i, word)| word & of_request(i)));
        quads
    }

    /// So many quads of these words and, past their end, of zeros.
    fn put_words(&mut self, first: usize, quads: usize, words: impl Iterator<Item = u32>) {
        let mut room = std::mem::take(&mut self.words);
        room.clear();
        room.extend(words.chain(std::iter::repeat(0)).take(quads * 4));
        self.put_quads(first, bytemuck::cast_slice(&room));
        self.words = room;
    }

    fn put_request(&mut self, number: usize, request: &RequestWords) {
        let at = self.room.requests_offset() + number as u64 * REQUEST_BYTES;
        self.put(at, bytemuck::bytes_of(request));
    }

    fn put_quad(&mut self, number: usize, quad: [u32; 4]) {
        self.put_quads(number, bytemuck::cast_slice(&quad));
    }

    fn put_quads(&mut self, first: usize, bytes: &[u8]) {
        self.put(self.room.quads_offset() + first as u64 * ROW_BYTES, bytes);
    }

    /// Puts whole words, and remembers where they differ from what is held.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize_of(at);
        let held = &mut self.held[at..][..bytes.len()];
        if held == bytes {
            return;
        }
        for (i, (held, word)) in held.chunks_exact_mut(4).zip(bytes.chunks_exact(4)).enumerate() {
            if held != word {
                held.copy_from_slice(word);
                add(&mut self.changed, at + 4 * i);
            }
        }
    }

    /// Sends what changed, and says how many bytes that were.
    pub(crate) fn send(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<u64> {
        if self.changed.is_empty() {
            return Ok(0);
        }
        join(&mut self.changed);
        guarded(device, "uploading the requests", || {
            for range in &self.changed {
                queue.write_buffer(&self.buffer, range.start as u64, &self.held[range.clone()]);
            }
        })?;
        let sent = self.changed.iter().map(|range| range.len() as u64).sum();
        self.changed.clear();
        Ok(sent)
    }
}

/// Changed bytes nearer to each other than this are sent as one: a write costs more than the bytes.
const GAP: usize = 128;

/// Adds a word to changed bytes that lie before it.
fn add(changed: &mut Vec<Range<usize>>, at: usize) {
    match changed.last_mut() {
        Some(last) if at >= last.start && at < last.end + GAP => last.end = last.end.max(at + 4),
        _ => changed.push(at..at + 4),
    }
}

/// Puts changed bytes in order, and joins those that are near.
fn join(changed: &mut Vec<Range<usize>>) {
    changed.sort_unstable_by_key(|range| range.start);
    changed.dedup_by(|next, last| {
        let is_near = next.start < last.end + GAP;
        if is_near {
            last.end = last.end.max(next.end);
        }
        is_near
    });
}

#[expect(clippy::cast_possible_truncation, reason = "the plan keeps the buffer below 2^32 bytes")]
fn word(number: usize) -> u32 {
    number as u32
}

#[expect(clippy::cast_possible_truncation, reason = "within one buffer")]
fn usize_of(bytes: u64) -> usize {
    bytes as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_what_differs_and_little_more() {
        let changed = |places: &[usize]| {
            let mut changed = Vec::new();
            places.iter().for_each(|&place| add(&mut changed, place));
            join(&mut changed);
            changed.into_iter().map(|range| (range.start, range.end)).collect::<Vec<_>>()
        };
        assert_eq!(changed(&[]), []);
        assert_eq!(changed(&[4]), [(4, 8)]);
        assert_eq!(changed(&[0, 128]), [(0, 132)], "near ones are one");
        assert_eq!(changed(&[0, 132]), [(0, 4), (132, 136)], "far ones are two");
        assert_eq!(changed(&[1000, 0, 1100, 4]), [(0, 8), (1000, 1104)], "in any order");
        assert_eq!(changed(&[0, 200, 0, 100]), [(0, 204)], "twice");
    }
}
