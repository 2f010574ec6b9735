//! The first field in which two records differ, by the bits of its numbers. Every field of a record is named here: the
//! compiler asks for one that is added.

use std::borrow::Cow;
use std::fmt::{Arguments, Debug};

use super::record::{
    DistributionRecord, DrawRecord, GivenToken, Kind, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};
use crate::answer::{FinishReason, Status};

/// A field, and what both records say of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differing {
    pub(super) name: String,
    pub(super) logged: String,
    pub(super) derived: String,
}

/// Where a record of a log differs first from the derived one. Without texts, a text need only be that of its bytes.
pub(super) fn difference(logged: &Record<'_>, derived: &Record<'_>, has_texts: bool) -> Option<Differing> {
    let mut search = Search { has_texts, found: None };
    match (logged, derived) {
        (Record::Logprobs(logged), Record::Logprobs(derived)) => search.logprobs(logged, derived),
        (Record::Sample(logged), Record::Sample(derived)) => search.sample(logged, derived),
        _ => search.field(format_args!("the command"), &logged.kind(), &derived.kind()),
    }
    search.found
}

/// What can be compared and shown.
trait Value {
    fn is_same(&self, other: &Self) -> bool;
    fn shown(&self) -> String;
}

impl Value for f64 {
    /// Bits: 0 is not −0.
    fn is_same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }

    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl<T: Value> Value for Option<T> {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(value), Some(other)) => value.is_same(other),
            (None, None) => true,
            _ => false,
        }
    }

    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".to_owned(), Value::shown)
    }
}

/// Values of which equality is all there is.
macro_rules! by_equality {
    ($($type:ty)*) => {
        $(impl Value for $type {
            fn is_same(&self, other: &Self) -> bool {
                self == other
            }

            fn shown(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}

by_equality!(u32 u64 usize bool Cow<'_, str> Cow<'_, [u8]>);

impl Value for Status {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn shown(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for FinishReason {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn shown(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for Kind {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn shown(&self) -> String {
        match self {
            Self::Logprobs => "log".to_owned(),
            Self::Sample => "sample".to_owned(),
        }
    }
}

/// A search for the first difference.
struct Search {
    has_texts: bool,
    found: Option<Differing>,
}

/// Text and bytes of a token.
type Spelling<'r, 'a> = (&'r Option<Cow<'a, str>>, &'r Option<Cow<'a, [u8]>>);

impl Search {
    /// Compares fields of this name, unless a difference was found before.
    fn field<T: Value>(&mut self, name: Arguments<'_>, logged: &T, derived: &T) {
        if self.found.is_none() && !logged.is_same(derived) {
            let (name, logged, derived) = (name.to_string(), logged.shown(), derived.shown());
            self.found = Some(Differing { name, logged, derived });
        }
    }

    fn logprobs(&mut self, logged: &LogprobsRecord<'_>, derived: &LogprobsRecord<'_>) {
        let LogprobsRecord {
            request,
            position,
            token,
            text,
            bytes,
            logprob,
            rank,
            logsumexp,
            entropy,
            top,
            token_logprobs,
            status,
        } = logged;
        self.field(format_args!("request"), request, &derived.request);
        self.field(format_args!("position"), position, &derived.position);
        self.field(format_args!("status"), status, &derived.status);
        self.field(format_args!("token"), token, &derived.token);
        self.spelling(format_args!(""), (text, bytes), (&derived.text, &derived.bytes));
        self.field(format_args!("logprob"), logprob, &derived.logprob);
        self.field(format_args!("rank"), rank, &derived.rank);
        self.field(format_args!("logsumexp"), logsumexp, &derived.logsumexp);
        self.field(format_args!("entropy"), entropy, &derived.entropy);
        self.list(format_args!("top"), top, &derived.top);
        self.given(format_args!("token_logprobs"), token_logprobs, &derived.token_logprobs);
    }

    fn sample(&mut self, logged: &SampleRecord<'_>, derived: &SampleRecord<'_>) {
        let SampleRecord {
            request,
            position,
            status,
            finish_reason,
            seed,
            stream,
            temperature,
            kept,
            kept_mass,
            draws,
            processed,
            raw,
        } = logged;
        self.field(format_args!("request"), request, &derived.request);
        self.field(format_args!("position"), position, &derived.position);
        self.field(format_args!("status"), status, &derived.status);
        self.field(format_args!("finish_reason"), finish_reason, &derived.finish_reason);
        self.field(format_args!("seed"), seed, &derived.seed);
        self.field(format_args!("stream"), stream, &derived.stream);
        self.field(format_args!("temperature"), temperature, &derived.temperature);
        self.field(format_args!("kept"), kept, &derived.kept);
        self.field(format_args!("kept_mass"), kept_mass, &derived.kept_mass);
        self.field(format_args!("length of draws"), &draws.len(), &derived.draws.len());
        for (number, (logged, derived)) in draws.iter().zip(&derived.draws).enumerate() {
            self.draw(number, logged, derived);
        }
        self.distribution("processed", processed, &derived.processed);
        self.field(format_args!("presence of raw"), &raw.is_some(), &derived.raw.is_some());
        if let (Some(logged), Some(derived)) = (raw, &derived.raw) {
            self.distribution("raw", logged, derived);
        }
    }

    fn draw(&mut self, number: usize, logged: &DrawRecord<'_>, derived: &DrawRecord<'_>) {
        let DrawRecord { token, text, bytes, logprob, rank, raw_logprob, raw_rank } = logged;
        self.field(format_args!("draws[{number}].token"), token, &derived.token);
        let spelling = (&derived.text, &derived.bytes);
        self.spelling(format_args!("draws[{number}]."), (text, bytes), spelling);
        self.field(format_args!("draws[{number}].logprob"), logprob, &derived.logprob);
        self.field(format_args!("draws[{number}].rank"), rank, &derived.rank);
        self.field(format_args!("draws[{number}].raw_logprob"), raw_logprob, &derived.raw_logprob);
        self.field(format_args!("draws[{number}].raw_rank"), raw_rank, &derived.raw_rank);
    }

    fn distribution(
        &mut self,
        name: &str,
        logged: &DistributionRecord<'_>,
        derived: &DistributionRecord<'_>,
    ) {
        let DistributionRecord { status, logsumexp, entropy, top, token_logprobs } = logged;
        self.field(format_args!("{name}.status"), status, &derived.status);
        self.field(format_args!("{name}.logsumexp"), logsumexp, &derived.logsumexp);
        self.field(format_args!("{name}.entropy"), entropy, &derived.entropy);
        self.list(format_args!("{name}.top"), top, &derived.top);
        self.given(format_args!("{name}.token_logprobs"), token_logprobs, &derived.token_logprobs);
    }

    fn given(&mut self, name: Arguments<'_>, logged: &[GivenToken<'_>], derived: &[GivenToken<'_>]) {
        self.field(format_args!("length of {name}"), &logged.len(), &derived.len());
        for (number, (logged, derived)) in logged.iter().zip(derived).enumerate() {
            let GivenToken { token, text, bytes, logprob, rank, set_logprob } = logged;
            self.field(format_args!("{name}[{number}].token"), token, &derived.token);
            let spelling = (&derived.text, &derived.bytes);
            self.spelling(format_args!("{name}[{number}]."), (text, bytes), spelling);
            self.field(format_args!("{name}[{number}].logprob"), logprob, &derived.logprob);
            self.field(format_args!("{name}[{number}].rank"), rank, &derived.rank);
            self.field(format_args!("{name}[{number}].set_logprob"), set_logprob, &derived.set_logprob);
        }
    }

    fn list(&mut self, name: Arguments<'_>, logged: &[TokenLogprob<'_>], derived: &[TokenLogprob<'_>]) {
        self.field(format_args!("length of {name}"), &logged.len(), &derived.len());
        for (number, (logged, derived)) in logged.iter().zip(derived).enumerate() {
            let TokenLogprob { token, text, bytes, logprob } = logged;
            self.field(format_args!("{name}[{number}].token"), token, &derived.token);
            let spelling = (&derived.text, &derived.bytes);
            self.spelling(format_args!("{name}[{number}]."), (text, bytes), spelling);
            self.field(format_args!("{name}[{number}].logprob"), logprob, &derived.logprob);
        }
    }

    /// Compares text and bytes of a token.
    fn spelling(
        &mut self,
        name: Arguments<'_>,
        (text, bytes): Spelling<'_, '_>,
        (derived_text, derived_bytes): Spelling<'_, '_>,
    ) {
        if self.has_texts {
            self.field(format_args!("{name}text"), text, derived_text);
            self.field(format_args!("{name}bytes"), bytes, derived_bytes);
        } else {
            let of_bytes = bytes.as_deref().map(String::from_utf8_lossy);
            self.field(format_args!("{name}text"), text, &of_bytes);
        }
    }
}
