//! Objects of parameters as vLLM, Hugging Face, OpenAI and llama.cpp write them, in our keys.

use serde_json::{Map, Value};

/// Their keys that say the same as one of ours.
const SAME: &[(&str, &str)] = &[
    ("temp", "temperature"),
    ("typical", "typical_p"),
    ("repeat_penalty", "repetition_penalty"),
    ("repeat_last_n", "penalty_last_n"),
    ("min_new_tokens", "min_tokens"),
    ("max_new_tokens", "max_tokens"),
    ("max_completion_tokens", "max_tokens"),
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

/// Their keys that tell a request of llama.cpp.
const LLAMA: &[&str] =
    &["n_predict", "n_keep", "n_probs", "repeat_last_n", "repeat_penalty", "samplers", "cache_prompt"];

/// An object in our keys.
pub(super) struct Translated {
    pub(super) object: Map<String, Value>,
    /// What their program takes where neither the object nor anybody else says something.
    pub(super) defaults: Map<String, Value>,
    /// Keys that are not used.
    pub(super) unused: Vec<String>,
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
    choose_seed(&mut object);
    leave_texts(&mut object, &mut unused);
    choose_mirostat(&mut object)?;
    take_extra(&mut object, &mut unused)?;
    choose_logprobs(&mut object, &mut unused)?;
    if object.get("dry_multiplier").and_then(Value::as_f64) == Some(0.0) {
        // llama.cpp writes all of DRY's numbers, with texts as breakers, when it is off.
        object.retain(|key, _| key == "dry_multiplier" || !key.starts_with("dry_"));
    }
    // As many as one likes.
    let lengths = ["max_tokens", "max_new_tokens", "max_completion_tokens"];
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
        object.remove(&key);
        match nearest(&key, ours) {
            None => unused.push(key),
            // It may well be another program's.
            Some(near) if has_theirs => unused.push(format!("{key} (is it {near}?)")),
            Some(near) => return Err(format!("there is no key {key:?}: is it {near:?}?")),
        }
    }
    Ok(Translated { object, defaults, unused })
}

/// Puts a value in its place, if that is free.
fn put(object: &mut Map<String, Value>, theirs: &str, ours: &str, value: Value) -> Result<(), String> {
    match object.insert(ours.to_owned(), value) {
        None => Ok(()),
        Some(other) if Some(&other) == object.get(ours) => Ok(()),
        Some(_) => Err(format!("{theirs} and {ours} say the same: keep one of them")),
    }
}

/// Adds ids to a list of ours.
fn add(object: &mut Map<String, Value>, theirs: &str, ours: &str, value: Value) -> Result<(), String> {
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

/// llama.cpp's number for a seed that is to be found.
fn choose_seed(object: &mut Map<String, Value>) {
    let is_default = object.get("seed").and_then(Value::as_u64) == Some(u64::from(u32::MAX));
    if is_default && LLAMA.iter().any(|key| object.contains_key(*key)) {
        object.insert("seed".to_owned(), Value::from(-1));
    }
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

/// llama.cpp's number of a version, of which there is the second; 0 is none.
fn choose_mirostat(object: &mut Map<String, Value>) -> Result<(), String> {
    let Some(version) = object.get("mirostat").filter(|value| !value.is_object()).cloned() else {
        return Ok(());
    };
    object.remove("mirostat");
    match version.as_u64() {
        Some(0) => {
            object.remove("mirostat_tau");
            object.remove("mirostat_eta");
        }
        Some(2) => {
            object.entry("mirostat_tau").or_insert_with(|| Value::from(5));
        }
        _ => return Err(format!("mirostat {version} is neither 0, off, nor 2: there is version 2 alone")),
    }
    Ok(())
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
        Some(Value::Bool(true)) => top.unwrap_or(Value::from(0)),
        Some(Value::Bool(false)) | None => {
            unused.extend(top.map(|_| "top_logprobs".to_owned()));
            return Ok(());
        }
        Some(number) => number,
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
