//! What is asked of the whole vocabulary: the same on every shard.

use crate::arithmetic::exact::{KEY_INFINITY, KEY_NAN, KEY_NEG_INFINITY};
use crate::error::{Error, Result};
use crate::params::LogprobsParams;
use crate::request::{validate_targets, validate_token_ids};

/// In place of the key of a token that another shard has: below that of every logit.
pub(super) const ELSEWHERE: i32 = i32::MIN;

/// Whether it is the key of a logit or of a NaN. No zero has the one of -0's bits.
pub(super) fn is_key(key: i32) -> bool {
    ((KEY_NEG_INFINITY..=KEY_INFINITY).contains(&key) && key != -1) || key == KEY_NAN
}

/// What is asked of the whole vocabulary, as [`Engine::logprobs_of`](crate::Engine::logprobs_of) takes it: every shard must
/// be asked the same. Tokens are ids of the whole vocabulary. `Default` asks for the five best tokens at temperature 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShardQuery<'a> {
    /// Temperature, length of the list, entropy.
    pub params: LogprobsParams,
    /// Empty, or a target per row.
    pub targets: &'a [Option<u32>],
    /// Empty, or a list of given tokens per row.
    pub token_ids: &'a [&'a [u32]],
}

impl<'a> ShardQuery<'a> {
    /// Nothing, if this can be asked of so many rows.
    pub(super) fn validate(&self, rows: usize, vocab: usize) -> Result<()> {
        self.params.validate()?;
        validate_targets(self.targets, rows, vocab)?;
        validate_token_ids(self.token_ids, rows, vocab)
    }

    pub(super) fn target(&self, row: usize) -> Option<u32> {
        self.targets.get(row).copied().flatten()
    }

    pub(super) fn given(&self, row: usize) -> &'a [u32] {
        self.token_ids.get(row).copied().unwrap_or(&[])
    }

    /// The tokens that a row is asked about: the target, then the given ones. Keys stand in this order.
    pub(super) fn asked(&self, row: usize) -> impl Iterator<Item = u32> + use<'a> {
        self.target(row).into_iter().chain(self.given(row).iter().copied())
    }

    /// The keys of each row, out of those of all, which must be known.
    pub(super) fn keys_of_rows<'k>(&self, rows: usize, keys: &'k [i32]) -> Result<Vec<&'k [i32]>> {
        let mut rest = keys;
        let mut of_rows = Vec::with_capacity(rows);
        for row in 0..rows {
            let n_asked = self.asked(row).count();
            let Some((own, further)) = rest.split_at_checked(n_asked) else {
                return Err(self.wrong_count(rows, keys.len()));
            };
            if let Some((token, _)) = self.asked(row).zip(own).find(|(_, key)| **key == ELSEWHERE) {
                return Err(Error::Shard(format!(
                    "no shard knows the key of token {token} of row {row}: take the maximum, element by element, of the keys \
                     that every shard gives"
                )));
            }
            if let Some((token, key)) = self.asked(row).zip(own).find(|(_, key)| !is_key(**key)) {
                return Err(Error::Shard(format!(
                    "{key} of token {token} of row {row} is no logit's key: take the maximum, element by element, of the keys \
                     that every shard gives, not their sum"
                )));
            }
            of_rows.push(own);
            rest = further;
        }
        if rest.is_empty() { Ok(of_rows) } else { Err(self.wrong_count(rows, keys.len())) }
    }

    fn wrong_count(&self, rows: usize, keys: usize) -> Error {
        let n_asked: usize = (0..rows).map(|row| self.asked(row).count()).sum();
        Error::Shard(format!(
            "{keys} keys for {n_asked} tokens that are asked about: give the keys of this query, one for each"
        ))
    }
}
