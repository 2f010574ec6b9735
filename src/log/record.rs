//! Records as logs hold them. In memory a logprob may be −infinity; formats without infinities leave it out, and a
//! token without a logprob in a row that is a distribution is read as −infinity again.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use super::texts::Texts;
use crate::answer::{Distribution, Drawn, FinishReason, Logprobs, Sample, Status, TargetLogprob, TopLogprob};

/// What a log says of one row of logits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record<'a> {
    /// Of `sortilege log`, from a [`Logprobs`].
    Logprobs(LogprobsRecord<'a>),
    /// Of `sortilege sample`, from a [`Sample`].
    Sample(SampleRecord<'a>),
}

/// Which records a log holds: all are of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Given tokens and what their rows say.
    Logprobs,
    /// Drawn tokens, and from what they were drawn.
    Sample,
}

/// A row's distribution, and the token that was given for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogprobsRecord<'a> {
    /// Number of the request, from 0.
    pub request: u64,
    /// Position in the request, from 0.
    pub position: u64,
    /// The target; of logs of others there may be its text alone.
    pub token: Option<u32>,
    /// Its bytes as text.
    pub text: Option<Cow<'a, str>>,
    /// Its bytes.
    pub bytes: Option<Cow<'a, [u8]>>,
    /// Its natural logprob, at the temperature of the log.
    pub logprob: Option<f64>,
    /// Its rank: 1 plus the tokens with a larger logit.
    pub rank: Option<u32>,
    /// Log-sum-exp of the row, nats.
    pub logsumexp: Option<f64>,
    /// Entropy of the row, nats.
    pub entropy: Option<f64>,
    /// The most probable tokens, the most probable first.
    pub top: Vec<TokenLogprob<'a>>,
    /// The tokens that were asked for by their ids, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_logprobs: Vec<GivenToken<'a>>,
    /// Whether the row is a distribution.
    pub status: Status,
}

/// A token of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLogprob<'a> {
    /// Token id; none in logs of others that name tokens by their texts.
    pub token: Option<u32>,
    /// Its bytes as text.
    pub text: Option<Cow<'a, str>>,
    /// Its bytes.
    pub bytes: Option<Cow<'a, [u8]>>,
    /// Its natural logprob.
    pub logprob: f64,
}

/// A token that was asked for by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenToken<'a> {
    /// Token id.
    pub token: u32,
    /// Its bytes as text.
    pub text: Option<Cow<'a, str>>,
    /// Its bytes.
    pub bytes: Option<Cow<'a, [u8]>>,
    /// Its natural logprob; −infinity where it is impossible.
    #[serde(deserialize_with = "finite_or_impossible")]
    pub logprob: f64,
    /// Its rank: 1 plus the tokens with a larger logit.
    pub rank: u32,
    /// Its natural logprob among the tokens that were asked for
    /// ([`Distribution::token_set_logprobs`]).
    #[serde(deserialize_with = "finite_or_impossible")]
    pub set_logprob: f64,
}

/// What was drawn from a row, and from what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRecord<'a> {
    /// Number of the request, from 0.
    pub request: u64,
    /// Number of the token in its request, from 0 after the prompt: with seed and stream it gives the draws again.
    pub position: u64,
    /// Whether there was something to draw from.
    pub status: Status,
    /// Why the request has finished, with this row or before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Seed of the draws.
    pub seed: u64,
    /// Tells draws with one seed and one position apart.
    pub stream: u32,
    /// The temperature that was drawn at.
    pub temperature: Option<f64>,
    /// Tokens that the filters kept.
    pub kept: u32,
    /// Their probability before the filters.
    pub kept_mass: Option<f64>,
    /// The drawn tokens.
    pub draws: Vec<DrawRecord<'a>>,
    /// The distribution that was drawn from.
    pub processed: DistributionRecord<'a>,
    /// That of the logits as they are, where it was asked for.
    pub raw: Option<DistributionRecord<'a>>,
}

/// A drawn token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawRecord<'a> {
    /// Token id.
    pub token: u32,
    /// Its bytes as text.
    pub text: Option<Cow<'a, str>>,
    /// Its bytes.
    pub bytes: Option<Cow<'a, [u8]>>,
    /// Its natural logprob in the processed distribution.
    pub logprob: f64,
    /// Its rank among the kept tokens.
    pub rank: u32,
    /// Its logprob in the raw distribution.
    pub raw_logprob: Option<f64>,
    /// Its rank there.
    pub raw_rank: Option<u32>,
}

/// A distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistributionRecord<'a> {
    /// Whether it is one: the raw one may be none where the processed one, without some tokens, is one.
    pub status: Status,
    /// Log-sum-exp, nats.
    pub logsumexp: Option<f64>,
    /// Entropy, nats.
    pub entropy: Option<f64>,
    /// The most probable tokens, the most probable first.
    pub top: Vec<TokenLogprob<'a>>,
    /// The tokens that were asked for by their ids, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_logprobs: Vec<GivenToken<'a>>,
}

impl<'a> Record<'a> {
    /// The record of a row of `logprobs`, and of its target.
    #[must_use]
    pub fn logprobs(
        request: u64,
        position: u64,
        target: Option<u32>,
        row: &Logprobs,
        texts: Texts<'a>,
    ) -> Self {
        let Distribution { status, logsumexp, entropy, top_logprobs, .. } = &row.distribution;
        Self::Logprobs(LogprobsRecord {
            request,
            position,
            token: target,
            text: target.and_then(|token| texts.text(token)),
            bytes: target.and_then(|token| texts.bytes(token)).map(Cow::Borrowed),
            logprob: row.target.map(|target| target.logprob),
            rank: row.target.as_ref().map(TargetLogprob::rank),
            logsumexp: number(*logsumexp),
            entropy: number(*entropy),
            top: list(top_logprobs, texts),
            token_logprobs: given(&row.distribution, texts),
            status: *status,
        })
    }

    /// The record of a row of `sample`.
    #[must_use]
    pub fn sample(request: u64, position: u64, row: &Sample, texts: Texts<'a>) -> Self {
        Self::Sample(SampleRecord {
            request,
            position,
            status: row.status,
            finish_reason: row.finish_reason,
            seed: row.seed,
            stream: row.stream,
            temperature: number(row.temperature),
            kept: row.kept,
            kept_mass: number(row.kept_mass),
            draws: row.draws.iter().map(|drawn| draw(drawn, texts)).collect(),
            processed: distribution(&row.processed, texts),
            raw: row.raw.as_ref().map(|raw| distribution(raw, texts)),
        })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Logprobs(_) => Kind::Logprobs,
            Self::Sample(_) => Kind::Sample,
        }
    }

    /// Number of its request.
    #[must_use]
    pub const fn request(&self) -> u64 {
        match self {
            Self::Logprobs(record) => record.request,
            Self::Sample(record) => record.request,
        }
    }

    /// Its position in the request.
    #[must_use]
    pub const fn position(&self) -> u64 {
        match self {
            Self::Logprobs(record) => record.position,
            Self::Sample(record) => record.position,
        }
    }

    /// Whether its row is a distribution (of a sample, the processed one).
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Logprobs(record) => record.status,
            Self::Sample(record) => record.status,
        }
    }

    /// Whether its token is a target: given, so that it is right. Of a record without a log-sum-exp, as those of other programs
    /// are, nobody knows whether it was given or drawn.
    #[must_use]
    pub const fn is_of_target(&self) -> bool {
        matches!(self, Self::Logprobs(record) if record.has_target() && record.logsumexp.is_some())
    }

    /// Entropy of its distribution (of a sample, the processed one), nats.
    #[must_use]
    pub const fn entropy(&self) -> Option<f64> {
        match self {
            Self::Logprobs(record) => record.entropy,
            Self::Sample(record) => record.processed.entropy,
        }
    }

    /// Its most probable tokens (of a sample, of the processed distribution).
    #[must_use]
    pub fn top(&self) -> &[TokenLogprob<'a>] {
        match self {
            Self::Logprobs(record) => &record.top,
            Self::Sample(record) => &record.processed.top,
        }
    }

    /// The tokens that were asked for by their ids (of a sample, in the processed distribution).
    #[must_use]
    pub fn token_logprobs(&self) -> &[GivenToken<'a>] {
        match self {
            Self::Logprobs(record) => &record.token_logprobs,
            Self::Sample(record) => &record.processed.token_logprobs,
        }
    }
}

impl LogprobsRecord<'_> {
    /// Whether a token was given, by its id or by its text.
    pub(super) const fn has_target(&self) -> bool {
        self.token.is_some() || self.text.is_some()
    }

    /// Gives a target its −infinity back, for which a format has no number.
    pub(super) fn restore_infinity(&mut self) {
        if self.has_target() && self.status == Status::Ok {
            self.logprob.get_or_insert(f64::NEG_INFINITY);
        }
    }
}

fn draw<'a>(drawn: &Drawn, texts: Texts<'a>) -> DrawRecord<'a> {
    DrawRecord {
        token: drawn.token,
        text: texts.text(drawn.token),
        bytes: texts.bytes(drawn.token).map(Cow::Borrowed),
        logprob: drawn.logprob,
        rank: drawn.processed.rank(),
        raw_logprob: drawn.raw.map(|raw| raw.logprob),
        raw_rank: drawn.raw.as_ref().map(TargetLogprob::rank),
    }
}

fn distribution<'a>(row: &Distribution, texts: Texts<'a>) -> DistributionRecord<'a> {
    DistributionRecord {
        status: row.status,
        logsumexp: number(row.logsumexp),
        entropy: number(row.entropy),
        top: list(&row.top_logprobs, texts),
        token_logprobs: given(row, texts),
    }
}

fn given<'a>(row: &Distribution, texts: Texts<'a>) -> Vec<GivenToken<'a>> {
    let token = |(entry, set_logprob): (&TargetLogprob, f64)| GivenToken {
        token: entry.token,
        text: texts.text(entry.token),
        bytes: texts.bytes(entry.token).map(Cow::Borrowed),
        logprob: entry.logprob,
        rank: entry.rank(),
        set_logprob,
    };
    row.token_logprobs.iter().zip(row.token_set_logprobs()).map(token).collect()
}

fn list<'a>(top: &[TopLogprob], texts: Texts<'a>) -> Vec<TokenLogprob<'a>> {
    let entry = |entry: &TopLogprob| TokenLogprob {
        token: Some(entry.token),
        text: texts.text(entry.token),
        bytes: texts.bytes(entry.token).map(Cow::Borrowed),
        logprob: entry.logprob,
    };
    top.iter().map(entry).collect()
}

/// A number, or −infinity, for which a format has none.
fn finite_or_impossible<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Option::deserialize(value).map(|number| number.unwrap_or(f64::NEG_INFINITY))
}

/// What there is of a number that a row without a distribution has not.
fn number(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}
