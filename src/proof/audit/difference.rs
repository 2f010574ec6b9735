//! Two answers, bit for bit.

use std::iter;

use crate::answer::{Distribution, Divergence, Drawn, Logprobs, Sample, TargetLogprob, TopLogprob};

/// What an engine may answer, as it is compared with another engine's: values, lists of them, what a row says.
pub trait Answer {
    /// Whether every bit is the same. A single NaN equals any other; so does
    /// [`Sample::reopened`](crate::Sample::reopened), which is no part of the answer.
    fn is_same(&self, other: &Self) -> bool;

    /// Its fields in words, one after the other: different bits, different words.
    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_>;
}

/// The first field in which two answers differ, with both values: `entry 3: token 7, … instead of entry 3: token 9, …`.
/// Nothing if every bit is the same.
#[must_use]
pub fn difference<A: Answer + ?Sized>(got: &A, expected: &A) -> Option<String> {
    if got.is_same(expected) {
        return None;
    }
    let (mut got, mut expected) = (got.fields(), expected.fields());
    loop {
        match (got.next(), expected.next()) {
            (None, None) => return Some("NaNs of different bits".to_owned()),
            (got, expected) if got == expected => {}
            (got, expected) => {
                let [got, expected] =
                    [got, expected].map(|words| words.unwrap_or_else(|| "nothing".to_owned()));
                return Some(around(&got, &expected));
            }
        }
    }
}

/// Words that long are cut to what surrounds their first difference.
const MOST_CHARS: usize = 160;

pub(super) fn around(got: &str, expected: &str) -> String {
    let same = got.chars().zip(expected.chars()).take_while(|(a, b)| a == b).count();
    let cut = |words: &str| -> String {
        if words.chars().count() <= MOST_CHARS {
            return words.to_owned();
        }
        let first = same.saturating_sub(60);
        let dots = if first > 0 { "…" } else { "" };
        dots.chars().chain(words.chars().skip(first).take(MOST_CHARS)).collect()
    };
    format!("{} instead of {}", cut(got), cut(expected))
}

impl Answer for f32 {
    fn is_same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        Box::new(iter::once(format!("{self:?}")))
    }
}

impl Answer for u32 {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        Box::new(iter::once(self.to_string()))
    }
}

impl<A: Answer> Answer for [A] {
    fn is_same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(own, other)| own.is_same(other))
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        let named = |(place, value): (usize, &_)| {
            let fields: Vec<String> = Answer::fields(value).collect();
            fields.into_iter().map(move |words| format!("{place}: {words}"))
        };
        Box::new(iter::once(format!("{} values", self.len())).chain(self.iter().enumerate().flat_map(named)))
    }
}

impl<A: Answer> Answer for Vec<A> {
    fn is_same(&self, other: &Self) -> bool {
        self.as_slice().is_same(other)
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        self.as_slice().fields()
    }
}

impl<A: Answer, B: Answer> Answer for (A, B) {
    fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0) && self.1.is_same(&other.1)
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        Box::new(self.0.fields().chain(self.1.fields()))
    }
}

impl Answer for Logprobs {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        let target =
            iter::once_with(|| format!("target: {}", self.target.as_ref().map_or_else(none, of_target)));
        Box::new(of_distribution("", &self.distribution).chain(target))
    }
}

impl Answer for Divergence {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        let Self { statuses: [p, q], kl, reverse_kl, jensen_shannon } = self;
        let fields = [
            format!("status of P {p}"),
            format!("status of Q {q}"),
            format!("kl {kl:?}"),
            format!("reverse kl {reverse_kl:?}"),
            format!("jensen-shannon {jensen_shannon:?}"),
        ];
        Box::new(fields.into_iter())
    }
}

impl Answer for Sample {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn fields(&self) -> Box<dyn Iterator<Item = String> + '_> {
        let Self {
            status,
            draws,
            seed,
            temperature,
            kept,
            kept_mass,
            kept_ends,
            accepted,
            processed,
            raw,
            ..
        } = self;
        let head = [
            format!("status {status}"),
            format!("seed {seed}"),
            format!("temperature {temperature:?}"),
            format!("kept {kept} tokens"),
            format!("kept mass {kept_mass:?}"),
            format!("kept ends {kept_ends:?}"),
            format!("accepted {accepted:?}"),
            format!("{} draws", draws.len()),
        ];
        let draws =
            draws.iter().enumerate().map(|(number, drawn)| format!("draw {number}: {}", of_drawn(drawn)));
        let raw = raw.as_ref().map_or_else(
            || {
                Box::new(iter::once("no raw distribution".to_owned()))
                    as Box<dyn Iterator<Item = String> + '_>
            },
            |raw| Box::new(of_distribution("raw ", raw)),
        );
        Box::new(head.into_iter().chain(draws).chain(of_distribution("processed ", processed)).chain(raw))
    }
}

fn of_distribution<'a>(prefix: &'a str, of: &'a Distribution) -> impl Iterator<Item = String> + 'a {
    let Distribution { status, max, logsumexp, entropy, top_logprobs, token_logprobs } = of;
    let head = [
        format!("{prefix}status {status}"),
        format!("{prefix}max {max:?}"),
        format!("{prefix}logsumexp {logsumexp:?}"),
        format!("{prefix}entropy {entropy:?}"),
        format!("{prefix}{} entries", top_logprobs.len()),
        format!("{prefix}{} given tokens", token_logprobs.len()),
    ];
    let entry = move |(place, entry): (usize, &TopLogprob)| {
        let TopLogprob { token, logit, logprob } = entry;
        format!("{prefix}entry {place}: token {token}, logit {logit:?}, logprob {logprob:?}")
    };
    let given = move |(place, target): (usize, &TargetLogprob)| {
        format!("{prefix}given token {place}: {}", of_target(target))
    };
    let entries = top_logprobs.iter().enumerate().map(entry);
    head.into_iter().chain(entries).chain(token_logprobs.iter().enumerate().map(given))
}

fn of_target(target: &TargetLogprob) -> String {
    let TargetLogprob { token, logit, logprob, n_greater, n_equal } = target;
    format!("token {token}, logit {logit:?}, logprob {logprob:?}, {n_greater} greater, {n_equal} equal")
}

fn of_drawn(drawn: &Drawn) -> String {
    let Drawn { token, logprob, processed, raw, surprise: _ } = drawn;
    let raw = raw.as_ref().map_or_else(none, of_target);
    format!("token {token}, logprob {logprob:?}, processed {}, raw {raw}", of_target(processed))
}

fn none() -> String {
    "none".to_owned()
}
