//! Keys of other programs that would change what is drawn, and that nothing here does.

use serde_json::Value;

/// Whether this key with this value is one of them.
pub(super) fn would_change(key: &str, value: &Value) -> bool {
    CHANGING.iter().any(|&(name, off)| name == key && !is_off(value, off))
}

/// Each with the numbers that leave it off, beside what is false or empty.
const CHANGING: &[(&str, &[f64])] = &[
    ("adaptive_target", &[-1.0]),
    ("begin_suppress_tokens", &[]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("exponential_decay_length_penalty", &[]),
    ("force_words_ids", &[]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
    ("grammar", &[]),
    ("guidance_scale", &[1.0]),
    ("guided_choice", &[]),
    ("guided_decoding", &[]),
    ("guided_grammar", &[]),
    ("guided_json", &[]),
    ("guided_regex", &[]),
    ("ignore_eos", &[]),
    ("json_schema", &[]),
    ("min_keep", &[0.0, 1.0]),
    ("min_length", &[0.0]),
    ("num_beam_groups", &[1.0]),
    ("num_beams", &[1.0]),
    ("penalty_alpha", &[0.0]),
    ("response_format", &[]),
    ("sequence_bias", &[]),
    ("structured_outputs", &[]),
    ("tfs_z", &[1.0]),
    ("use_beam_search", &[]),
];

/// Whether a value says that nothing is done. An object does where all its values do, and so does OpenAI's format of a text.
fn is_off(value: &Value, off: &[f64]) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_on) => !is_on,
        Value::Number(number) => number.as_f64().is_some_and(|number| off.contains(&number)),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => {
            object.get("type").is_some_and(|kind| kind == "text")
                || object.values().all(|value| is_off(value, &[]))
        }
    }
}
