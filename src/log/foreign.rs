//! Tokens in the words of other programs, and records of what these say: an id may be unknown, and so may the rest of
//! the distribution.

use std::borrow::Cow;

use super::chosen::Chosen;
use super::record::{LogprobsRecord, TokenLogprob};
use crate::answer::Status;

/// OpenAI's and vLLM's word for a token that is as good as impossible.
pub(super) const UNLIKELY: f64 = -9999.0;

/// How a token without a text is spelled, as by vLLM's `return_tokens_as_token_ids`.
const BY_ID: &str = "token_id:";

/// The text of a token, or its id in its place.
pub(super) fn spelled<'r>(token: Option<u32>, text: Option<&'r str>) -> Cow<'r, str> {
    match (text, token) {
        (Some(text), _) => Cow::Borrowed(text),
        (None, Some(token)) => Cow::Owned(format!("{BY_ID}{token}")),
        (None, None) => Cow::Borrowed(""),
    }
}

/// The logprob where it is a finite number, else the schema's word for none.
pub(super) fn finite(logprob: Option<f64>, none: f64) -> f64 {
    logprob.filter(|logprob| logprob.is_finite()).unwrap_or(none)
}

/// What another program says of a token.
#[derive(Debug, Default)]
pub(super) struct ForeignToken {
    /// Its id, where it is told beside the text.
    pub(super) id: Option<u32>,
    /// Its text, or the spelling of its id.
    pub(super) text: Option<String>,
    pub(super) bytes: Option<Vec<u8>>,
    /// Nothing for a token of which it says nothing, as the first one of a prompt.
    pub(super) logprob: Option<f64>,
    pub(super) rank: Option<u32>,
}

/// The positions of a request; none where nothing is said of one.
pub(super) type Positions = Vec<Option<LogprobsRecord<'static>>>;

/// Id, text and bytes, as records have them.
type Parts = (Option<u32>, Option<Cow<'static, str>>, Option<Cow<'static, [u8]>>);

impl ForeignToken {
    fn parts(self) -> Parts {
        let of_text = self.text.as_deref().and_then(|text| text.strip_prefix(BY_ID)?.parse().ok());
        let text = match &self.bytes {
            Some(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            None => self.text.filter(|_| of_text.is_none()),
        };
        (self.id.or(of_text), text.map(Cow::Owned), self.bytes.map(Cow::Owned))
    }

    fn entry(self) -> Option<TokenLogprob<'static>> {
        let logprob = infinite(self.logprob?);
        let (token, text, bytes) = self.parts();
        // A list has possible tokens only.
        logprob.is_finite().then_some(TokenLogprob { token, text, bytes, logprob })
    }
}

/// The record of a token and its alternatives; none where nothing is said of the token. Its place is given later.
pub(super) fn record(token: ForeignToken, top: Vec<ForeignToken>) -> Option<LogprobsRecord<'static>> {
    let (logprob, rank) = (infinite(token.logprob?), token.rank);
    let (token, text, bytes) = token.parts();
    let mut top: Vec<TokenLogprob<'_>> = top.into_iter().filter_map(ForeignToken::entry).collect();
    // Some servers put the chosen token first.
    top.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
    Some(LogprobsRecord {
        request: 0,
        position: 0,
        token,
        text,
        bytes,
        logprob: Some(logprob),
        rank,
        logsumexp: None,
        entropy: None,
        top,
        token_logprobs: Vec::new(),
        status: Status::Ok,
    })
}

/// −infinity for what stands for it: JSON has no word for it. Of llama-server it is the least number of f32.
fn infinite(logprob: f64) -> f64 {
    if logprob.total_cmp(&UNLIKELY).is_eq() || logprob <= f64::from(f32::MIN) {
        f64::NEG_INFINITY
    } else {
        logprob
    }
}

/// The chosen token of a record as one of a list.
pub(super) fn chosen_entry<'r>(chosen: &Chosen<'r>, none: f64) -> TokenLogprob<'r> {
    TokenLogprob {
        token: chosen.token,
        text: chosen.text.map(Cow::Borrowed),
        bytes: chosen.bytes.map(Cow::Borrowed),
        logprob: finite(chosen.logprob, none),
    }
}
