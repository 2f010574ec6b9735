//! The tokens of records as those of a text: the one that it goes on with, and any one as part of a sequence. What a
//! record is stands in `record`.

use super::record::Record;
use crate::answer::ScoredToken;

/// The token of a record that its text goes on with: the given one, or the first that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Chosen<'r> {
    /// Token id; none in logs of others that name tokens by their texts.
    pub token: Option<u32>,
    /// Its bytes as text.
    pub text: Option<&'r str>,
    /// Its bytes.
    pub bytes: Option<&'r [u8]>,
    /// Its natural logprob (of a sample, in the processed distribution); none in a row that is no distribution.
    pub logprob: Option<f64>,
    /// Its rank there.
    pub rank: Option<u32>,
}

impl Record<'_> {
    /// The token that its text goes on with, if there is one.
    #[must_use]
    pub fn chosen(&self) -> Option<Chosen<'_>> {
        match self {
            Self::Logprobs(record) => record.has_target().then_some(Chosen {
                token: record.token,
                text: record.text.as_deref(),
                bytes: record.bytes.as_deref(),
                logprob: record.logprob,
                rank: record.rank,
            }),
            Self::Sample(record) => record.draws.first().map(|draw| Chosen {
                token: Some(draw.token),
                text: draw.text.as_deref(),
                bytes: draw.bytes.as_deref(),
                logprob: Some(draw.logprob),
                rank: Some(draw.rank),
            }),
        }
    }

    /// What it says of a token as one of a sequence: of the chosen one, of one that was asked for by its id, or of one of
    /// the list (of a sample, of the processed distribution). Nothing of others, and in a row that is no distribution. The
    /// greedy token is the first of the list; without a list it is unknown whether one of rank 1 is, or of none. The rank of
    /// a listed token that has none of its own is by logprobs, to which two logits may round.
    #[must_use]
    pub fn scored(&self, token: u32) -> Option<ScoredToken> {
        let (top, given) = (self.top(), self.token_logprobs());
        let chosen = self.chosen().filter(|chosen| chosen.token == Some(token));
        let chosen = chosen.and_then(|chosen| Some((chosen.logprob?, chosen.rank)));
        let asked = || given.iter().find(|one| one.token == token).map(|one| (one.logprob, Some(one.rank)));
        let listed = || {
            let logprob = top.iter().find(|one| one.token == Some(token))?.logprob;
            #[expect(clippy::cast_possible_truncation, reason = "a list has at most 2^20 entries")]
            let rank = 1 + top.iter().filter(|one| one.logprob > logprob).count() as u32;
            Some((logprob, Some(rank)))
        };
        let (logprob, rank) = chosen.or_else(asked).or_else(listed)?;
        let rank = rank.or_else(|| listed()?.1);
        let is_greedy = match top.first() {
            Some(first) => Some(first.token == Some(token)),
            None => rank.filter(|&rank| rank > 1).map(|_| false),
        };
        Some(ScoredToken { token, logprob, rank, is_greedy })
    }
}
