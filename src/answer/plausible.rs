//! Whether what a device says of a row can be true at all. A driver that miscompiles a kernel, or cuts its loops short,
//! gives an error and no record. What is not told from a right answer here is what validation is for.

use super::{DistributionBits, LogprobsBits, SampleBits};
use crate::arithmetic::exact::{
    BITS_NEG_INFINITY, KEY_INFINITY, KEY_NEG_INFINITY, ROW_FRACTION, RUN_FRACTION, key_of_bits,
};
use crate::arithmetic::format::NO_TOKEN;
use crate::arithmetic::merge::{STATUS_EMPTY, STATUS_INFINITY, STATUS_NAN};

/// What cannot be true, in words.
pub(crate) type Implausible = String;

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Implausible> {
    if holds { Ok(()) } else { Err(what()) }
}

impl DistributionBits {
    /// Of so many tokens. Masses are of this many fraction bits.
    fn check(&self, vocab: u32, fraction: u32) -> Result<(), Implausible> {
        let Self { status, max_key, mass, ref top, .. } = *self;
        if status != 0 {
            return check([STATUS_NAN, STATUS_INFINITY, STATUS_EMPTY].contains(&status), || {
                format!("a status of {status}")
            });
        }
        check(KEY_NEG_INFINITY < max_key && max_key < KEY_INFINITY, || {
            format!("a maximum with the key {max_key}")
        })?;
        // The largest token weighs one, and no other more.
        check((1..=u64::from(vocab)).contains(&(mass >> fraction)), || {
            format!("a mass of {} in {vocab} tokens", mass as f64 / (1u64 << fraction) as f64)
        })?;
        let n_listed = top.iter().take_while(|(token, _)| *token != NO_TOKEN).count();
        let (listed, rest) = top.split_at(n_listed);
        check(rest.iter().all(|entry| *entry == (NO_TOKEN, BITS_NEG_INFINITY)), || {
            "a list that goes on behind its end".to_owned()
        })?;
        let code = |&(token, bits): &(u32, u32)| (std::cmp::Reverse(key_of_bits(bits)), token);
        check(listed.is_sorted_by(|a, b| code(a) < code(b)), || "a list out of order".to_owned())?;
        listed.iter().try_for_each(|&(token, bits)| self.check_token(vocab, token, bits))
    }

    fn check_token(&self, vocab: u32, token: u32, bits: u32) -> Result<(), Implausible> {
        check(token < vocab, || format!("token {token} of {vocab}"))?;
        check(key_of_bits(bits) <= self.max_key, || format!("a logit above the largest, of token {token}"))
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
    pub(crate) fn check(&self, vocab: u32, target: Option<u32>) -> Result<(), Implausible> {
        self.distribution.check(vocab, ROW_FRACTION)?;
        match target {
            Some(token) if self.distribution.status == 0 => {
                self.distribution.check_rank(vocab, token, self.target)
            }
            _ => Ok(()),
        }
    }
}

impl SampleBits {
    pub(crate) fn check(&self, vocab: u32) -> Result<(), Implausible> {
        self.processed.check(vocab, RUN_FRACTION)?;
        if let Some(raw) = &self.raw {
            raw.check(vocab, ROW_FRACTION)?;
        }
        if self.processed.status != 0 {
            return Ok(());
        }
        let Self { kept, unit, kept_mass, all_mass, .. } = *self;
        check((1..=vocab).contains(&kept), || format!("{kept} tokens kept of {vocab}"))?;
        // Both are sums of rounded weights, but not of the same.
        check(kept_mass / 64 <= all_mass / 63, || format!("a mass of {kept_mass} kept of {all_mass}"))?;
        check((1 << 23..=1 << 24).contains(&unit), || format!("a temperature of {unit} units"))?;
        for drawn in &self.draws {
            self.processed.check_rank(vocab, drawn.token, drawn.processed)?;
            if let Some(raw) = self.raw.as_ref().filter(|raw| raw.status == 0) {
                raw.check_rank(vocab, drawn.token, drawn.raw)?;
            }
        }
        Ok(())
    }
}
