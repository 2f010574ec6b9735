//! The formats of logs by name.

use std::io::{self, Write};

use super::completions::OpenAiCompletionsWriter;
use super::csv::CsvWriter;
use super::jsonl::JsonlWriter;
use super::llama_server::LlamaServerWriter;
use super::openai::OpenAiWriter;
#[cfg(feature = "parquet")]
use super::parquet::ParquetWriter;
use super::record::Kind;
use super::vllm::VllmWriter;
use super::write::WriteRecord;

/// A format of logs. What each has no place for is in one table, that of [`Losses`](super::Losses).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON lines, which have all that there is.
    Jsonl,
    /// A line an alternative, or a draw.
    Csv,
    /// The `logprobs` object of OpenAI's chat completions.
    OpenAi,
    /// That of OpenAI's older completions.
    OpenAiCompletions,
    /// vLLM's lists of `Logprob`s by token id.
    Vllm,
    /// llama-server's `completion_probabilities`.
    LlamaServer,
    /// A Parquet file, a row a record.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::Jsonl,
        Self::Csv,
        Self::OpenAi,
        Self::OpenAiCompletions,
        Self::Vllm,
        Self::LlamaServer,
        #[cfg(feature = "parquet")]
        Self::Parquet,
    ];

    /// Its name: `jsonl`, `csv`, `openai`, `openai-completions`, `vllm`, `llama-server`, `parquet`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::OpenAi => "openai",
            Self::OpenAiCompletions => "openai-completions",
            Self::Vllm => "vllm",
            Self::LlamaServer => "llama-server",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }

    /// Whether its entries are the chosen tokens: records without one leave nothing in it.
    #[must_use]
    pub const fn is_of_chosen_tokens(self) -> bool {
        matches!(self, Self::OpenAi | Self::OpenAiCompletions | Self::Vllm | Self::LlamaServer)
    }

    /// A writer of records of one kind, which has written what comes before the first.
    ///
    /// # Errors
    /// What the output says.
    pub fn writer<'w, W: Write + Send + 'w>(
        self,
        out: W,
        kind: Kind,
    ) -> io::Result<Box<dyn WriteRecord + 'w>> {
        Ok(match self {
            Self::Jsonl => Box::new(JsonlWriter::new(out)),
            Self::Csv => Box::new(CsvWriter::new(out, kind)?),
            Self::OpenAi => Box::new(OpenAiWriter::new(out)),
            Self::OpenAiCompletions => Box::new(OpenAiCompletionsWriter::new(out)),
            Self::Vllm => Box::new(VllmWriter::new(out)),
            Self::LlamaServer => Box::new(LlamaServerWriter::new(out)),
            #[cfg(feature = "parquet")]
            Self::Parquet => Box::new(ParquetWriter::new(out, kind)?),
        })
    }
}
