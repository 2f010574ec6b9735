//! Keys of other programs that would change what is drawn, and that nothing here does.

use serde_json::Value;

/// Whether this key with this value is one of them.
pub(super) fn would_change(key: &str, value: &Value) -> bool {
    CHANGING.iter().any(|&(name, off)| name == key && !is_off(value, off))
}

/// Each with what else is off, beside 0, false and what
/// is empty.
const CHANGING: &[(&str, i64)] = &[
    ("adaptive_target", -1),
    ("encoder_repetition_penalty", 1),
    ("exponential_decay_length_penalty", 0),
    ("force_words_ids", 0),
    ("forced_bos_token_id", 0),
    ("forced_eos_token_id", 0),
    ("grammar", 0),
    ("guidance_scale", 1),
    ("guided_choice", 0),
    ("guided_grammar", 0),
    ("guided_json", 0),
    ("guided_regex", 0),
    ("ignore_eos", 0),
    ("json_schema", 0),
    ("min_length", 0),
    ("num_beams", 1),
    ("penalty_alpha", 0),
    ("response_format", 0),
    ("sequence_bias", 0),
    ("structured_outputs", 0),
    ("tfs_z", 1),
    ("use_beam_search", 0),
];

/// Whether a value says that nothing is done.
fn is_off(value: &Value, off: i64) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_on) => !is_on,
        Value::Number(number) => number.as_f64().is_some_and(|number| number == 0.0 || number == off as f64),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}
