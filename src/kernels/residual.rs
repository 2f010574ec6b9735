//! What draft tokens that fell leave of a run, and the trial of each: `docs/sampling.md`, 7.

use super::draw::{weighed, weights};
use crate::arithmetic::integers::mul_shift;
use crate::arithmetic::rng::{Purpose, point};
use crate::filter::Run;

/// One, Q31.
pub(crate) const ONE: u32 = 1 << 31;

/// What draft tokens that fell leave of a run: `docs/sampling.md`, 7.
pub(super) struct Residual<'a> {
    /// The tokens of the run with their weights.
    weights: Vec<(u32, u64)>,
    /// Bits of the draft's probabilities.
    probabilities: &'a [u32],
    /// The mass of which those are shares, for the draft token at hand.
    share: u64,
    /// The same for all that fell.
    taken: u64,
    /// What their probabilities leave of one, Q31.
    rest: u32,
    /// Of a row of a block, Q31: so much of the weights is left.
    part: u32,
}

/// Where a draft's probabilities leave less of one, Q31, their own rounding says too much of what is left.
pub(super) const LEAST_REST: u32 = 1 << 19;

impl<'a> Residual<'a> {
    /// A run on which no draft token was tried.
    pub(super) fn new(run: &mut Run<'_>, probabilities: &'a [u32]) -> Self {
        let weights = weights(run);
        let share = weights.iter().map(|(_, weight)| weight).sum();
        Self { weights, probabilities, share, taken: 0, rest: ONE, part: ONE }
    }

    /// Whether a draft token stands: with probability min(1, its mass in what is left over the draft's). What is left is
    /// less otherwise.
    pub(super) fn accepts(&mut self, number: u64, token: u32) -> bool {
        let [own, drafted] = self.ratio_of(token);
        if point(number, drafted) < self.left(token, own) {
            return true;
        }
        self.taken += self.share;
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^31")]
        let drafted = self.drafted(token, 1 << 31) as u32;
        self.rest = self.rest.saturating_sub(drafted);
        false
    }

    /// Goes on to the next draft token, if one is tried: not where nothing is left, or too little to say what the draft
    /// would have drawn next.
    pub(super) fn has_next(&mut self) -> bool {
        let share = share_of(self.left_of_all(), self.rest, self.taken);
        self.share = share.unwrap_or(0);
        share.is_some()
    }

    /// A token of what is left; of the run where that is nothing.
    pub(super) fn draw(&self, numbers: [u64; 2]) -> u32 {
        let left = self.weights.iter().map(|&(token, weight)| (token, self.left(token, weight))).collect();
        let all = || weighed(self.weights.clone(), numbers);
        weighed(left, numbers).or_else(all).expect("a run has mass")
    }

    /// The same of a row of a block, of whose weights this part is left; with a draft token, the draft has its share of all.
    pub(super) fn in_block(mut self, part: u32, has_draft: bool) -> Self {
        self.part = part;
        self.taken = if has_draft { self.share } else { 0 };
        self
    }

    /// The weight of a draft token, and what the draft gives it.
    pub(super) fn ratio_of(&self, token: u32) -> [u64; 2] {
        let own = self.weights.iter().find(|(kept, _)| *kept == token).map_or(0, |(_, weight)| *weight);
        [own, self.drafted(token, self.share)]
    }

    /// Whether the draft tokens before the row stand: of what is left, and what they lack of one.
    pub(super) fn is_block_accepted(&self, number: u64) -> bool {
        let left: u64 = self.left_of_all();
        let lacks = self.share - part_of(self.share, self.part);
        point(number, left + lacks) < left
    }

    /// What is left of the run's mass.
    fn left_of_all(&self) -> u64 {
        self.weights.iter().map(|&(token, weight)| self.left(token, weight)).sum()
    }

    /// What is left of a token's weight.
    fn left(&self, token: u32, weight: u64) -> u64 {
        let part = part_of(weight, self.part);
        if self.taken == 0 { part } else { part.saturating_sub(self.drafted(token, self.taken)) }
    }

    /// What the draft's probability of a token is of a mass.
    fn drafted(&self, token: u32, mass: u64) -> u64 {
        draft_mass(self.probabilities[token as usize], mass)
    }
}

/// The mass of which a draft's probabilities are shares, where they leave this of one and this mass is left: their quotient,
/// of 31 bits or more. `None` if it is none, or with what fell too large.
fn share_of(left: u64, rest: u32, taken: u64) -> Option<u64> {
    let by = 32 - left.leading_zeros().min(32);
    let quotient = ((left >> by) << 31).checked_div(u64::from(rest)).filter(|_| rest >= LEAST_REST)?;
    let share = (quotient >> (63 - by) == 0).then_some(quotient << by)?;
    (share > 0 && taken + share < 1 << 63).then_some(share)
}

/// Whether the draft tokens stand of which this is left, where nothing is drawn after them.
pub(super) fn is_whole_accepted(number: u64, part: u32) -> bool {
    point(number, ONE.into()) < part.into()
}

/// The first draft token that stands, otherwise a draw from what they leave; and whether one stands.
pub(super) fn verify(run: &mut Run<'_>, draft: &[u32], probabilities: &[u32]) -> (Vec<u32>, bool) {
    let mut residual = Residual::new(run, probabilities);
    for (&drafted, number) in draft.iter().zip(0..) {
        if number > 0 && !residual.has_next() {
            break;
        }
        let [point, _] = run.key.numbers(Purpose::Accept(number));
        if residual.accepts(point, drafted) {
            return (vec![drafted], true);
        }
    }
    (vec![residual.draw(run.key.numbers(Purpose::Residual))], false)
}

/// A part, Q31, of a mass.
pub(super) fn part_of(mass: u64, part: u32) -> u64 {
    mul_shift(mass, part, 31)
}

/// What a draft's probability, given by its bits, is of a mass: `⌊probability · mass⌋`; a NaN or a negative one is
/// none.
fn draft_mass(bits: u32, mass: u64) -> u64 {
    match bits >> 23 {
        _ if bits > 0x7f80_0000 => 0,
        127.. => mass,
        exponent => mul_shift(mass, (bits << 8) | 0x8000_0000, 158 - exponent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::exact::{self, Scale};
    use crate::filter::tests_of_run::{KEY, bits_of, view_of};

    const HALF: u64 = 1 << 63;

    #[test]
    fn a_part_of_a_mass() {
        let mass = (1 << 63) - 1;
        assert_eq!(part_of(mass, ONE), mass);
        assert_eq!(part_of(mass, ONE / 2), mass / 2);
        assert_eq!(part_of(3, ONE - 1), 2);
        assert_eq!(part_of(mass, 0), 0);
    }

    #[test]
    fn a_draft_s_mass_is_a_part() {
        let mass = (1 << 43) + 1;
        for (probability, part) in [
            (0.0, 0),
            (0.5, 1 << 42),
            (1.0, mass),
            (7.0, mass),
            (f32::INFINITY, mass),
            (-0.5, 0),
            (f32::NAN, 0),
            (1e-40, 0),
            (exact::pow2_f32(-43), 1),
        ] {
            assert_eq!(draft_mass(probability.to_bits(), mass), part, "{probability}");
        }
    }

    #[test]
    fn a_draft_stands_as_often_as_its_share() {
        let bits = bits_of(&[0.0, 0.0, f32::NEG_INFINITY, 0.0]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let mut accepts = |number, token, probability: f32| {
            Residual::new(&mut run, &[probability.to_bits(); 4]).accepts(number, token)
        };
        assert!(accepts(u64::MAX, 1, 0.333), "less than its own third");
        let two_thirds = 2.0 / 3.0 + 1e-6; // a little over twice its own
        assert!(accepts(HALF - (HALF >> 16), 1, two_thirds) && !accepts(HALF, 1, two_thirds));
        assert!(!accepts(0, 2, 0.5), "an impossible token");
        assert!(!accepts(0, 2, 0.0), "no draft has mass enough for it");
    }

    #[test]
    fn the_residual_is_what_the_draft_lacks() {
        let bits = bits_of(&[0.0, 0.0, 0.0, 0.0]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let mass = run.sums().mass;
        let mut ends = |draft: [f32; 4]| {
            let draft = draft.map(f32::to_bits);
            let residual = Residual { taken: mass, ..Residual::new(&mut run, &draft) };
            [0, u64::MAX].map(|number| residual.draw([number; 2]))
        };
        assert_eq!(ends([0.0; 4]), [0, 3], "all of the run");
        assert_eq!(ends([0.25, 0.0, 0.0, 0.75]), [1, 2], "what has as much in the draft is never drawn");
        assert_eq!(ends([0.9, 0.9, 0.24, 0.9]), [2, 2]);
        assert_eq!(ends([1.0; 4]), [0, 3], "nothing is left: the run itself");
    }

    /// Of four equal tokens, of which the draft gives the first two a half and three eighths: what each sibling is tried
    /// on, and what is left, in quarters of the mass.
    #[test]
    fn a_sibling_is_tried_on_what_is_left() {
        let bits = bits_of(&[0.0; 4]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        let mass = run.sums().mass;
        let quarter = mass / 4;
        let draft = [0.5, 0.375, 0.125, 0.0f32].map(f32::to_bits);
        let mut residual = Residual::new(&mut run, &draft);
        assert!(!residual.accepts(HALF, 0), "one quarter over two");
        assert_eq!((residual.taken, residual.rest), (mass, 1 << 30));
        // Half a quarter of the third and the fourth are left; the draft would give the second three quarters of that.
        let left = |residual: &Residual<'_>| [0, 1, 2, 3].map(|token| residual.left(token, quarter));
        assert_eq!(left(&residual), [0, 0, quarter / 2, quarter]);
        assert!(residual.has_next() && !residual.accepts(0, 1), "nothing of it is left");
        assert_eq!((residual.share, residual.taken, residual.rest), (3 * quarter, 7 * quarter, 1 << 28));
        assert_eq!(left(&residual), [0, 0, quarter / 8, quarter]);
        // The third is all that the draft would draw next.
        assert!(residual.has_next());
        assert_eq!(residual.share, 9 * quarter);
        assert!(!residual.accepts(u64::MAX / 9 + 9, 2), "one ninth");
        assert_eq!([0, u64::MAX].map(|number| residual.draw([number; 2])), [3, 3]);
        assert!(!residual.has_next(), "the draft has nothing more to draw");
    }

    /// A draft that is as good as sure: what is drawn next is not known well enough to be tried.
    #[test]
    fn what_is_left_of_a_sure_draft_is_drawn_from() {
        let bits = bits_of(&[0.0; 4]);
        let view = view_of(&bits);
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        for (first, is_tried) in
            [(1.0f32, false), (1.0 - f32::EPSILON, false), (0.9997, true), (0.9998, false)]
        {
            let draft = [first, 1.0 - first, 0.0, 0.0].map(f32::to_bits);
            let mut residual = Residual::new(&mut run, &draft);
            assert!(!residual.accepts(HALF, 0));
            assert_eq!(residual.has_next(), is_tried, "{first}");
            assert_eq!([0, u64::MAX].map(|number| residual.draw([number; 2])), [1, 3]);
        }
    }

    #[test]
    fn a_share_is_below_what_masses_can_be() {
        let [one, half] = [1 << 31, 1 << 30];
        assert_eq!(share_of(5 << 43, one, 0), Some(5 << 43));
        assert_eq!(share_of((5 << 43) + 1, one, 0), Some(5 << 43), "of 32 bits");
        assert_eq!(share_of(0xffff_fffe, half, 7), Some(0x1_ffff_fffc));
        assert_eq!(share_of(3, LEAST_REST, 0), Some(3 << 12));
        assert_eq!(share_of(3, LEAST_REST - 1, 0), None);
        assert_eq!(share_of(0, one, 1 << 63), None, "nothing is left");
        assert_eq!(share_of((1 << 62) - (1 << 31), half, 0), Some((1 << 63) - (1 << 32)));
        assert_eq!(share_of((1 << 62) - (1 << 31), half, 1 << 32), None, "as much as there can be");
        assert_eq!(share_of((1 << 62) - (1 << 31), half, (1 << 32) - 1), Some((1 << 63) - (1 << 32)));
        for (left, rest, taken) in
            [(1 << 62, half, 0), (1 << 63, one, 0), (u64::MAX, LEAST_REST, 0), (1 << 43, one, 1 << 63)]
        {
            assert_eq!(share_of(left, rest, taken), None, "{left} over {rest}, {taken} taken");
        }
    }
}
