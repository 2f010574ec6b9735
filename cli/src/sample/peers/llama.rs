//! What llama.cpp's server says of sampling: its samplers in their order, its numbers for what is off.

use serde_json::{Map, Value};

use super::put::put;

/// Their keys that tell a request of llama.cpp.
const OWN: &[&str] =
    &["n_predict", "n_keep", "n_probs", "repeat_last_n", "repeat_penalty", "samplers", "cache_prompt"];

/// Steps of llama.cpp's `samplers`, the letter of each in a text of letters, and ours.
const SAMPLERS: &[(&str, char, Option<&str>)] = &[
    ("dry", 'd', None),
    ("penalties", 'e', None),
    ("top_n_sigma", 's', Some("top_n_sigma")),
    ("top_k", 'k', Some("top_k")),
    ("typ_p", 'y', Some("typical_p")),
    ("typical_p", 'y', Some("typical_p")),
    ("top_p", 'p', Some("top_p")),
    ("min_p", 'm', Some("min_p")),
    ("xtc", 'x', Some("xtc")),
    ("temperature", 't', Some("temperature")),
];

/// Numbers of the steps that Mirostat takes the place of.
const REPLACED: &[&str] = &[
    "samplers",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "xtc_probability",
    "xtc_threshold",
    "dynatemp_range",
    "dynatemp_exponent",
];
const PENALTIES: &[&str] = &["repeat_penalty", "presence_penalty", "frequency_penalty", "repeat_last_n"];

/// Whether an object is a request of llama.cpp.
pub(super) fn is_llama(object: &Map<String, Value>) -> bool {
    OWN.iter().any(|key| object.contains_key(*key))
}

fn leave(object: &mut Map<String, Value>, keys: &[&str]) {
    object.retain(|key, _| !keys.contains(&key.as_str()));
}

/// llama.cpp's number for a seed that is to be found.
pub(super) fn choose_seed(object: &mut Map<String, Value>, is_llama: bool) {
    let is_default = object.get("seed").and_then(Value::as_u64) == Some(u64::from(u32::MAX));
    if is_default && is_llama {
        object.insert("seed".to_owned(), Value::from(-1));
    }
}

/// llama.cpp's number of a version, of which there is the second, which takes the place of penalties and filters; 0, or nothing
/// in a request of its own, is none.
pub(super) fn choose_mirostat(object: &mut Map<String, Value>, is_llama: bool) -> Result<(), String> {
    let version = match object.get("mirostat") {
        None if is_llama => Value::from(0),
        Some(version) if !version.is_object() => version.clone(),
        _ => return Ok(()),
    };
    object.remove("mirostat");
    match version.as_u64() {
        Some(0) => leave(object, &["mirostat_tau", "mirostat_eta"]),
        Some(2) => {
            object.entry("mirostat_tau").or_insert_with(|| Value::from(5));
            object.entry("order").or_insert_with(|| Value::from("llama"));
            leave(object, REPLACED);
            leave(object, PENALTIES);
            object.retain(|key, _| !key.starts_with("dry_"));
        }
        _ => return Err(format!("mirostat {version} is neither 0, off, nor 2: there is version 2 alone")),
    }
    Ok(())
}

/// llama.cpp's list of samplers, or its letters: what it leaves out does not act, and filters act in its order. What it says that
/// cannot be is added to the keys that would change what is drawn.
pub(super) fn choose_order(
    object: &mut Map<String, Value>,
    changing: &mut Vec<String>,
) -> Result<(), String> {
    let Some(samplers) = object.remove("samplers") else { return Ok(()) };
    let names: Vec<String> = match &samplers {
        Value::String(letters) => letters.chars().map(String::from).collect(),
        Value::Array(list) => list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => return Err(format!("samplers: {samplers} is no list of names")),
    };
    let (mut order, mut left_out) = (Vec::new(), vec!["dry", "penalties"]);
    for name in &names {
        let is_named = |&&(step, letter, _): &&(&str, char, Option<&str>)| {
            *name == step || name.chars().eq([letter]) && samplers.is_string()
        };
        match SAMPLERS.iter().find(is_named) {
            Some((_, _, Some(ours))) if !order.contains(ours) => order.push(*ours),
            Some((step, _, None)) if left_out.contains(step) => {
                left_out.retain(|other| other != step);
                changing.extend((!order.is_empty()).then(|| format!("samplers: {step} behind a filter")));
            }
            Some((step, ..)) => changing.push(format!("samplers: {step} a second time")),
            None => changing.push(format!("samplers: {name}")),
        }
    }
    if left_out.contains(&"dry") {
        object.retain(|key, _| !key.starts_with("dry_"));
    }
    if left_out.contains(&"penalties") {
        leave(object, PENALTIES);
    }
    for (step, keys) in [
        ("top_n_sigma", &["top_n_sigma"][..]),
        ("top_k", &["top_k"]),
        ("typical_p", &["typical_p"]),
        ("top_p", &["top_p"]),
        ("min_p", &["min_p"]),
        ("xtc", &["xtc_probability", "xtc_threshold"]),
        ("temperature", &["temperature", "temp", "dynatemp_range", "dynatemp_exponent"]),
    ] {
        if !order.contains(&step) {
            leave(object, keys);
        }
    }
    put(object, "samplers", "order", Value::from(order))
}

/// What llama.cpp writes when it is off, with numbers that it would have.
pub(super) fn leave_what_is_off(object: &mut Map<String, Value>, is_llama: bool) {
    let is = |key: &str, off: f64| object.get(key).and_then(Value::as_f64).is_none_or(|value| value == off);
    let mut off = Vec::new();
    if object.contains_key("dry_multiplier") && is("dry_multiplier", 0.0) {
        let numbers = object.keys().filter(|key| key.starts_with("dry_") && *key != "dry_multiplier");
        off.extend(numbers.cloned());
    }
    if is_llama {
        let penalties = [("repeat_penalty", 1.0), ("presence_penalty", 0.0), ("frequency_penalty", 0.0)];
        for (key, has_no_use) in [
            ("xtc_threshold", is("xtc_probability", 0.0)),
            ("dynatemp_exponent", is("dynatemp_range", 0.0)),
            ("repeat_last_n", penalties.iter().all(|(penalty, none)| is(penalty, *none))),
        ] {
            off.extend(has_no_use.then(|| key.to_owned()));
        }
    }
    object.retain(|key, _| !off.contains(key));
}
