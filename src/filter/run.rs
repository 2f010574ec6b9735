//! The run of a row: what is left of it, a range of places in the one total order. It begins as all possible tokens;
//! filters narrow it, draws and lists read it. It knows of none of them.

use std::ops::Range;

use super::view::View;
use crate::arithmetic::exact::{self, ROW_FRACTION, RUN_FRACTION, Scale};
use crate::arithmetic::merge::RowStats;
use crate::arithmetic::rng::Key;
use crate::logits::order;

/// Mass, surprisal (Q43) and number of some tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) mass: u64,
    pub(crate) surprisal: u64,
    pub(crate) count: u32,
}

pub(crate) struct Run<'a> {
    view: &'a View<'a>,
    /// The scale of pass 1, at which the sums of the whole row are known.
    pass: Scale,
    /// The scale in force.
    pub(crate) scale: Scale,
    /// Where the random numbers of the row come from.
    pub(crate) key: Key,
    /// Tokens that XTC spares.
    pub(crate) xtc_exempt: &'a [u32],
    /// No filter has run yet.
    pub(crate) is_full: bool,
    /// A beginning of the order, as far as anybody has asked.
    order: Vec<(i32, u32)>,
    places: Range<usize>,
}

impl<'a> Run<'a> {
    /// All possible tokens of a view whose pass 1 had the scale `pass`; 1 is in force.
    pub(crate) fn new(view: &'a View<'a>, pass: Scale, key: Key) -> Self {
        let places = 0..view.stats.n_greater as usize;
        Self {
            view,
            pass,
            scale: Scale::new(1.0),
            key,
            xtc_exempt: &[],
            is_full: true,
            order: Vec::new(),
            places,
        }
    }

    /// Tokens of the run.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Makes the order known up to `end`.
    fn sort(&mut self, end: usize) {
        if self.order.len() < end {
            // Four times as far as before, so that a long walk sorts the row a few times only.
            let count = end.max(4 * self.order.len()).max(64).min(self.view.stats.n_greater as usize);
            self.order = if count <= 1024 {
                self.view.top(count)
            } else {
                order::largest(self.view.possible().collect(), count)
            };
        }
    }

    /// Key and id at a place of the run.
    pub(crate) fn at(&mut self, place: usize) -> (i32, u32) {
        self.sort(self.places.start + place + 1);
        self.order[self.places.start + place]
    }

    /// Keys and ids of its first tokens, at most `count`, in order.
    pub(crate) fn top(&mut self, count: usize) -> &[(i32, u32)] {
        let Range { start, end } = self.places;
        let end = end.min(start + count);
        self.sort(end);
        &self.order[start..end]
    }

    /// Key and id of its last token. All possible tokens need not be sorted to know it.
    pub(crate) fn last(&mut self) -> (i32, u32) {
        if self.places.end == self.view.stats.n_greater as usize {
            let possible = self.view.possible();
            return possible.min_by_key(|&(key, token)| (key, std::cmp::Reverse(token))).expect("one stays");
        }
        self.at(self.len() - 1)
    }

    /// Keys and ids of its tokens, in any order.
    pub(crate) fn tokens(&mut self) -> Vec<(i32, u32)> {
        if self.len() == self.view.stats.n_greater as usize {
            return self.view.possible().collect();
        }
        self.sort(self.places.end);
        self.order[self.places.clone()].to_vec()
    }

    /// Keys and ids between which its tokens lie in the order, both included.
    pub(crate) fn ends(&mut self) -> ((i32, u32), (i32, u32)) {
        let first = if self.places.start == 0 { (i32::MAX, 0) } else { self.order[self.places.start] };
        let is_cut = self.places.end < self.view.stats.n_greater as usize;
        // All possible tokens need not be sorted to know where they end.
        let last = if is_cut { self.at(self.len() - 1) } else { (exact::KEY_NEG_INFINITY + 1, u32::MAX) };
        (first, last)
    }

    /// Key of its first token.
    pub(crate) fn first_key(&self) -> i32 {
        match self.places.start {
            0 => self.view.stats.max_key,
            start => self.order[start].0, // whoever moves the start sorts up to it
        }
    }

    /// Bits of its first token's logit, which is its largest: what weighs one.
    pub(crate) fn max_bits(&self) -> u32 {
        exact::bits_of_key(self.first_key())
    }

    /// Octaves below the first token, at the scale in force; `None` outside of the window.
    pub(crate) fn octaves(&self, key: i32) -> Option<u32> {
        self.scale.octaves_below(self.max_bits(), exact::bits_of_key(key))
    }

    /// Row weight, Q43, at the scale in force.
    pub(crate) fn weight(&self, key: i32) -> u64 {
        self.octaves(key).map_or(0, exact::row_weight)
    }

    /// Sums at a scale, token by token, relative to a maximum.
    pub(crate) fn sums_at(&mut self, scale: Scale, max_bits: u32) -> Sums {
        let mut sums = Sums { mass: 0, surprisal: 0, count: 0 };
        for (key, _) in self.tokens() {
            sums.count += 1;
            if let Some(octaves) = scale.octaves_below(max_bits, exact::bits_of_key(key)) {
                sums.mass += exact::row_weight(octaves);
                sums.surprisal += exact::row_surprisal(octaves);
            }
        }
        sums
    }

    /// Sums of the whole row, from pass 1.
    pub(crate) fn sums_of_row(&self) -> Sums {
        let RowStats { mass, surprisal, n_greater, .. } = self.view.stats;
        let by = RUN_FRACTION - ROW_FRACTION;
        Sums { mass: mass << by, surprisal: surprisal << by, count: n_greater }
    }

    /// Sums at the scale in force: those of pass 1 where they are these.
    pub(crate) fn sums(&mut self) -> Sums {
        if self.is_full && (self.pass.shift, self.pass.rate) == (self.scale.shift, self.scale.rate) {
            return self.sums_of_row();
        }
        self.sums_at(self.scale, self.max_bits())
    }

    /// How many of its first tokens fulfil what, along the order, no token does after one that does not.
    pub(crate) fn prefix_len_where(&mut self, holds: impl Fn(&Self, i32) -> bool) -> usize {
        let tokens = self.tokens();
        tokens.iter().filter(|(key, _)| holds(self, *key)).count()
    }

    /// Drops all but its first tokens, so many of them; one stays in any case.
    pub(crate) fn keep_first(&mut self, count: usize) {
        self.places.end = self.places.end.min(self.places.start + count.max(1));
    }

    /// Drops the tokens that weigh less than `limit`; one stays in any case.
    pub(crate) fn keep_weights_from(&mut self, limit: u64) {
        let count = self.prefix_len_where(|run, key| run.weight(key) >= limit);
        self.keep_first(count);
    }

    /// Drops its first tokens, fewer than there are.
    pub(crate) fn drop_first(&mut self, count: usize) {
        let start = self.places.start + count;
        self.sort(start + 1);
        self.places.start = start;
    }

    /// Bits of a token of the run, and how many tokens of the run have a larger logit, and an equal one.
    #[expect(clippy::cast_possible_truncation, reason = "places are below 2^20")]
    pub(crate) fn describe(&self, token: u32) -> [u32; 3] {
        let [bits, greater, equal] = self.view.describe(token);
        // The larger and the equal ones take the first places of the order, and the run cuts into them.
        let [start, end] = [self.places.start as u32, self.places.end as u32];
        [bits, greater.saturating_sub(start), end.min(greater + equal) - start.max(greater)]
    }
}

#[cfg(test)]
pub(crate) mod tests;
