//! What llama.cpp's server says of sampling: its samplers in their order, its numbers for what is off.

use serde_json::{Map, Value};

use super::put::put;

/// Their keys that tell a request of llama.cpp.
const OWN: &[&str] =
    &["n_predict", "n_keep", "n_probs", "repeat_last_n", "repeat_penalty", "samplers", "cache_prompt"];

/// A step of llama.cpp's `samplers`: its names, its letter in a text of letters, the filter of ours, and its numbers.
struct Sampler(&'static [&'static str], char, Option<&'static str>, &'static [&'static str]);

const SAMPLERS: &[Sampler] = &[
    Sampler(
        &["dry"],
        'd',
        None,
        &["dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"],
    ),
    Sampler(
        &["penalties"],
        'e',
        None,
        &["repeat_penalty", "presence_penalty", "frequency_penalty", "repeat_last_n"],
    ),
    Sampler(&["top_n_sigma"], 's', Some("top_n_sigma"), &["top_n_sigma"]),
    Sampler(&["top_k"], 'k', Some("top_k"), &["top_k"]),
    Sampler(&["typ_p", "typical_p"], 'y', Some("typical_p"), &["typical_p"]),
    Sampler(&["top_p"], 'p', Some("top_p"), &["top_p"]),
    Sampler(&["min_p"], 'm', Some("min_p"), &["min_p"]),
    Sampler(&["xtc"], 'x', Some("xtc"), &["xtc_probability", "xtc_threshold"]),
    Sampler(
        &["temperature"],
        't',
        Some("temperature"),
        &["temperature", "temp", "dynatemp_range", "dynatemp_exponent"],
    ),
];

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
            // A fixed temperature stays.
            let replaced = SAMPLERS.iter().flat_map(|sampler| sampler.3);
            let replaced: Vec<&str> =
                replaced.copied().filter(|key| !["temperature", "temp"].contains(key)).collect();
            leave(object, &replaced);
            leave(object, &["samplers"]);
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
    let (mut order, mut left_out) = (Vec::new(), SAMPLERS.iter().collect::<Vec<_>>());
    for name in &names {
        let is_named = |&&Sampler(steps, letter, ..): &&Sampler| {
            steps.contains(&name.as_str()) || name.chars().eq([letter]) && samplers.is_string()
        };
        let Some(place) = left_out.iter().position(&is_named) else {
            let known = SAMPLERS.iter().find(is_named);
            changing.push(known.map_or_else(
                || format!("samplers: {name}"),
                |Sampler(steps, ..)| format!("samplers: {} a second time", steps[0]),
            ));
            continue;
        };
        match left_out.remove(place) {
            Sampler(_, _, Some(ours), _) => order.push(*ours),
            Sampler(steps, ..) => {
                changing
                    .extend((!order.is_empty()).then(|| format!("samplers: {} behind a filter", steps[0])));
            }
        }
    }
    for Sampler(.., keys) in left_out {
        leave(object, keys);
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
