//! The columns, and how many leaves their parts have.

use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;

use crate::log::record::Kind;

/// The most probable tokens of a distribution.
macro_rules! top {
    () => {
        "required group top (LIST) { repeated group list { required group element {
            optional int32 token; optional binary text (STRING); optional binary bytes; required double logprob;
        } } }"
    };
}

/// Tokens that were asked for by their ids.
macro_rules! token_logprobs {
    () => {
        "required group token_logprobs (LIST) { repeated group list { required group element {
            required int32 token; optional binary text (STRING); optional binary bytes; required double logprob;
            required int32 rank; required double set_logprob;
        } } }"
    };
}

const LOGPROBS: &str = concat!(
    "message logprobs {
        required int64 request; required int64 position; required binary status (STRING);
        optional int32 token; optional binary text (STRING); optional binary bytes;
        optional double logprob; optional int32 rank; optional double logsumexp; optional double entropy;",
    top!(),
    token_logprobs!(),
    "}"
);

const SAMPLE: &str = concat!(
    "message sample {
        required int64 request; required int64 position; required binary status (STRING);
        required int64 seed (INTEGER(64, false)); required int64 stream; optional double temperature;
        required int32 kept; optional double kept_mass;
        required group draws (LIST) { repeated group list { required group element {
            required int32 token; optional binary text (STRING); optional binary bytes;
            required double logprob; required int32 rank; optional double raw_logprob; optional int32 raw_rank;
        } } }
        required group processed {
            required binary status (STRING); optional double logsumexp; optional double entropy;",
    top!(),
    token_logprobs!(),
    "} optional group raw {
            required binary status (STRING); optional double logsumexp; optional double entropy;",
    top!(),
    token_logprobs!(),
    "} optional binary finish_reason (STRING); }"
);

/// Leaves of an element of each list, and of a distribution.
pub(super) const TOP_LEAVES: usize = 4;
pub(super) const TOKEN_LOGPROB_LEAVES: usize = 6;
pub(super) const DRAW_LEAVES: usize = 7;
pub(super) const DISTRIBUTION_LEAVES: usize = 3 + TOP_LEAVES + TOKEN_LOGPROB_LEAVES;

/// The columns of records of a kind.
pub(super) fn schema(kind: Kind) -> Type {
    let text = match kind {
        Kind::Logprobs => LOGPROBS,
        Kind::Sample => SAMPLE,
    };
    parse_message_type(text).expect("our own schema")
}
