//! The faults of the kernel that keeps histories; `src/gpu/ahead_tests.rs` has those that validation does not show.

use super::Fault;

pub(super) const ROW_HISTORY: &[Fault] = faults! {
    "the last token is not taken in": "n_tokens - 1u] = token;" => "n_tokens - 2u] = token;";
    "what leaves the window stays": "DOES_COUNT, 0xffffffffu" => "DOES_COUNT, 0u";
    "only the last token counts": "place = asked(AHEAD_ACCEPTED) + lane" => "place = n_tokens - 1u + lane";
    "kept counts are forgotten": "count += atomicLoad" => "count -= atomicLoad";
    "the penalties change places": "multiply_float(asked(AHEAD_FREQUENCY)" => "multiply_float(asked(AHEAD_PRESENCE)";
    "a repeat goes on twice as fast": "select(0u, before + 1u, token_at" => "select(0u, before + 2u, token_at";
    "an n-gram is one token longer": "let least = asked(AHEAD_NGRAM) - 1u" => "let least = asked(AHEAD_NGRAM)";
    "none are exempt": "if !is_listed(exempt_at()" => "if true || !is_listed(exempt_at()";
    "the last of a list is not looked at": "var high = count;" => "var high = count - 1u;";
    "a stop token is not early": "i < early" => "i + 1u < early";
    "the limit moves twice as fast": "asked(AHEAD_ETA)), 31u)" => "asked(AHEAD_ETA)), 30u)";
    "the table is not emptied": "select(0u, CHANGE_EMPTY, is_word)" => "0u";
    "tokens lie elsewhere": "spread ^ (spread >> 15u)" => "spread ^ (spread >> 16u)";
    "the call is not looked at": "!= asked(AHEAD_CALL)" => "== asked(AHEAD_CALL)";
};
