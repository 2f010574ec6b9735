//! Whether what a device or a shard says of a row can be true at all. A driver that miscompiles a kernel, or cuts its loops
//! short, gives an error and no record. What is not told from a right answer here is what validation is for.

use super::{DistributionBits, LogprobsBits};
#[cfg(feature = "gpu")]
use super::{DivergenceBits, FinishReason, SampleBits};
#[cfg(feature = "gpu")]
use crate::arithmetic::divergence::{CROSS_FRACTION, INFORMATION_FRACTION, MOST_DISTANT, unmatched};
#[cfg(feature = "gpu")]
use crate::arithmetic::draw_scale::DrawScale;
use crate::arithmetic::exact::{
    BITS_NEG_INFINITY, KEY_INFINITY, KEY_NEG_INFINITY, ROW_FRACTION, key_of_bits,
};
#[cfg(feature = "gpu")]
use crate::arithmetic::exact::{RUN_FRACTION, bits_of_key};
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::merge::{STATUS_EMPTY, STATUS_INFINITY, STATUS_NAN};

/// What cannot be true, in words.
pub(crate) type Implausible = String;

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Implausible> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Of what is no distribution.
fn check_status(status: u32) -> Result<(), Implausible> {
    check([STATUS_NAN, STATUS_INFINITY, STATUS_EMPTY].contains(&status), || format!("a status of {status}"))
}

/// The largest key and the mass of a distribution over so many tokens.
fn check_sums(vocab: u32, max_key: i32, mass: u64, fraction: u32) -> Result<(), Implausible> {
    check(KEY_NEG_INFINITY < max_key && max_key < KEY_INFINITY, || {
        format!("a maximum with the key {max_key}")
    })?;
    // The largest token weighs one, and no other more.
    check((1..=u64::from(vocab)).contains(&(mass >> fraction)), || {
        format!("a mass of {} in {vocab} tokens", mass as f64 / (1u64 << fraction) as f64)
    })
}

impl DistributionBits {
    /// Whether it says something of the tokens that it was asked about, in their order, and of no others.
    fn check_given(&self, asked: &[u32]) -> Result<(), Implausible> {
        if self.status != 0 {
            return Ok(());
        }
        let said = |place: usize| self.given.get(place).map(|(token, _)| *token);
        let other =
            (0..asked.len().max(self.given.len())).find(|&place| said(place) != asked.get(place).copied());
        let name = |token: Option<u32>| token.map_or_else(|| "none".to_owned(), |token| token.to_string());
        other.map_or(Ok(()), |place| {
            let (said, asked) = (name(said(place)), name(asked.get(place).copied()));
            Err(format!("given token {said} in place {place}, where {asked} was asked for"))
        })
    }

    /// Of so many tokens. Masses are of this many fraction bits.
    fn check(&self, vocab: u32, fraction: u32) -> Result<(), Implausible> {
        let Self { status, max_key, mass, ref top, ref given, .. } = *self;
        if status != 0 {
            return check_status(status);
        }
        check_sums(vocab, max_key, mass, fraction)?;
        let n_listed = top.iter().take_while(|(token, _)| *token != NO_TOKEN).count();
        let (listed, rest) = top.split_at(n_listed);
        check(rest.iter().all(|entry| *entry == (NO_TOKEN, BITS_NEG_INFINITY)), || {
            "a list that goes on behind its end".to_owned()
        })?;
        let code = |&(token, bits): &(u32, u32)| (std::cmp::Reverse(key_of_bits(bits)), token);
        check(listed.is_sorted_by(|a, b| code(a) < code(b)), || "a list out of order".to_owned())?;
        listed.iter().try_for_each(|&(token, bits)| self.check_token(vocab, token, bits))?;
        given.iter().try_for_each(|&(token, counts)| self.check_rank(vocab, token, counts))?;
        let first = listed.first().is_none_or(|(_, bits)| key_of_bits(*bits) == max_key);
        check(first, || "a list that does not begin with the largest".to_owned())
    }

    fn check_token(&self, vocab: u32, token: u32, bits: u32) -> Result<(), Implausible> {
        check(token < vocab, || format!("token {token} of {vocab}"))?;
        let key = key_of_bits(bits);
        check(KEY_NEG_INFINITY <= key, || format!("a logit that is no number, of token {token}"))?;
        check(key <= self.max_key, || format!("a logit above the largest, of token {token}"))
    }

    /// A token, its bits, and how many logits are larger and equal.
    fn check_rank(
        &self,
        vocab: u32,
        token: u32,
        [bits, greater, equal]: [u32; 3],
    ) -> Result<(), Implausible> {
        self.check_token(vocab, token, bits)?;
        check(equal > 0 && u64::from(greater) + u64::from(equal) <= u64::from(vocab), || {
            format!("{greater} logits greater and {equal} equal in {vocab}, of token {token}")
        })?;
        check((greater == 0) == (key_of_bits(bits) == self.max_key), || {
            format!("rank {} of token {token}, whose logit says otherwise", u64::from(greater) + 1)
        })
    }
}

impl LogprobsBits {
    pub(crate) fn check(&self, vocab: u32, target: Option<u32>, asked: &[u32]) -> Result<(), Implausible> {
        self.distribution.check(vocab, ROW_FRACTION)?;
        self.distribution.check_given(asked)?;
        match target {
            Some(token) if self.distribution.status == 0 => {
                self.distribution.check_rank(vocab, token, self.target)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "gpu")]
impl SampleBits {
    pub(crate) fn check(&self, vocab: u32, asked: &[u32]) -> Result<(), Implausible> {
        if FinishReason::from_code(self.processed.status).is_some() {
            return Ok(()); // nothing else is said
        }
        self.processed.check(vocab, RUN_FRACTION)?;
        self.processed.check_given(asked)?;
        if let Some(raw) = &self.raw {
            raw.check(vocab, ROW_FRACTION)?;
            raw.check_given(asked)?;
        }
        if self.processed.status != 0 {
            return Ok(());
        }
        let Self { kept, shift, unit, kept_mass, all_mass, .. } = *self;
        check((1..=vocab).contains(&kept), || format!("{kept} tokens kept of {vocab}"))?;
        // Both are sums of rounded weights, but not of the same: 63 of 64 parts of one are at most the other.
        check(all_mass > 0 && kept_mass - kept_mass / 64 <= all_mass, || {
            format!("a mass of {kept_mass} kept of {all_mass}")
        })?;
        check((1 << 23..=1 << 24).contains(&unit), || format!("a temperature of {unit} units"))?;
        check(DrawScale::SHIFTS.contains(&shift), || format!("a temperature at the scale 2^-{shift}"))?;
        if let Some([first, last]) = self.ends {
            let code = |(token, key)| (std::cmp::Reverse(key), token);
            check(code(first) <= code(last) && (first == last) == (kept == 1), || {
                format!("{kept} kept tokens from {} to {}", first.0, last.0)
            })?;
            for (token, key) in [first, last] {
                self.processed.check_token(vocab, token, bits_of_key(key))?;
            }
        }
        for drawn in &self.draws {
            self.processed.check_rank(vocab, drawn.token, drawn.processed)?;
            if let Some(raw) = self.raw.as_ref().filter(|raw| raw.status == 0) {
                raw.check_rank(vocab, drawn.token, drawn.raw)?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "gpu")]
impl DivergenceBits {
    pub(crate) fn check(&self, vocab: u32) -> Result<(), Implausible> {
        let Self { statuses, max_keys, masses, crosses, unmatched, informations } = *self;
        if statuses != [0; 2] {
            return statuses.into_iter().filter(|status| *status != 0).try_for_each(check_status);
        }
        check(unmatched <= unmatched::FIRST | unmatched::SECOND, || format!("flags of {unmatched}"))?;
        for i in [0, 1] {
            check_sums(vocab, max_keys[i], masses[i], ROW_FRACTION)?;
            let of_mass = |most: f64| masses[i] as f64 * most / (1u64 << ROW_FRACTION) as f64;
            // No distance is further than that within its tile, and no tile from its row.
            let most = of_mass(2.1 * MOST_DISTANT as f64 / (1u64 << 24) as f64);
            let mean = crosses[i].unsigned_abs() as f64 / (1u64 << CROSS_FRACTION) as f64;
            check(mean <= most, || format!("{mean} nats of difference, of {most} that there can be"))?;
            let said = informations[i] as f64 / (1u64 << INFORMATION_FRACTION) as f64;
            let most = of_mass(0.7);
            check(said <= most, || format!("{said} nats of information, of {most} that there can be"))?;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;
    use crate::answer::DrawnBits;

    const VOCAB: u32 = 100;
    const HALF: u32 = 0x3f00_0000;
    const ONE: u32 = 0x3f80_0000;

    /// Of a row with one logit of 1 and the others at a half, cut to two tokens.
    fn sample() -> SampleBits {
        let view = |fraction: u32, top| DistributionBits {
            max_key: key_of_bits(ONE),
            mass: (1 << fraction) + (1 << (fraction - 1)),
            top,
            given: vec![(1, [HALF, 1, 99])],
            ..DistributionBits::default()
        };
        let top = vec![(7, ONE), (0, HALF), (1, HALF), (NO_TOKEN, BITS_NEG_INFINITY)];
        SampleBits {
            processed: view(RUN_FRACTION, top.clone()),
            raw: Some(view(ROW_FRACTION, top)),
            kept: 2,
            shift: 24,
            unit: 1 << 24,
            kept_mass: 3 << 42,
            all_mass: 5 << 43,
            ends: Some([(7, key_of_bits(ONE)), (0, key_of_bits(HALF))]),
            draws: vec![
                DrawnBits { token: 7, processed: [ONE, 0, 1], raw: [ONE, 0, 1] },
                DrawnBits { token: 0, processed: [HALF, 1, 1], raw: [HALF, 1, 99] },
            ],
            ..SampleBits::default()
        }
    }

    fn raw(bits: &mut SampleBits) -> &mut DistributionBits {
        bits.raw.as_mut().expect("asked for")
    }

    #[test]
    fn what_cannot_be_is_seen() {
        type Change = (&'static str, fn(&mut SampleBits));
        let changes: &[Change] = &[
            ("a status of 3", |bits| bits.processed.status = 3),
            ("key 2147483647", |bits| bits.processed.max_key = i32::MAX),
            ("key -2139095041", |bits| raw(bits).max_key = KEY_NEG_INFINITY),
            ("a mass of 0.5 in", |bits| bits.processed.mass = 1 << 42),
            ("a mass of 101 in 100", |bits| raw(bits).mass = 101 << ROW_FRACTION),
            ("behind its end", |bits| bits.processed.top[3].1 = HALF),
            ("does not begin with the largest", |bits| bits.processed.top[0].1 = HALF + 1),
            ("out of order", |bits| bits.processed.top.swap(1, 2)),
            ("out of order", |bits| raw(bits).top[2] = raw(bits).top[1]),
            ("token 100 of 100", |bits| raw(bits).top[2].0 = VOCAB),
            ("a logit above the largest, of token 7", |bits| bits.processed.top[0].1 = ONE + 1),
            ("no number, of token 1", |bits| bits.processed.top[2].1 = BITS_NEG_INFINITY + 1),
            ("no number, of token 0", |bits| bits.draws[1].processed[0] = u32::MAX),
            ("0 tokens kept", |bits| bits.kept = 0),
            ("101 tokens kept", |bits| bits.kept = VOCAB + 1),
            ("kept of", |bits| bits.kept_mass = 6 << 43),
            ("a mass of 11 kept of 7", |bits| (bits.kept_mass, bits.all_mass) = (11, 7)),
            ("0 kept of 0", |bits| (bits.kept_mass, bits.all_mass) = (0, 0)),
            ("2 kept tokens from 0 to 7", |bits| bits.ends.as_mut().expect("cut").swap(0, 1)),
            ("2 kept tokens from 7 to 7", |bits| bits.ends.as_mut().expect("cut")[1] = (7, key_of_bits(ONE))),
            ("token 100 of 100", |bits| bits.ends.as_mut().expect("cut")[1].0 = VOCAB),
            ("no number, of token 0", |bits| bits.ends.as_mut().expect("cut")[1].1 = KEY_NEG_INFINITY - 1),
            ("a temperature of 0 units", |bits| bits.unit = 0),
            ("the scale 2^-13", |bits| bits.shift = 13),
            ("the scale 2^-34", |bits| bits.shift = 34),
            ("the scale 2^--2147483648", |bits| bits.shift = i32::MIN),
            ("token 4294967295 of 100", |bits| bits.draws[1].token = NO_TOKEN),
            ("above the largest, of token 0", |bits| bits.draws[1].raw[0] = ONE + 1),
            ("0 equal", |bits| bits.draws[0].raw[2] = 0),
            ("1 logits greater and 0 equal in 100, of token 1", |bits| bits.processed.given[0].1[2] = 0),
            ("rank 1 of token 1", |bits| raw(bits).given[0].1[1] = 0),
            ("token 100 of 100", |bits| raw(bits).given[0].0 = VOCAB),
            ("given token 5 in place 0, where 1 was asked for", |bits| bits.processed.given[0].0 = 5),
            ("given token none in place 0, where 1 was asked for", |bits| raw(bits).given.clear()),
            ("given token 1 in place 1, where none was asked for", |bits| {
                bits.processed.given.push((1, [HALF, 1, 99]));
            }),
            ("1098645505 logits greater", |bits| bits.draws[1].raw[1] = 1_098_645_505),
            ("4294967295 equal", |bits| bits.draws[1].processed[2] = u32::MAX),
            ("rank 1 of token 0", |bits| bits.draws[1].processed[1] = 0),
            ("rank 2 of token 7", |bits| bits.draws[0].raw[1] = 1),
        ];
        assert_eq!(sample().check(VOCAB, &[1]), Ok(()));
        for (words, change) in changes {
            let mut bits = sample();
            change(&mut bits);
            let outcome = bits.check(VOCAB, &[1]);
            assert!(outcome.as_ref().is_err_and(|what| what.contains(words)), "{words}: {outcome:?}");
        }
    }

    #[test]
    fn divergences_that_cannot_be_are_seen() {
        let sound = DivergenceBits {
            max_keys: [key_of_bits(ONE), key_of_bits(HALF)],
            masses: [3 << ROW_FRACTION, 1 << ROW_FRACTION],
            crosses: [6 << CROSS_FRACTION, -(2 << CROSS_FRACTION)],
            informations: [2 << INFORMATION_FRACTION, 1 << (INFORMATION_FRACTION - 1)],
            ..DivergenceBits::default()
        };
        type Change = (&'static str, fn(&mut DivergenceBits));
        let changes: &[Change] = &[
            ("a status of 3", |bits| bits.statuses = [STATUS_NAN, 3]),
            ("flags of 4", |bits| bits.unmatched = 4),
            ("key 2147483647", |bits| bits.max_keys[1] = i32::MAX),
            ("a mass of 0.5 in", |bits| bits.masses[1] = 1 << (ROW_FRACTION - 1)),
            ("a mass of 101 in 100", |bits| bits.masses[0] = 101 << ROW_FRACTION),
            ("140000 nats of difference", |bits| bits.crosses[1] = -(140_000 << CROSS_FRACTION)),
            ("3 nats of information", |bits| bits.informations[0] = 3 << INFORMATION_FRACTION),
        ];
        assert_eq!(sound.check(VOCAB), Ok(()));
        assert_eq!(
            DivergenceBits { statuses: [0, STATUS_EMPTY], ..DivergenceBits::default() }.check(VOCAB),
            Ok(())
        );
        for (words, change) in changes {
            let mut bits = sound.clone();
            change(&mut bits);
            let outcome = bits.check(VOCAB);
            assert!(outcome.as_ref().is_err_and(|what| what.contains(words)), "{words}: {outcome:?}");
        }
    }

    /// Whatever temperature a request may have, its scale is no fault of the device.
    #[test]
    fn the_scales_of_all_temperatures_can_be() {
        let shifts = [1e3, 1e-3].map(|temperature| DrawScale::new(temperature).scale.shift);
        assert_eq!(shifts[0]..=shifts[1], DrawScale::SHIFTS);
    }

    #[test]
    fn a_target_that_cannot_be_is_seen() {
        let distribution = sample().raw.expect("asked for");
        let record = |target| LogprobsBits { distribution: distribution.clone(), target };
        assert_eq!(record([HALF, 1, 99]).check(VOCAB, Some(99), &[1]), Ok(()));
        assert_eq!(record([0, 0, 0]).check(VOCAB, None, &[1]), Ok(()));
        for target in [[HALF, 0, 99], [HALF, 1, 100], [ONE + 1, 0, 1], [HALF, 1, 0]] {
            assert!(record(target).check(VOCAB, Some(99), &[1]).is_err(), "{target:?}");
        }
        let status = DistributionBits { status: STATUS_NAN, ..distribution.clone() };
        let record = LogprobsBits { distribution: status, target: [0; 3] };
        assert_eq!(record.check(VOCAB, Some(3), &[1]), Ok(()), "of no distribution nothing is said");
    }
}
