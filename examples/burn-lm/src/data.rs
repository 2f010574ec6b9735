//! The text, its split into training and held-out parts, its tokenizer, and batches of tokens.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use burn::prelude::*;
use flate2::read::GzDecoder;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{Tokenizer, TokenizerBuilder};

/// The last part of the text, which the model never sees in training: one in this many bytes.
const HELD_OUT_SHARE: usize = 20;

/// A text, one paragraph a line, in its two parts.
pub struct Text {
    pub training: String,
    pub held_out: String,
}

impl Text {
    /// Reads a gzip-compressed text and splits it between two paragraphs.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut training = String::new();
        GzDecoder::new(file)
            .read_to_string(&mut training)
            .with_context(|| format!("cannot read the text in {}", path.display()))?;

        let goal = training.len() - training.len() / HELD_OUT_SHARE;
        let newline = training.as_bytes()[goal..]
            .iter()
            .position(|&byte| byte == b'\n')
            .context("the text has no line that ends in its held-out part")?;
        let held_out = training.split_off(goal + newline + 1);
        Ok(Self { training, held_out })
    }
}

/// Trains a byte-level BPE tokenizer of exactly `vocabulary` tokens on `text`.
pub fn train_tokenizer(text: &str, vocabulary: usize) -> Result<Tokenizer> {
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(vocabulary)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    // No space is put before the text, and the GPT-2 pattern cuts it into words.
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_pre_tokenizer(Some(byte_level.into()))
    .with_decoder(Some(byte_level.into()))
    .build()
    .map_err(|error| anyhow!(error).context("cannot build a tokenizer"))?;
    tokenizer
        .train(&mut trainer, text.split_inclusive('\n'))
        .map_err(|error| anyhow!(error).context("cannot train the tokenizer"))?;

    let size = tokenizer.get_vocab_size(true);
    ensure!(size == vocabulary, "the tokenizer has {size} tokens, not {vocabulary}: the text is too short");
    // The trained tokenizer in the general form that a file gives, too.
    tokenizer
        .to_string(false)
        .and_then(|json| json.parse())
        .map_err(|error| anyhow!(error).context("cannot rebuild the trained tokenizer"))
}

/// Reads a `tokenizer.json`.
pub fn load_tokenizer(path: &Path) -> Result<Tokenizer> {
    Tokenizer::from_file(path)
        .map_err(|error| anyhow!(error))
        .with_context(|| format!("cannot load the tokenizer in {}", path.display()))
}

/// The bytes of every token: byte-level pieces spell each byte as a character (Radford et al. 2019, `bytes_to_unicode`), the
/// printable ones as themselves and the others, in order, from U+0100 on.
pub fn token_bytes(tokenizer: &Tokenizer) -> Vec<Vec<u8>> {
    let is_itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let others: Vec<u8> = (0..=u8::MAX).filter(|byte| !is_itself(byte)).collect();
    let byte = |c: char| match u8::try_from(c) {
        Ok(byte) => Some(byte),
        Err(_) => others.get(c as usize - 0x100).copied(),
    };
    let vocabulary = tokenizer.get_vocab_size(true) as u32;
    let bytes = |token| tokenizer.id_to_token(token).unwrap_or_default().chars().filter_map(byte).collect();
    (0..vocabulary).map(bytes).collect()
}

/// The tokens of `text`.
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let mut tokens = Vec::new();
    for line in text.split_inclusive('\n') {
        let encoding = tokenizer
            .encode_fast(line, false)
            .map_err(|error| anyhow!(error).context("cannot encode the text"))?;
        tokens.extend_from_slice(encoding.get_ids());
    }
    Ok(tokens)
}

/// The text of `tokens`.
pub fn decode(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<String> {
    tokenizer.decode(tokens, false).map_err(|error| anyhow!(error).context("cannot decode the tokens"))
}

/// Windows of `length` tokens at `starts`, and the token after each: the inputs and the targets,
/// each `[starts, length]`.
pub fn windows(
    tokens: &[u32],
    starts: &[usize],
    length: usize,
    device: &Device,
) -> (Tensor<2, Int>, Tensor<2, Int>) {
    let gather = |shift: usize| {
        let values: Vec<i32> = starts
            .iter()
            .flat_map(|start| &tokens[start + shift..start + shift + length])
            .map(|&token| token as i32)
            .collect();
        Tensor::from_data(TensorData::new(values, [starts.len(), length]), device)
    };
    (gather(0), gather(1))
}

/// The starts of `count` windows of `length` tokens and their targets, for reading: each at the
/// start of a paragraph of narration that is longer than the window, spread over the tokens.
pub fn readable_starts(
    tokenizer: &Tokenizer,
    tokens: &[u32],
    count: usize,
    length: usize,
) -> Result<Vec<usize>> {
    let newline = tokenizer
        .token_to_id("Ċ") // how byte-level tokenizers spell a newline
        .context("the tokenizer has no token for a newline")?;
    let is_readable = |start: usize| -> Result<bool> {
        if tokens[start - 1] != newline || tokens[start..=start + length].contains(&newline) {
            return Ok(false);
        }
        let first = decode(tokenizer, &tokens[start..=start])?;
        Ok(first.starts_with(char::is_uppercase))
    };
    let mut starts = Vec::with_capacity(count);
    for index in 0..count {
        // The middle of each of `count` equal parts is where the search begins.
        let from = tokens.len() * (2 * index + 1) / (2 * count);
        let until = (tokens.len() * (index + 1) / count).saturating_sub(length);
        let mut found = None;
        for start in from.max(1)..until {
            if is_readable(start)? {
                found = Some(start);
                break;
            }
        }
        starts.push(found.context("a part of the text has no paragraph that is long enough")?);
    }
    Ok(starts)
}

/// A small random generator (SplitMix64), so that the same seed draws the same batches for ever.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`, close enough to uniform for a limit far below 2^64.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    /// A number of the standard normal distribution, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        // The middles of 2^53 parts of (0, 1): the logarithm is of no 0.
        let mut uniform = || ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let radius = (-2.0 * uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform()).cos()
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers() {
        let draw = || {
            let mut random = Random(7);
            [(); 8].map(|()| random.below(1000))
        };
        assert_eq!(draw(), draw());
        assert!(draw().iter().any(|&number| number != draw()[0]));
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_distribution() {
        const DRAWS: usize = 100_000;
        let mut random = Random(11);
        let draws: Vec<f64> = (0..DRAWS).map(|_| random.normal()).collect();
        // 0, 1, 0 and 3, each within five of its standard errors.
        for (power, moment, error) in [(1, 0.0, 1.0), (2, 1.0, 2.0_f64), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let found = draws.iter().map(|x| x.powi(power)).sum::<f64>() / DRAWS as f64;
            let limit = 5.0 * (error / DRAWS as f64).sqrt();
            assert!((found - moment).abs() < limit, "moment {power} is {found}");
        }
    }

    #[test]
    fn targets_are_the_tokens_after_the_inputs() {
        let tokens: Vec<u32> = (10..20).collect();
        let (inputs, targets) = windows(&tokens, &[0, 6], 3, &Device::flex());
        inputs.into_data().assert_eq(&TensorData::from([[10, 11, 12], [16, 17, 18]]), false);
        targets.into_data().assert_eq(&TensorData::from([[11, 12, 13], [17, 18, 19]]), false);
    }

    #[test]
    fn a_tokenizer_gives_back_what_it_encoded() -> Result<()> {
        let text = "It is a truth universally acknowledged.\n".repeat(3);
        let tokenizer = train_tokenizer(&text, 270)?;
        let other = "Universal £5, it is said.\n";
        let tokens = encode(&tokenizer, other)?;
        assert_eq!(decode(&tokenizer, &tokens)?, other);
        assert!(train_tokenizer(&text, 5000).is_err());
        let text = "Of é, “quotes” and \t tabs.\n";
        let (tokens, bytes) = (encode(&tokenizer, text)?, token_bytes(&tokenizer));
        let spelled: Vec<u8> =
            tokens.iter().flat_map(|token| bytes[*token as usize].iter().copied()).collect();
        assert_eq!(String::from_utf8(spelled)?, text);
        Ok(())
    }
}
