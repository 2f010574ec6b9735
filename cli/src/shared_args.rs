//! Options that several commands have. Those of one command are in its own room.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use sortilege::{Dtype, LogprobsParams, MAX_VOCAB};

use crate::failure::{Failure, Result, note};
use crate::shown::shown_path;
use crate::text::{Vocab, open_tokenizer, open_vocab_file};

/// Reads a whole number in a range.
pub(crate) fn within<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Result<T, String> {
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("{text:?} is no whole number from {} to {}", range.start(), range.end()))
}

/// Reads a number of 32 bits: one that these do not have is none, neither 0 nor an infinity.
pub(crate) fn float(text: &str) -> Result<f32, String> {
    let number: f32 = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
    let is_zero =
        !text.split(['e', 'E']).next().unwrap_or_default().contains(|digit| ('1'..='9').contains(&digit));
    let is_kept = match number {
        0.0 => is_zero,
        number => number.is_finite() || !text.contains(|digit: char| digit.is_ascii_digit()),
    };
    if is_kept { Ok(number) } else { Err(format!("{text} is {BEYOND}")) }
}

/// What is said of numbers that 32 bits do not have.
pub(crate) const BEYOND: &str = "beyond the numbers of 32 bits, 0 and those from 1.4e-45 to 3.4e38";

/// Reads the name of a device: our own words for some are words in whichever case, as the names of adapters are.
pub(crate) fn device(text: &str) -> Result<String, String> {
    let word = text.to_lowercase();
    Ok(if ["auto", "cpu", "gpu", "all"].contains(&word.as_str()) { word } else { text.to_owned() })
}

/// Reads how many entries a list has; -1, as in vLLM, is all.
pub(crate) fn entries(text: &str) -> Result<u32, String> {
    let most = LogprobsParams::MAX_TOP_LOGPROBS;
    if text.trim() == "-1" {
        Ok(most)
    } else {
        within(text, 0..=u64::from(most)).map_err(|problem| format!("{problem}; -1 lists all"))
    }
}

/// Where the logits are.
#[derive(Args, Debug, Default)]
pub(crate) struct LogitsArgs {
    /// Logits [vocab], [rows][vocab] or [requests][positions][vocab]: .npy, .npz, .safetensors (or the .index.json of
    /// several), or raw little-endian numbers with --shape and --dtype; - is standard input
    pub(crate) logits: PathBuf,
    /// The array's name in an .npz or .safetensors file [default: `logits`, or the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) tensor: Option<String>,
    /// Shape of a raw file, such as 512,128256
    #[arg(long, value_name = "N,N[,N]", value_delimiter = ',', allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 0..=1 << 48))]
    pub(crate) shape: Option<Vec<usize>>,
    /// Tokens of the vocabulary, where the logits are padded to more columns: those from N on take no part, as if they were
    /// not there
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = |text: &str| within::<usize>(text, 1..=MAX_VOCAB as u64))]
    pub(crate) vocab_size: Option<usize>,
    /// Element type of a raw file, or of a .npy file that calls bf16 `V2`; f64 is rounded to f32
    #[arg(long, value_parser = dtype_parser())]
    pub(crate) dtype: Option<Dtype>,
    /// Where tensor, shape and dtype are from
    #[arg(skip)]
    pub(crate) said: Said,
    /// What the names of these options end with: `-b` of a second file
    #[arg(skip)]
    pub(crate) side: &'static str,
}

/// Where it is from what is said of a file. What was not said of it by its own options counts as far as it does not say it
/// itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Said {
    #[default]
    OfIt,
    OfAnother,
    /// Of the logits that a log was made from.
    InSidecar,
}

/// Reads an element type by its name.
pub(crate) fn dtype_parser() -> impl TypedValueParser<Value = Dtype> {
    let names = Dtype::ALL.iter().map(|dtype| dtype.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Dtype>())
}

/// Where the texts of the tokens are.
#[derive(Args, Debug, Default)]
pub(crate) struct VocabArgs {
    /// Texts of the tokens: vocab.json (text -> id), a JSON array, one a line (vocab.txt), or any file that --tokenizer
    /// takes. A byte-level alphabet, ▁ for a space and <0x0A> are recognised by the whole vocabulary; ## stays
    #[arg(long, value_name = "FILE", conflicts_with = "tokenizer")]
    pub(crate) vocab_file: Option<PathBuf>,
    /// Texts of the tokens: tokenizer.json, SentencePiece's .model or .vocab, tiktoken's ranks (base64), or tekken.json
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
}

impl VocabArgs {
    /// The texts, if a file of them is named, for logits of so many tokens.
    pub(crate) fn load(&self, tokens: usize) -> Result<Option<(Vocab, VocabSource)>> {
        let opened = self.open()?;
        let Some(((vocab, _), path)) = opened.as_ref().zip(self.path()) else { return Ok(None) };
        let (path, size) = (shown_path(path), vocab.size());
        if size < tokens {
            note!(
                "note: {path} has {size} tokens, the logits have {tokens}: those from {size} on have no text; if they are \
                 padding, --vocab-size {size} leaves them out"
            );
        } else if size > tokens {
            note!(
                "note: {path} has {size} tokens, the logits have {tokens}: is it the tokenizer of their model?"
            );
        }
        Ok(opened)
    }

    /// The texts, if a file of them is named, whatever they are for.
    pub(crate) fn open(&self) -> Result<Option<(Vocab, VocabSource)>> {
        let (vocab, sha256) = match (&self.vocab_file, &self.tokenizer) {
            (Some(path), _) => open_vocab_file(path)?,
            (_, Some(path)) => open_tokenizer(path)?,
            _ => return Ok(None),
        };
        Ok(Some((vocab, VocabSource::new(self, &sha256))))
    }

    /// The file that is named, by one of the options or by none.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.vocab_file.as_deref().or(self.tokenizer.as_deref())
    }

    /// Whether a file is named.
    pub(crate) fn is_given(&self) -> bool {
        self.path().is_some()
    }
}

/// The file of a vocabulary, as a sidecar tells it.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct VocabSource {
    vocab_file: Option<String>,
    vocab_file_sha256: Option<String>,
    tokenizer: Option<String>,
    tokenizer_sha256: Option<String>,
}

impl VocabSource {
    fn new(args: &VocabArgs, sha256: &str) -> Self {
        let name = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        let hash = |path: Option<&PathBuf>| path.map(|_| sha256.to_owned());
        let (vocab_file, tokenizer) = (args.vocab_file.as_ref(), args.tokenizer.as_ref());
        Self {
            vocab_file: name(vocab_file),
            vocab_file_sha256: hash(vocab_file),
            tokenizer: name(tokenizer),
            tokenizer_sha256: hash(tokenizer),
        }
    }

    /// The options that name it.
    pub(crate) fn args(&self) -> VocabArgs {
        let path = |name: &Option<String>| name.as_ref().map(PathBuf::from);
        VocabArgs { vocab_file: path(&self.vocab_file), tokenizer: path(&self.tokenizer) }
    }

    /// Its hash, where there is one.
    pub(crate) fn sha256(&self) -> Option<&str> {
        self.vocab_file_sha256.as_deref().or(self.tokenizer_sha256.as_deref())
    }
}

/// Who does the work, and where it goes.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// auto, cpu, gpu, the number of an adapter, or a part of its name, driver or backend (see
    /// `sortilege info`)
    #[arg(long, default_value = "auto", value_parser = device)]
    pub(crate) device: String,
    /// Write to this file, and how it was made to FILE.meta.json; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl RunArgs {
    /// Work on this device whose output has no file.
    pub(crate) fn on(device: &str) -> Self {
        Self { device: device.to_owned(), output: None }
    }

    /// The file to write to; none means standard output.
    pub(crate) fn output(&self) -> Option<&Path> {
        file_of(self.output.as_deref())
    }

    /// The format of the output.
    pub(crate) fn format<F: ValueEnum>(&self, asked: Option<F>, [people, pipes]: [F; 2]) -> F {
        choose_format(asked, self.output(), [people, pipes])
    }
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// The file that an option for an output names, unless it is `-`, standard output.
pub(crate) fn file_of(output: Option<&Path>) -> Option<&Path> {
    output.filter(|output| output.as_os_str() != "-")
}

/// The format that is asked for, or else that of the output's ending, or else the one for people on a terminal and the
/// one for pipes elsewhere. Says so where the ending promises another one.
pub(crate) fn choose_format<F: ValueEnum>(
    asked: Option<F>,
    output: Option<&Path>,
    [people, pipes]: [F; 2],
) -> F {
    let ending = output.and_then(Path::extension).and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
    let is_for_people = output.is_none() && io::stdout().is_terminal();
    let by_default = || if is_for_people { people } else { pipes };
    let chosen = asked.or_else(|| F::from_str(&ending, true).ok()).unwrap_or_else(by_default);
    if let Some(output) = output {
        tell_ending(output, &name_of(&chosen));
    }
    chosen
}

/// Endings that promise a format, of which some are none that is written here.
const ENDINGS: &[&str] = &[
    "csv",
    "json",
    "jsonl",
    "parquet",
    "safetensors",
    "npy",
    "npz",
    "gz",
    "zst",
    "xz",
    "bz2",
    "zip",
    "tsv",
    "html",
    "arrow",
    "feather",
    "gguf",
    "pt",
];

/// Says so where an output's ending promises another format than that of this name.
pub(crate) fn tell_ending(output: &Path, name: &str) {
    let ending = output.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
    // The objects of others are JSON, and stand one a line.
    let is_of_others = ["openai", "openai-completions", "vllm", "llama-server"].contains(&name);
    let is_kept = ending == name || is_of_others && matches!(ending.as_str(), "json" | "jsonl");
    if ENDINGS.contains(&ending.as_str()) && !is_kept {
        note!("note: {} is written as {name}, whatever its ending says", shown_path(output));
    }
}

/// An error if bytes that are no text would go to a terminal.
pub(crate) fn refuse_binary(is_binary: bool, output: Option<&Path>) -> Result<()> {
    if is_binary && output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage("Parquet is no text for a terminal: name a file with -o".to_owned()));
    }
    Ok(())
}

/// What the command line calls a value.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
