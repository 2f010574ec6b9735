//! Logs of token probabilities: their records, written, read, and told how they were made. Nothing here computes a
//! probability or knows a device.
//!
//! A log is a sequence of [`Record`]s, one for each row of logits. A writer of a [`format`](WriteRecord) takes them one
//! by one, and [`LogReader`] gives them back, whatever the format; [`Format`] has the formats by name, and [`Losses`] tells
//! what one of them has no place for. [`Meta`] is the sidecar that says how a log was made,
//! [`Audit`] whether its records are those of its logits, and [`Summary`] what they come to.
//!
//! # Example
//! ```
//! use sortilege::log::{JsonlWriter, LogReader, Record, Texts, WriteRecord};
//! use sortilege::{Cpu, Engine, Logits, LogprobsParams};
//!
//! let logits = [8.0f32, 6.0, 5.0, -1.0];
//! let target = Some(1);
//! let answers = Cpu.logprobs(&Logits::f32(&logits, 1, 4)?, &LogprobsParams::default(), &[target])?;
//! let mut log = Vec::new();
//! let mut writer = JsonlWriter::new(&mut log);
//! writer.write(&Record::logprobs(0, 0, target, &answers[0], Texts::NONE))?;
//! writer.finish()?;
//!
//! let records = LogReader::new(&log[..])?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(records[0].chosen().unwrap().rank, Some(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod check;
mod chosen;
mod completions;
mod csv;
mod difference;
mod document;
mod error;
mod foreign;
mod format;
mod json;
mod jsonl;
mod llama_server;
mod losses;
mod meta;
mod objects;
mod openai;
#[cfg(feature = "parquet")]
mod parquet;
mod read;
mod record;
mod spelling;
mod stream;
mod summary;
#[cfg(test)]
mod tests;
mod texts;
mod vllm;
mod write;

pub use self::audit::{Audit, AuditReport, Difference, Finding};
pub use self::chosen::Chosen;
pub use self::completions::OpenAiCompletionsWriter;
pub use self::csv::CsvWriter;
pub use self::error::{LogError, LogResult};
pub use self::format::Format;
pub use self::json::{write_json, write_json_line, write_json_pretty};
pub use self::jsonl::JsonlWriter;
pub use self::llama_server::LlamaServerWriter;
pub use self::losses::Losses;
pub use self::meta::{HashedFile, Meta, MetaInput};
pub use self::openai::OpenAiWriter;
#[cfg(feature = "parquet")]
pub use self::parquet::ParquetWriter;
pub use self::read::{LogReader, is_log};
pub use self::record::{
    DistributionRecord, DrawRecord, GivenToken, Kind, LogprobsRecord, Record, SampleRecord, TokenLogprob,
};
pub use self::spelling::{escaped, is_control, push_escaped, text_cell, text_of_cell};
pub use self::summary::{
    Calibration, CalibrationBin, LowConfidence, LowRun, RequestSummary, Spread, Summary, SummaryReport,
    Totals,
};
pub use self::texts::{Texts, TokenBytes};
pub use self::vllm::VllmWriter;
pub use self::write::WriteRecord;
