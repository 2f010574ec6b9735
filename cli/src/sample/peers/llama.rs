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

/// llama.cpp's number for a seed that is to be found.
pub(super) fn choose_seed(object: &mut Map<String, Value>) {
    let is_default = object.get("seed").and_then(Value::as_u64) == Some(u64::from(u32::MAX));
    if is_default && OWN.iter().any(|key| object.contains_key(*key)) {
        object.insert("seed".to_owned(), Value::from(-1));
    }
}

/// llama.cpp's number of a version, of which there is the second; 0 is none.
pub(super) fn choose_mirostat(object: &mut Map<String, Value>) -> Result<(), String> {
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

/// llama.cpp's list of samplers, or its letters: what it leaves out does not act, and what is listed acts in its order, where
/// Mirostat does not stand in for all of them.
pub(super) fn choose_order(object: &mut Map<String, Value>, unused: &mut Vec<String>) -> Result<(), String> {
    let Some(samplers) = object.remove("samplers") else { return Ok(()) };
    if object.contains_key("mirostat_tau") {
        unused.push("samplers (mirostat takes their place)".to_owned());
        return Ok(());
    }
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
            Some((step, _, None)) => left_out.retain(|other| other != step),
            Some(_) => {}
            None => unused.push(format!("samplers: {name}")),
        }
    }
    if left_out.contains(&"dry") {
        object.retain(|key, _| !key.starts_with("dry_"));
    }
    if left_out.contains(&"penalties") {
        let penalties = ["repeat_penalty", "presence_penalty", "frequency_penalty", "repeat_last_n"];
        object.retain(|key, _| !penalties.contains(&key.as_str()));
    }
    // What does not act is not asked for.
    for (step, key, switch) in [
        ("top_n_sigma", "top_n_sigma", None),
        ("top_k", "top_k", None),
        ("typical_p", "typical_p", None),
        ("top_p", "top_p", None),
        ("min_p", "min_p", None),
        ("xtc", "xtc_probability", Some("xtc_threshold")),
        ("temperature", "dynatemp_range", Some("dynatemp_exponent")),
    ] {
        if !order.contains(&step) {
            object.retain(|name, _| name != key && Some(name.as_str()) != switch);
        }
    }
    put(object, "samplers", "order", Value::from(order))
}

/// What llama.cpp writes when it is off, with numbers that it would have.
pub(super) fn leave_what_is_off(object: &mut Map<String, Value>) {
    let is = |key: &str, off: f64| object.get(key).and_then(Value::as_f64).is_none_or(|value| value == off);
    let mut off = Vec::new();
    if object.contains_key("dry_multiplier") && is("dry_multiplier", 0.0) {
        let numbers = object.keys().filter(|key| key.starts_with("dry_") && *key != "dry_multiplier");
        off.extend(numbers.cloned());
    }
    if OWN.iter().any(|key| object.contains_key(*key)) {
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
