//! Objects of parameters as vLLM, Hugging Face, OpenAI and llama.cpp write them, in our keys.

mod changing;
mod llama;
mod put;

use serde_json::{Map, Value};

use self::changing::would_change;
use self::llama::{choose_mirostat, choose_order, choose_seed, is_llama, leave_what_is_off};
use self::put::put;

/// Their keys that say the same as one of ours.
const SAME: &[(&str, &str)] = &[
    ("temp", "temperature"),
    ("typical", "typical_p"),
    ("repeat_penalty", "repetition_penalty"),
    ("repeat_last_n", "penalty_last_n"),
    ("min_new_tokens", "min_tokens"),
    ("max_new_tokens", "max_tokens"),
    ("max_completion_tokens", "max_tokens"),
    ("n_predict", "max_tokens"),
    ("n_cmpl", "n"),
    ("num_return_sequences", "n"),
    ("n_probs", "raw_logprobs"),
];

/// Their keys for parts of one of ours.
const PARTS: &[(&str, &str, &str)] = &[
    ("mirostat_tau", "mirostat", "tau"),
    ("mirostat_eta", "mirostat", "eta"),
    ("dry_multiplier", "dry", "multiplier"),
    ("dry_base", "dry", "base"),
    ("dry_allowed_length", "dry", "allowed_length"),
    ("dry_penalty_last_n", "dry", "last_n"),
    ("dry_sequence_breakers", "dry", "sequence_breakers"),
];

/// Their keys for more of a list of ours.
const MORE: &[(&str, &str)] = &[
    ("eos_token_id", "stop_token_ids"),
    ("_eos_token_id", "stop_token_ids"),
    ("_all_stop_token_ids", "stop_token_ids"),
    ("bad_words_ids", "bad_words"),
    ("_bad_words_token_ids", "bad_words"),
    ("suppress_tokens", "bad_words"),
];

/// Keys of vLLM's arguments for the processors that models bring: that of DeepSeek-OCR.
const EXTRA: &[(&str, &str)] = &[
    ("ngram_size", "no_repeat_ngram_size"),
    ("window_size", "no_repeat_ngram_window"),
    ("whitelist_token_ids", "penalty_exempt_token_ids"),
];

/// Their keys that would pass for misspelt ones of ours, and nothing of ours says.
const THEIRS: &[&str] = &["bos_token_id", "cls_token_id", "eot_token_id", "eod_token_id"];

/// The filters in the order of transformers, where it has them; the others where `vllm` has them.
const TRANSFORMERS_ORDER: [&str; 13] = [
    "temperature",
    "top_n_sigma",
    "top_h",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "p_less",
    "top_a",
    "xtc",
    "mirostat",
];
/// Its top-k where a file says nothing: files have what differs from its defaults.
const TRANSFORMERS_TOP_K: u32 = 50;

/// Keys of nobody that are meant for one of ours, which has other letters: the option's name, and short forms.
const MEANT: &[(&str, &str)] = &[("profile", "order"), ("typ_p", "typical_p"), ("typ", "typical_p")];

/// An object in our keys.
pub(super) struct Translated {
    pub(super) object: Map<String, Value>,
    /// What their program takes where neither the object nor anybody else says something.
    pub(super) defaults: Map<String, Value>,
    /// Keys that are not used.
    pub(super) unused: Vec<String>,
    /// Those that are not, and would change what is drawn.
    pub(super) changing: Vec<String>,
}

/// Puts our keys in place of theirs. `ours` are all that we have.
pub(super) fn translate(mut object: Map<String, Value>, ours: &[String]) -> Result<Translated, String> {
    object.retain(|_, value| !value.is_null());
    let mut unused = Vec::new();
    let is_theirs = |key: &String| {
        !ours.contains(key)
            && (THEIRS.contains(&key.as_str()) || nearest(key, ours).is_none_or(|near| near == key))
    };
    let has_theirs = object.keys().any(is_theirs);
    let defaults = defaults(&object);
    choose_greedy(&mut object, &mut unused);
    let is_llama = is_llama(&object);
    let mut changing = Vec::new();
    choose_seed(&mut object, is_llama);
    leave_texts(&mut object, &mut unused);
    choose_mirostat(&mut object, is_llama)?;
    choose_order(&mut object, &mut changing)?;
    leave_what_is_off(&mut object, is_llama);
    choose_words(&mut object);
    take_extra(&mut object, &mut unused)?;
    choose_logprobs(&mut object, &mut unused)?;
    // As many as one likes.
    let lengths = ["max_tokens", "max_new_tokens", "max_completion_tokens", "n_predict"];
    object.retain(|key, value| !lengths.contains(&key.as_str()) || value.as_i64() != Some(-1));
    for (theirs, ours) in SAME {
        if let Some(value) = object.remove(*theirs) {
            put(&mut object, theirs, ours, value)?;
        }
    }
    for (theirs, ours, part) in PARTS {
        if let Some(value) = object.remove(*theirs) {
            match object.entry(*ours).or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(whole) => put(whole, theirs, part, value)?,
                _ => return Err(format!("{ours} is an object, with {part}")),
            }
        }
    }
    for (theirs, ours) in MORE {
        if let Some(value) = object.remove(*theirs) {
            add(&mut object, theirs, ours, value)?;
        }
    }
    if object.get("bad_words").and_then(Value::as_array).is_some_and(|list| list.iter().any(Value::is_string))
    {
        return Err("bad_words are texts: give their token ids, such as [[1, 2], [7]]".to_owned());
    }
    // A stream of answers is none of draws.
    if object.get("stream").is_some_and(Value::is_boolean) {
        unused.extend(object.remove("stream").map(|_| "stream".to_owned()));
    }
    let strangers: Vec<String> = object.keys().filter(|key| !ours.contains(key)).cloned().collect();
    for key in strangers {
        let value = object.remove(&key).unwrap_or_default();
        if would_change(&key, &value) {
            changing.push(key);
            continue;
        }
        match nearest(&key, ours) {
            None => unused.push(key),
            // It may well be another program's.
            Some(near) if has_theirs => unused.push(format!("{key} (is it {near}?)")),
            Some(near) => return Err(format!("there is no key {key:?}: is it {near:?}?")),
        }
    }
    Ok(Translated { object, defaults, unused, changing })
}

/// Adds ids to a list of ours.
fn add(object: &mut Map<String, Value>, theirs: &str, ours: &str, value: Value) -> Result<(), String> {
    fn is_of_ids(value: &Value) -> bool {
        match value {
            Value::Array(list) => list.iter().all(is_of_ids),
            id => id.as_u64().is_some_and(|id| u32::try_from(id).is_ok()),
        }
    }
    if !is_of_ids(&value) {
        return Err(format!("{theirs}: {value} is no list of token ids, whole numbers from 0 on"));
    }
    let more = match value {
        Value::Array(list) if theirs == "suppress_tokens" => {
            list.into_iter().map(|id| Value::Array(vec![id])).collect()
        }
        Value::Array(list) => list,
        id => vec![id],
    };
    match object.entry(ours).or_insert_with(|| Value::Array(Vec::new())) {
        Value::Array(list) => list.extend(more),
        _ => return Err(format!("{ours} is a list")),
    }
    Ok(())
}

/// Hugging Face's word for greedy, whatever the temperature says; greedy, too, is a file of transformers without it.
fn choose_greedy(object: &mut Map<String, Value>, unused: &mut Vec<String>) {
    match object.get("do_sample") {
        None if object.contains_key("transformers_version") => {
            unused.push("do_sample (missing: greedy, as in transformers)".to_owned());
            object.insert("temperature".to_owned(), Value::from(0));
        }
        Some(value) if *value == Value::Bool(false) || value == "false" => {
            object.remove("do_sample");
            let given = object.insert("temperature".to_owned(), Value::from(0));
            let is_other = given.is_some_and(|given| given.as_f64() != Some(0.0));
            unused.extend(is_other.then(|| "temperature (do_sample: false is greedy)".to_owned()));
        }
        Some(_) => unused.extend(object.remove("do_sample").map(|_| "do_sample".to_owned())),
        None => {}
    }
}

/// What transformers samples with where its file says nothing.
fn defaults(object: &Map<String, Value>) -> Map<String, Value> {
    let mut defaults = Map::new();
    let is_greedy = |value: &Value| *value == Value::Bool(false) || value == "false";
    if !object.contains_key("transformers_version") || object.get("do_sample").is_none_or(is_greedy) {
        return defaults;
    }
    defaults.insert("top_k".to_owned(), Value::from(TRANSFORMERS_TOP_K));
    defaults.insert("order".to_owned(), Value::from(TRANSFORMERS_ORDER.as_slice()));
    defaults
}

/// A prompt of a completion's request may be a text, or some.
fn leave_texts(object: &mut Map<String, Value>, unused: &mut Vec<String>) {
    let has_text = |value: &Value| {
        value.is_string() || value.as_array().is_some_and(|list| list.iter().any(Value::is_string))
    };
    if object.get("prompt").is_some_and(has_text) {
        object.remove("prompt");
        unused.push("prompt (texts are not tokenised here: give token ids)".to_owned());
    }
}

/// Words as ids, where texts stand beside them; and no word that is an end alone, which transformers drops; vLLM keeps the ends
/// that do not end a request apart.
fn choose_words(object: &mut Map<String, Value>) {
    let is_text = |words: &Value| words.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    if object.contains_key("_bad_words_token_ids") && object.get("bad_words").is_some_and(is_text) {
        object.remove("bad_words");
    }
    if object.get("ignore_eos") == Some(&Value::Bool(true)) {
        object.remove("_all_stop_token_ids");
    }
    let ends: Vec<Value> = match object.get("eos_token_id") {
        Some(Value::Array(list)) => list.clone(),
        Some(id) => vec![id.clone()],
        None => Vec::new(),
    };
    if let Some(Value::Array(words)) = object.get_mut("bad_words_ids") {
        words.retain(|word| !matches!(word.as_array().map(Vec::as_slice), Some([id]) if ends.contains(id)));
    }
}

/// What vLLM hands to processors of logits, as `extra_args` or in a request as `vllm_xargs`.
fn take_extra(object: &mut Map<String, Value>, unused: &mut Vec<String>) -> Result<(), String> {
    for name in ["extra_args", "vllm_xargs"] {
        if !object.get(name).is_some_and(Value::is_object) {
            continue;
        }
        let Some(Value::Object(mut extra)) = object.remove(name) else { continue };
        if extra.contains_key("ngram_size") {
            extra.entry("window_size").or_insert_with(|| Value::from(100));
        }
        for (key, value) in extra {
            match EXTRA.iter().find(|(theirs, _)| *theirs == key) {
                Some((theirs, ours)) => put(object, theirs, ours, value)?,
                None => unused.push(format!("{name}.{key}")),
            }
        }
    }
    Ok(())
}

/// vLLM's number of logprobs, or OpenAI's two keys: of the raw distribution, both. (llama.cpp's 0 is none.)
fn choose_logprobs(object: &mut Map<String, Value>, unused: &mut Vec<String>) -> Result<(), String> {
    if object.get("n_probs").and_then(Value::as_u64) == Some(0) {
        object.remove("n_probs");
    }
    let top = object.remove("top_logprobs");
    let count = match object.remove("logprobs") {
        // llama.cpp's own number goes before OpenAI's.
        Some(Value::Bool(true)) if object.contains_key("n_probs") => {
            unused.extend(top.map(|_| "top_logprobs (n_probs goes before)".to_owned()));
            return Ok(());
        }
        Some(Value::Bool(true)) => top.unwrap_or(Value::from(0)),
        Some(Value::Bool(false)) | None => {
            unused.extend(top.map(|_| "top_logprobs".to_owned()));
            return Ok(());
        }
        Some(number) => {
            unused.extend(top.map(|_| "top_logprobs (logprobs is a number)".to_owned()));
            number
        }
    };
    put(object, "logprobs", "raw_logprobs", count)
}

/// The key of ours, or one that is read as ours, that a stranger is likely to mean.
fn nearest<'a>(stranger: &str, ours: &'a [String]) -> Option<&'a str> {
    if THEIRS.contains(&stranger) || stranger.len() > 40 { None } else { likely(stranger, ours) }
}

/// The known key of nearly the same letters.
fn likely<'a>(stranger: &str, ours: &'a [String]) -> Option<&'a str> {
    let most = match stranger.len() {
        0..=2 => 0,
        3..=7 => 1,
        _ => 2,
    };
    if let Some((_, ours)) = MEANT.iter().find(|(theirs, _)| *theirs == stranger) {
        return Some(ours);
    }
    let theirs = SAME.iter().chain(MORE).map(|(theirs, _)| *theirs).chain(PARTS.iter().map(|(key, ..)| *key));
    ours.iter()
        .map(String::as_str)
        .chain(theirs)
        .filter(|key| key.len().abs_diff(stranger.len()) <= most)
        .map(|key| (strsim::osa_distance(stranger, key), key))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::params_file::own_keys;

    #[test]
    fn each_of_their_keys_would_pass_for_a_misspelt_one() {
        let ours = own_keys();
        let dead: Vec<_> = THEIRS.iter().filter(|key| likely(key, &ours).is_none()).collect();
        assert_eq!(dead, [&""; 0]);
    }
}
