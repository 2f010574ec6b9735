//! tekken.json of Mistral: special tokens have the first ids, and the ranks of tiktoken's kind follow, as many as fit the
//! vocabulary (`mistral_common/tokens/tokenizers/tekken.py`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::table::Vocab;

#[derive(Deserialize)]
struct Tekken {
    config: Config,
    vocab: Vec<Ranked>,
    special_tokens: Option<Vec<Special>>,
}

#[derive(Deserialize)]
struct Config {
    default_vocab_size: Option<u64>,
    default_num_special_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Ranked {
    rank: u64,
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: u64,
    token_str: String,
}

/// The special tokens of files that list none, up to version 7.
const FIRST_SPECIALS: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

/// The tokens of a tekken.json.
pub(super) fn read(json: &str) -> Result<Vocab, String> {
    let Tekken { config, vocab, special_tokens } =
        serde_json::from_str(json).map_err(|error| format!("no readable tekken.json: {error}"))?;
    let listed = special_tokens.unwrap_or_else(|| {
        let special = |(rank, name): (u64, &&str)| Special { rank, token_str: (*name).to_owned() };
        (0..).zip(&FIRST_SPECIALS).map(special).collect()
    });
    let specials = config.default_num_special_tokens.unwrap_or(listed.len() as u64);
    let size = config.default_vocab_size.unwrap_or(u64::MAX);
    let limit = sortilege::MAX_VOCAB as u64;
    if specials > limit {
        return Err(format!("{specials} special tokens are more than a vocabulary of {limit} has"));
    }
    let name = |id: u64| format!("<SPECIAL_{id}>").into_bytes();
    let mut tokens = Vocab::new((0..specials).map(|id| (id, name(id))))?;
    for Special { rank, token_str } in listed.into_iter().filter(|special| special.rank < specials) {
        tokens.put(rank, token_str.into_bytes())?;
    }
    for Ranked { rank, token_bytes } in vocab {
        let id = rank.saturating_add(specials);
        if id >= size {
            continue;
        }
        let bytes = STANDARD
            .decode(&token_bytes)
            .map_err(|error| format!("token_bytes of rank {rank} are no base64: {error}"))?;
        tokens.add(id, bytes)?;
    }
    Ok(tokens)
}
