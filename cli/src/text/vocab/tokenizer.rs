//! tokenizer.json of Hugging Face's tokenizers: a model with its pieces, a decoder that says how they are spelled, and
//! added tokens.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::pieces::Pieces;
use super::spelling::{SPACE, Spelling, Step, end_of_word};
use super::table::Vocab;
use crate::failure::note;

/// Bytes of a decoder and of each of its neighbours: the largest normalizers have some hundred thousand.
const MAX_PART_BYTES: usize = 4 << 20;

/// Steps of a decoder and bytes of a replacement: real ones have six, and three.
const MAX_STEPS: usize = 64;
const MAX_REPLACEMENT_BYTES: usize = 256;

#[derive(Deserialize)]
struct Tokenizer<'a> {
    model: Model,
    #[serde(borrow)]
    decoder: Option<&'a RawValue>,
    #[serde(borrow)]
    pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow)]
    normalizer: Option<&'a RawValue>,
    added_tokens: Option<Vec<AddedToken>>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Pieces,
    byte_fallback: Option<bool>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
    content: String,
    #[serde(default)]
    special: bool,
}

/// The tokens of a tokenizer.json.
pub(super) fn read(json: &str) -> Result<Vocab, String> {
    let tokenizer: Tokenizer<'_> =
        serde_json::from_str(json).map_err(|error| format!("no readable tokenizer.json: {error}"))?;
    let spelling = spelling(&tokenizer)?;
    let mut vocab = tokenizer.model.vocab.spelled(&spelling)?;
    for AddedToken { id, content, special } in tokenizer.added_tokens.unwrap_or_default() {
        let bytes = if special { content.into_bytes() } else { spelling.spell_added(&content) };
        // An added token may stand in the model's vocabulary, too: its own text goes over the spelled one.
        vocab.put(id, bytes)?;
    }
    Ok(vocab)
}

/// The spelling that the decoder declares; of a tokenizer without one, what its other parts or its pieces show.
fn spelling(tokenizer: &Tokenizer<'_>) -> Result<Spelling, String> {
    let mut decoder = Decoder::default();
    decoder.add(&part(tokenizer.decoder)?);
    let count = decoder.steps.len() + decoder.unknown.len();
    if count > MAX_STEPS {
        return Err(format!("its decoder has {count} steps: at most {MAX_STEPS} are read"));
    }
    for step in &decoder.unknown {
        note!("note: the tokenizer's decoder has a step {step}, which is not known: texts are as without it");
    }
    let mut steps = decoder.steps;
    let model = &tokenizer.model;
    if steps.is_empty() {
        steps = undeclared(model, &[part(tokenizer.pre_tokenizer)?, part(tokenizer.normalizer)?]);
    }
    if steps.is_empty() {
        steps = model.vocab.spelling().0;
    }
    let is_byte_level = steps.contains(&Step::ByteLevel);
    if model.byte_fallback == Some(true) && !is_byte_level && !steps.contains(&Step::ByteFallback) {
        steps.push(Step::ByteFallback);
    }
    let sign = model.end_of_word_suffix.as_deref().filter(|sign| !sign.is_empty());
    let is_taken =
        |sign: &str| steps.iter().any(|step| matches!(step, Step::Replace { from, .. } if from == sign));
    if let Some(sign) = sign.filter(|sign| !is_taken(sign)) {
        steps.insert(0, end_of_word(sign, is_byte_level));
    }
    Ok(Spelling(steps))
}

fn part(raw: Option<&RawValue>) -> Result<Value, String> {
    let Some(raw) = raw else { return Ok(Value::Null) };
    if raw.get().len() > MAX_PART_BYTES {
        return Err(format!("a part beside the model has more than {MAX_PART_BYTES} bytes"));
    }
    serde_json::from_str(raw.get()).map_err(|error| format!("no valid JSON: {error}"))
}

/// The steps that the parts before a model take back.
fn undeclared(model: &Model, parts: &[Value; 2]) -> Vec<Step> {
    let has = |kind: &str| parts.iter().any(|part| has_step(part, kind));
    if has("ByteLevel") {
        vec![Step::ByteLevel]
    } else if has("Metaspace") {
        Spelling::sentencepiece().0
    } else if model.kind.as_deref() == Some("WordPiece") {
        let prefix = model.continuing_subword_prefix.clone().unwrap_or_else(|| "##".to_owned());
        vec![Step::WordPiece { prefix, cleanup: false }]
    } else {
        Vec::new()
    }
}

/// Whether a part is of this kind, or has a step of it.
fn has_step(part: &Value, kind: &str) -> bool {
    let steps = ["pretokenizers", "normalizers"].iter().filter_map(|list| part[*list].as_array()).flatten();
    part["type"] == kind || steps.into_iter().any(|step| has_step(step, kind))
}

/// The steps of a decoder that bear on a token alone.
#[derive(Default)]
struct Decoder {
    steps: Vec<Step>,
    /// What follows on the whole text.
    is_fused: bool,
    unknown: Vec<String>,
}

impl Decoder {
    fn add(&mut self, decoder: &Value) {
        let text = |key: &str| decoder[key].as_str();
        let flag = |key: &str| decoder[key].as_bool().unwrap_or(true);
        let count = |key: &str| usize::try_from(decoder[key].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
        match decoder["type"].as_str() {
            Some("Sequence") => {
                decoder["decoders"].as_array().into_iter().flatten().for_each(|step| self.add(step))
            }
            Some("ByteLevel") => self.steps.push(Step::ByteLevel),
            Some("ByteFallback") => self.steps.push(Step::ByteFallback),
            Some("Metaspace") => self.steps.push(Step::replace(text("replacement").unwrap_or(SPACE), " ")),
            Some("BPEDecoder") => self.steps.push(Step::replace(text("suffix").unwrap_or("</w>"), " ")),
            Some("WordPiece") => {
                let prefix = text("prefix").unwrap_or("##").to_owned();
                self.steps.push(Step::WordPiece { prefix, cleanup: flag("cleanup") });
            }
            Some("CTC") => {
                self.steps.push(Step::replace(text("pad_token").unwrap_or("<pad>"), ""));
                self.steps.push(Step::replace(text("word_delimiter_token").unwrap_or("|"), " "));
            }
            Some("Replace") => match (decoder["pattern"]["String"].as_str(), text("content")) {
                (Some(from), Some(to)) if !from.is_empty() && to.len() <= MAX_REPLACEMENT_BYTES => {
                    self.steps.push(Step::replace(from, to))
                }
                _ => self.unknown.push(format!("Replace of {}", decoder["pattern"])),
            },
            Some("Fuse") => self.is_fused = true,
            Some("Strip") if self.is_fused => {}
            Some("Strip") => {
                let content = text("content").and_then(|content| content.chars().next()).unwrap_or(' ');
                self.steps.push(Step::Strip { content, start: count("start"), stop: count("stop") });
            }
            Some(other) => self.unknown.push(other.to_owned()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(decoder: &str) -> Vec<Step> {
        let mut read = Decoder::default();
        read.add(&serde_json::from_str(decoder).expect("JSON"));
        assert_eq!(read.unknown, [""; 0]);
        read.steps
    }

    #[test]
    fn a_decoder_declares_its_steps() {
        let llama = r#"{"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}"#;
        assert_eq!(steps(llama), Spelling::sentencepiece().0);
        assert_eq!(steps(r#"{"type": "Metaspace", "replacement": "_"}"#), [Step::replace("_", " ")]);
        assert_eq!(steps(r#"{"type": "BPEDecoder", "suffix": "@"}"#), [Step::replace("@", " ")]);
        let strip = Step::Strip { content: '.', start: 0, stop: 2 };
        assert_eq!(steps(r#"{"type": "Strip", "content": ".", "start": 0, "stop": 2}"#), [strip]);
        assert_eq!(steps("null"), []);
    }

    #[test]
    fn steps_that_are_not_known_are_kept_for_a_note() {
        let mut decoder = Decoder::default();
        let json = r#"{"type": "Sequence", "decoders": [{"type": "Cyrillic"},
            {"type": "Replace", "pattern": {"Regex": "^ "}, "content": ""}]}"#;
        decoder.add(&serde_json::from_str(json).expect("JSON"));
        assert_eq!((decoder.unknown.len(), decoder.steps.len()), (2, 0));
    }
}
