//! What is asked of an engine, and what it answers.

use std::ops::Range;

use sortilege::{
    Cpu, Engine, Logits, Logprobs, LogprobsParams, Request, Row, Sample, SampleInputs, SamplingParams,
};

use super::args::BenchArgs;
use super::cell::Cell;
use super::data::Source;
use super::filters::Filters;
use super::op::Op;
use crate::failure::{Failure, Result};

/// An operation with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Workload {
    pub(crate) op: Op,
    /// Alternatives per row, where the operation has them.
    pub(crate) top: Option<u32>,
    /// Draws per row, where the operation draws.
    pub(crate) draws: Option<u32>,
    /// Where the operation has one.
    pub(crate) temperature: Option<f32>,
    /// What is kept of a row that is drawn from.
    pub(crate) filters: Filters,
}

/// A workload on the rows of a batch: its targets or its requests.
pub(crate) struct Task {
    pub(crate) workload: Workload,
    pub(crate) targets: Vec<Option<u32>>,
    /// One per row, of an operation that draws.
    requests: Vec<Request>,
}

/// What some rows of a batch gave.
#[derive(Debug)]
pub(crate) enum Output {
    Records(Vec<Logprobs>),
    Samples(Vec<Sample>),
    /// The first drawn token of each row
    Tokens(Vec<u32>),
    /// `[rows][vocab]`
    Logprobs(Vec<f32>),
    /// Logits and tokens, `[rows][k]`
    Entries(Vec<f32>, Vec<u32>),
}

impl Workload {
    /// The workloads that the options ask of every batch.
    pub(crate) fn all(args: &BenchArgs) -> Vec<Self> {
        let some = |list: &[u32]| list.iter().copied().map(Some).collect::<Vec<_>>();
        let mut list = Vec::new();
        for op in args.ops() {
            let tops = if op.lists() { some(&args.top) } else { vec![None] };
            let draws = if op == Op::Sample { some(&args.draws) } else { vec![None] };
            let temperature = (op == Op::Log || op.draws()).then_some(args.temperature);
            let filters = if op.draws() { args.filters } else { Filters::default() };
            // The largest no logits are nothing to measure.
            for top in tops.into_iter().filter(|&top| op != Op::TopK || top > Some(0)) {
                list.extend(draws.iter().map(|&draws| Self { op, top, draws, temperature, filters }));
            }
        }
        list
    }

    /// Alternatives, none where the operation has none.
    pub(crate) fn k(&self) -> u32 {
        self.top.unwrap_or(0)
    }

    /// The temperature, 1 where the operation has none.
    fn divisor(&self) -> f32 {
        self.temperature.unwrap_or(1.0)
    }

    /// A cell without measurements.
    pub(crate) fn cell(&self, source: &Source) -> Cell {
        // log-softmax reads the logits for the sums, and once more to subtract.
        let (reads, written) = match self.op {
            Op::LogSoftmax => (2, source.rows as u64 * source.vocab as u64 * 4),
            _ => (1, 0),
        };
        Cell {
            op: self.op.name().to_owned(),
            rows: source.rows as u64,
            vocab: source.vocab as u64,
            dtype: source.dtype.name().to_owned(),
            top: self.top,
            draws: self.draws,
            temperature: self.temperature,
            filters: self.filters.name(),
            data: source.name(),
            bytes_read: Some(source.bytes() * reads),
            bytes_written: Some(written),
            ..Cell::default()
        }
    }
}

impl Task {
    pub(crate) fn new(workload: Workload, source: &Source) -> Result<Self> {
        let Workload { op, top, draws, .. } = workload;
        #[expect(clippy::cast_possible_truncation, reason = "below a vocabulary of at most 2^20")]
        let target = |row: usize| Some(((row * 7919 + 17) % source.vocab) as u32);
        let request = |row: usize| {
            Request::new(SamplingParams {
                temperature: workload.divisor(),
                n: draws.unwrap_or(1),
                raw_logprobs: top.filter(|top| *top > 0),
                seed: Some(row as u64),
                ..workload.filters.params()
            })
        };
        let [logged, drawn] = [op == Op::Log, op.draws()].map(|is_own| if is_own { source.rows } else { 0 });
        Ok(Self {
            workload,
            targets: (0..logged).map(target).collect(),
            requests: (0..drawn).map(request).collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn params(&self) -> LogprobsParams {
        LogprobsParams {
            top_logprobs: self.workload.k(),
            temperature: self.workload.divisor(),
            ..LogprobsParams::default()
        }
    }

    /// These rows of the batch, as requests.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Vec<Row<'_>> {
        self.requests[rows].iter().map(|request| request.row(0)).collect()
    }

    /// The failure of a check of this row: who said something else, and what.
    pub(crate) fn mismatch(&self, who: &str, source: &Source, row: usize, what: &str) -> Failure {
        Failure::Mismatch(format!(
            "{who}, {} of [{}][{}] {}, top {:?}, row {row}: {what}",
            self.workload.op.name(),
            source.rows,
            source.vocab,
            source.dtype,
            self.workload.top
        ))
    }

    /// What the CPU engine says of these rows, whose logits are given.
    pub(crate) fn on_cpu(&self, logits: &Logits<'_>, rows: Range<usize>) -> sortilege::Result<Output> {
        Ok(match self.workload.op {
            Op::Log => Output::Records(Cpu.logprobs(logits, &self.params(), &self.targets[rows])?),
            Op::Sample | Op::SampleTokens => {
                Output::Samples(Cpu.sample(logits, &self.rows(rows), &SampleInputs::default())?)
            }
            Op::LogSoftmax => Output::Logprobs(Cpu.log_softmax(logits)?),
            Op::TopK => {
                let (logits, tokens) = Cpu.top_k(logits, self.workload.k())?;
                Output::Entries(logits, tokens)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_no_logits_are_nothing_to_measure() {
        let most = LogprobsParams::MAX_TOP_LOGPROBS;
        let args = BenchArgs::of(&["--op", "all", "--top", &format!("0,{most}")]);
        let tops = |op: Op| -> Vec<Option<u32>> {
            Workload::all(&args)
                .iter()
                .filter(|workload| workload.op == op)
                .map(|workload| workload.top)
                .collect()
        };
        for op in [Op::Log, Op::Sample] {
            assert_eq!(tops(op), [Some(0), Some(most)]);
        }
        assert_eq!(tops(Op::TopK), [Some(most)]);
        assert_eq!(tops(Op::LogSoftmax), [None]);
    }
}
