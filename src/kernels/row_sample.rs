//! Truncates a row's distribution, draws tokens from what is kept, and says what was drawn: `docs/sampling.md`.
//!
//! Every filter keeps a run of the one total order, so what is kept is a range of places in it. The kernel finds the run
//! by thresholds and radix walks in the opened subtiles; the twin here walks down the sorted row.

use std::ops::Range;

use super::row_logprobs;
use super::tile_stats::{self, Tiles};
use crate::exact::{
    self, ROW_FRACTION, RUN_FRACTION, RowStats, SUBTILE_TOKENS, Scale, TILE_TOKENS, TileStats,
};
#[cfg(feature = "wgpu")]
use crate::kernel::{Kernel, Slot, wgsl};
use crate::logits::RowBits;
use crate::numbers::quotient_q24;
use crate::request::{Changes, Compiled, Step};
use crate::rng::{Key, Purpose, point};
use crate::sample::{RawDraw, RawSample, RawView};

/// One workgroup per row, dispatch (1, rows).
#[cfg(feature = "wgpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_sample",
    wgsl: wgsl!("row_sample": "format", "words", "logits", "integers", "exact", "soft_float", "request", "changes",
        "numbers", "rng", "list", "merge", "radix", "scan", "thresholds", "cuts", "draws", "views", "row_program"),
    slots: &[
        Slot::Chunk,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Write,
    ],
};

/// A row and what is asked of it.
pub(crate) struct Turn<'a> {
    pub(crate) row: RowBits<'a>,
    pub(crate) request: &'a Compiled,
    pub(crate) changes: &'a Changes,
    pub(crate) key: Key,
    /// The draft token and the bits of its row of probabilities.
    pub(crate) draft: Option<(u32, &'a [u32])>,
}

/// The same on the CPU.
pub(crate) fn run(turn: &Turn<'_>) -> RawSample {
    let Turn { row, request, changes, .. } = *turn;
    let is_changed = changes.allowed.is_some() || !changes.list.is_empty();
    let changed: Vec<u32> = if is_changed {
        (0..).zip(row.iter()).map(|(token, bits)| changes.apply(token, bits)).collect()
    } else {
        Vec::new()
    };
    let processed = View::new(if is_changed { RowBits::of_f32(&changed) } else { row }, request.pass);
    let raw = request.top_raw.map(|_| View::new(row, Scale::new(1.0)));
    let mut sample = if processed.stats.flags == 0 {
        Kept::new(&processed, turn).sample()
    } else {
        RawSample { flags: processed.stats.flags, ..RawSample::default() }
    };
    if let (Some(raw), Some(top)) = (&raw, request.top_raw) {
        let RowStats { flags, max_key, mass, surprisal, .. } = raw.stats;
        let mut view = RawView { flags, max_key, mass, surprisal, top: Vec::new() };
        if flags == 0 {
            view.top = entries(&raw.top(top as usize));
            for drawn in &mut sample.draws {
                drawn.raw = raw.describe(drawn.token);
            }
        }
        sample.raw = Some(view);
    }
    sample
}

fn entries(tokens: &[(i32, u32)]) -> Vec<(u32, u32)> {
    tokens.iter().map(|&(key, token)| (token, exact::bits_of_key(key))).collect()
}

/// A row's logits and what pass 1 says of them.
struct View<'a> {
    bits: RowBits<'a>,
    tiles: Vec<TileStats>,
    delegates: Vec<i32>,
    stats: RowStats,
}

impl<'a> View<'a> {
    fn new(bits: RowBits<'a>, scale: Scale) -> Self {
        let Tiles { stats: tiles, delegates } = tile_stats::run(bits, exact::KEY_NEG_INFINITY, scale);
        let stats = exact::merge(&tiles, scale);
        Self { bits, tiles, delegates, stats }
    }

    /// Keys and ids of the possible tokens, by id.
    fn possible(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        let keys = self.bits.iter().map(exact::key).zip(0..);
        keys.filter(|(key, _)| *key > exact::KEY_NEG_INFINITY)
    }

    /// The first `count` of them in order.
    fn top(&self, count: usize) -> Vec<(i32, u32)> {
        row_logprobs::top_tokens(self.bits, &self.delegates, count)
    }

    /// Bits of a token, and how many tokens have a larger logit, and an equal one.
    fn describe(&self, token: u32) -> [u32; 3] {
        let own = exact::key(self.bits.get(token as usize));
        let (mut greater, mut equal) = (0, 0);
        for (subtile, delegate) in self.bits.runs(SUBTILE_TOKENS).zip(&self.delegates) {
            if *delegate < own {
                continue; // as nearly all of a likely token are
            }
            for bits in subtile.iter() {
                let key = exact::key(bits);
                greater += u32::from(key > own);
                equal += u32::from(key == own);
            }
        }
        [exact::bits_of_key(own), greater, equal]
    }
}

/// Mass, surprisal (Q43) and number of some tokens.
#[derive(Clone, Copy)]
struct Sum {
    mass: u64,
    surprisal: u64,
    count: u32,
}

/// What the filters have kept so far: a range of places in the order.
struct Kept<'a> {
    view: &'a View<'a>,
    turn: &'a Turn<'a>,
    /// A beginning of the order, as far as anybody has asked.
    order: Vec<(i32, u32)>,
    run: Range<usize>,
    /// The scale in force.
    scale: Scale,
    /// No filter has run yet.
    is_full: bool,
}

impl<'a> Kept<'a> {
    fn new(view: &'a View<'a>, turn: &'a Turn<'a>) -> Self {
        let run = 0..view.stats.n_greater as usize;
        Self { view, turn, order: Vec::new(), run, scale: Scale::new(1.0), is_full: true }
    }

    fn sample(mut self) -> RawSample {
        let Turn { request, key, draft, .. } = *self.turn;
        let stats = self.view.stats;
        let mut draw = request.draw;
        for step in &request.steps {
            if *step == Step::Temperature {
                if let Some(dynamic) = request.dynamic {
                    let Sum { mass, surprisal, count } = self.sum_now();
                    draw = dynamic.scale(mass, surprisal, count);
                }
                self.scale = draw.scale;
            } else {
                self.filter(*step);
                self.is_full = false;
            }
        }
        let by_tile = self.is_full && request.dynamic.is_none() && (draft.is_none() || request.is_greedy);
        let all = self.of_pass();
        let (kept, kept_mass) = if by_tile {
            (all, all.mass)
        } else {
            // The kept mass stands beside the mass of the row, so it has the row's maximum.
            let row_max = exact::bits_of_key(stats.max_key);
            (self.sum(draw.scale, self.max_bits()), self.sum(request.pass, row_max).mass)
        };
        self.scale = draw.scale;
        let mut is_accepted = false;
        let draws = (0..request.n_draws)
            .map(|number| {
                let token = if request.is_greedy {
                    let token = self.at(0).1;
                    is_accepted = draft.is_some_and(|(drafted, _)| drafted == token);
                    token
                } else {
                    let numbers = key.numbers(Purpose::Draw(number));
                    match draft {
                        Some((drafted, probabilities)) => {
                            is_accepted = self.accepts(drafted, probabilities, kept.mass);
                            if is_accepted {
                                drafted
                            } else {
                                let numbers = key.numbers(Purpose::Residual);
                                self.draw_residual(numbers, probabilities, kept.mass)
                            }
                        }
                        None if by_tile => self.draw_by_tile(numbers),
                        None => self.draw_by_row(numbers, |_, weight| weight).expect("a run has mass"),
                    }
                };
                RawDraw { token, processed: self.describe(token), raw: [0; 3] }
            })
            .collect();
        let listed = self.run.len().min(request.top_processed as usize);
        let end = self.run.start + listed;
        self.sort(end);
        RawSample {
            flags: 0,
            max_key: exact::key(self.max_bits()),
            mass: kept.mass,
            surprisal: kept.surprisal,
            kept: kept.count,
            shift: draw.scale.shift,
            unit: draw.unit,
            kept_mass,
            all_mass: all.mass,
            reopened: 0,
            is_accepted,
            draws,
            processed: entries(&self.order[self.run.start.min(end)..end]),
            raw: None,
        }
    }

    /// Makes the order known up to `end`.
    fn sort(&mut self, end: usize) {
        if self.order.len() < end {
            // Four times as far as before, so that a long walk sorts the row a few times only.
            let count = end.max(4 * self.order.len()).max(64).min(self.view.stats.n_greater as usize);
            self.order = if count <= 1024 {
                self.view.top(count)
            } else {
                row_logprobs::largest(self.view.possible().collect(), count)
            };
        }
    }

    /// Key and id at a place of the run.
    fn at(&mut self, place: usize) -> (i32, u32) {
        self.sort(self.run.start + place + 1);
        self.order[self.run.start + place]
    }

    /// Bits of a token of the run, and how many tokens of the run have a larger logit, and an equal one.
    #[expect(clippy::cast_possible_truncation, reason = "places are below 2^20")]
    fn describe(&self, token: u32) -> [u32; 3] {
        let [bits, greater, equal] = self.view.describe(token);
        // The larger and the equal ones take the first places of the order, and the run cuts into them.
        let [start, end] = [self.run.start as u32, self.run.end as u32];
        [bits, greater.saturating_sub(start), end.min(greater + equal) - start.max(greater)]
    }

    /// The tokens of the run, in any order.
    fn tokens(&mut self) -> Vec<(i32, u32)> {
        if self.run.len() == self.view.stats.n_greater as usize {
            return self.view.possible().collect();
        }
        self.sort(self.run.end);
        self.order[self.run.clone()].to_vec()
    }

    /// Bits of the run's first token, which weighs one.
    fn max_bits(&self) -> u32 {
        let key = match self.run.start {
            0 => self.view.stats.max_key,
            start => self.order[start].0, // whoever moves the start sorts up to it
        };
        exact::bits_of_key(key)
    }

    fn octaves(&self, key: i32, scale: Scale) -> Option<u32> {
        scale.octaves(self.max_bits(), exact::bits_of_key(key))
    }

    fn weight(&self, key: i32) -> u64 {
        self.octaves(key, self.scale).map_or(0, exact::row_weight)
    }

    /// Sums of the run at a scale, token by token, relative to a maximum.
    fn sum(&mut self, scale: Scale, max_bits: u32) -> Sum {
        let mut sum = Sum { mass: 0, surprisal: 0, count: 0 };
        for (key, _) in self.tokens() {
            sum.count += 1;
            if let Some(octaves) = scale.octaves(max_bits, exact::bits_of_key(key)) {
                sum.mass += exact::row_weight(octaves);
                sum.surprisal += exact::row_surprisal(octaves);
            }
        }
        sum
    }

    /// Sums of the whole row from pass 1.
    fn of_pass(&self) -> Sum {
        let RowStats { mass, surprisal, n_greater, .. } = self.view.stats;
        let by = RUN_FRACTION - ROW_FRACTION;
        Sum { mass: mass << by, surprisal: surprisal << by, count: n_greater }
    }

    /// Sums of the run at the scale in force.
    fn sum_now(&mut self) -> Sum {
        let pass = self.turn.request.pass;
        if self.is_full && (pass.shift, pass.rate) == (self.scale.shift, self.scale.rate) {
            return self.of_pass();
        }
        self.sum(self.scale, self.max_bits())
    }

    /// How many tokens of the run fulfil what the first of the order do and the others do not.
    fn count(&mut self, holds: impl Fn(&Self, i32) -> bool) -> usize {
        let tokens = self.tokens();
        tokens.iter().filter(|(key, _)| holds(self, *key)).count()
    }

    fn start_at(&mut self, start: usize) {
        self.sort(start + 1);
        self.run.start = start;
    }

    fn keep_first(&mut self, count: usize) {
        self.run.end = self.run.end.min(self.run.start + count.max(1));
    }

    fn filter(&mut self, step: Step) {
        match step {
            Step::Temperature => unreachable!("not a filter"),
            Step::TopK(k) => self.keep_first(k as usize),
            Step::TopP(share) => {
                let wanted = share.part_of(self.sum_now().mass);
                let mut mass = 0;
                for place in 0..self.run.len() {
                    let (key, _) = self.at(place);
                    mass += self.weight(key);
                    if mass >= wanted {
                        self.keep_first(place + 1);
                        break;
                    }
                }
            }
            Step::MinP(share) => {
                let (first, _) = self.at(0);
                let limit = share.part_of(self.weight(first));
                let count = self.count(|kept, key| kept.weight(key) >= limit);
                self.keep_first(count);
            }
            Step::Epsilon(share) => {
                let limit = share.part_of(self.sum_now().mass);
                let count = self.count(|kept, key| kept.weight(key) >= limit);
                self.keep_first(count);
            }
            Step::TopNSigma(sigmas) => {
                let (first, _) = self.at(0);
                let limit = self.distance(first) + self.sigma_distance(sigmas);
                let count = self.count(|kept, key| kept.distance(key) <= limit);
                self.keep_first(count);
            }
            Step::Xtc(threshold, coin) => {
                let limit = threshold.part_of(self.sum_now().mass);
                let above = self.count(|kept, key| kept.weight(key) >= limit);
                if above >= 2 && self.turn.key.words(Purpose::Xtc)[0] <= coin {
                    self.start_at(self.run.start + above - 1);
                }
            }
            Step::Typical(share) => {
                let Sum { mass, surprisal, .. } = self.sum_now();
                let wanted = share.part_of(mass);
                let centre = quotient_q24(surprisal, mass);
                let mut near: Vec<(u32, u64)> = self
                    .tokens()
                    .iter()
                    .filter_map(|(key, _)| self.octaves(*key, self.scale))
                    .map(|octaves| (octaves.abs_diff(centre), exact::row_weight(octaves)))
                    .collect();
                near.sort_unstable();
                let mut reached = 0;
                let enough = near.iter().find(|(_, weight)| {
                    reached += weight;
                    reached >= wanted
                });
                if let Some(&(deviation, _)) = enough {
                    let within = |limit: u32| {
                        move |kept: &Self, key: i32| kept.octaves(key, kept.scale).is_some_and(|q| q <= limit)
                    };
                    let kept = self.count(within(centre + deviation));
                    let dropped =
                        if centre > deviation { self.count(within(centre - deviation - 1)) } else { 0 };
                    self.run.end = self.run.start + kept;
                    self.start_at(self.run.start + dropped);
                }
            }
        }
    }

    /// Distance below the run's maximum, Q20, at most 256.
    fn distance(&self, key: i32) -> u32 {
        const FARTHEST: u32 = 1 << 28;
        let (max, bits) = (self.max_bits(), exact::bits_of_key(key));
        let half_distance = f32::from_bits(max) * 0.5 - f32::from_bits(bits) * 0.5;
        if half_distance < 1000.0 {
            exact::fixed(max, 20).wrapping_sub(exact::fixed(bits, 20)).min(FARTHEST)
        } else {
            FARTHEST
        }
    }

    /// So many standard deviations (Q16) of the run's logits, Q20.
    fn sigma_distance(&mut self, sigmas: u32) -> u32 {
        let (mut distances, mut squares, mut count) = (0u64, 0u64, 0u64);
        for (key, _) in self.tokens() {
            let distance = u64::from(self.distance(key));
            distances += distance; // Q20
            squares += (distance * distance) >> 12; // Q28
            count += 1;
        }
        let mean = (distances << 4) / count; // Q24
        let variance = (squares / count).saturating_sub((mean * mean) >> 20); // Q28
        let scaled = ((variance << 12).isqrt() * u64::from(sigmas)) >> 16; // a root of 54 bits times 26
        u32::try_from(scaled).unwrap_or(u32::MAX).min(1 << 30)
    }

    /// The token at a point of the row, by the masses of its tiles and the weights within one.
    fn draw_by_tile(&self, [tile_number, token_number]: [u64; 2]) -> u32 {
        let masses: Vec<u64> = self
            .view
            .tiles
            .iter()
            .map(|tile| tile.mass_in_row(self.view.stats.max_key, self.scale).map_or(0, |(_, mass)| mass))
            .collect();
        let tile = pick(&masses, tile_number).expect("a sound row has mass");
        let TileStats { max_key, mass, .. } = self.view.tiles[tile];
        let first = tile * TILE_TOKENS;
        let bits = self.view.bits.range(first, self.view.bits.len().min(first + TILE_TOKENS));
        let point = point(token_number, mass);
        let place = tile_stats::token_at(bits, exact::bits_of_key(max_key), self.scale, point);
        token_of(tile, place.expect("a drawn tile has mass"))
    }

    /// The token at a point of the run: its tile, then the token, by weights relative to the run's maximum that `part`
    /// may lessen. `None` if nothing has any.
    fn draw_by_row(
        &mut self,
        [tile_number, token_number]: [u64; 2],
        part: impl Fn(u32, u64) -> u64,
    ) -> Option<u32> {
        let mut tokens: Vec<(u32, u64)> =
            self.tokens().iter().map(|&(key, token)| (token, part(token, self.weight(key)))).collect();
        tokens.sort_unstable();
        let mut masses = vec![0; self.view.tiles.len()];
        for (token, weight) in &tokens {
            masses[*token as usize / TILE_TOKENS] += weight;
        }
        let tile = pick(&masses, tile_number)?;
        tokens.retain(|(token, _)| *token as usize / TILE_TOKENS == tile);
        let weights: Vec<u64> = tokens.iter().map(|(_, weight)| *weight).collect();
        Some(tokens[pick(&weights, token_number)?].0)
    }

    /// Whether the draft token stands: with probability min(1, its own mass over the draft's).
    fn accepts(&mut self, token: u32, probabilities: &[u32], mass: u64) -> bool {
        let own =
            self.tokens().iter().find(|(_, kept)| *kept == token).map_or(0, |(key, _)| self.weight(*key));
        let [number, _] = self.turn.key.numbers(Purpose::Accept);
        point(number, draft_mass(probabilities[token as usize], mass)) < own
    }

    /// A token of what the run has more than the draft; of the run where that is nothing.
    fn draw_residual(&mut self, numbers: [u64; 2], probabilities: &[u32], mass: u64) -> u32 {
        let rest =
            |token: u32, weight: u64| weight.saturating_sub(draft_mass(probabilities[token as usize], mass));
        self.draw_by_row(numbers, rest)
            .or_else(|| self.draw_by_row(numbers, |_, weight| weight))
            .expect("a run has mass")
    }
}

/// What a draft's probability, given by its bits, is of a mass: `⌊probability · mass⌋`; a NaN or a negative one is none.
fn draft_mass(bits: u32, mass: u64) -> u64 {
    match bits >> 23 {
        _ if bits > 0x7f80_0000 => 0,
        127.. => mass,
        exponent => exact::mul_shift(mass, (bits << 8) | 0x8000_0000, 158 - exponent),
    }
}

/// The place at a random point of these masses; `None` if there are none.
fn pick(masses: &[u64], number: u64) -> Option<usize> {
    let point = point(number, masses.iter().sum());
    let mut before = 0;
    masses.iter().position(|mass| {
        before += mass;
        point < before
    })
}

fn token_of(tile: usize, place: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "tokens are below 2^20")]
    let token = (tile * TILE_TOKENS + place) as u32;
    token
}
