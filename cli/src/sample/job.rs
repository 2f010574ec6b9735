//! Rows of a file drawn for requests: block by block, or step by step with feedback; and the plan of that. It does not
//! know where samples go.

use std::io::{self, Write};

use sortilege::log::{Record, Texts};
use sortilege::{
    DeviceLimits, Kernels, Logits, LogprobsParams, Plan, Request, Row, Sample, SampleInputs, Shape,
};

use super::args::SampleArgs;
use super::mask::Mask;
use super::requests::Requests;
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note};
use crate::files::{BLOCK_BYTES, LogitsFile};

/// Which draw a row is: its request, and the number of its token.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) request: usize,
    pub(crate) position: u64,
}

impl Place {
    /// The record of its sample.
    pub(crate) fn record<'a>(&self, sample: &Sample, texts: Texts<'a>) -> Record<'a> {
        Record::sample(self.request as u64, self.position, sample, texts)
    }
}

/// What is sampled: rows of a file for requests.
pub(crate) struct Job {
    pub(crate) logits: LogitsFile,
    pub(super) requests: Requests,
    pub(super) mask: Option<Mask>,
    /// Whether a row sees what the rows before it drew.
    feedback: bool,
}

impl Job {
    /// What the options ask, if the library takes it for these logits; what of it cannot act is told.
    pub(crate) fn open(args: &SampleArgs) -> Result<Self> {
        let logits = LogitsFile::open(&args.logits)?;
        let requests = Requests::new(args, &logits)?;
        let mask = args.mask.as_deref().map(|path| Mask::open(path, &logits)).transpose()?;
        Ok(Self { logits, requests, mask, feedback: args.feedback })
    }

    /// A device proves itself, before it works for anybody.
    pub(crate) fn check(&self, chosen: &Chosen) -> Result<()> {
        chosen.check(Kernels::Sample, self.logits.dtype)?;
        let vocab = u32::try_from(self.logits.vocab).unwrap_or(u32::MAX);
        let is_long = |&top: &u32| top.min(vocab) > LogprobsParams::MAX_SHORT_LIST;
        if self.requests.asks_for_logprobs().iter().flatten().any(is_long) {
            chosen.check(Kernels::LongSampleLists, self.logits.dtype)?;
        }
        if self.requests.asks_for_token_ids() {
            chosen.check(Kernels::TokenRanks, self.logits.dtype)?;
        }
        Ok(())
    }

    /// Names of the arrays of prompt and mask, in files that name theirs.
    pub(crate) fn tensors(&self) -> [Option<&str>; 2] {
        let of_mask = self.mask.as_ref().and_then(|mask| mask.array.tensor.as_deref());
        [self.requests.prompts.tensor.as_deref(), of_mask]
    }

    /// Hashes the file of logits while it is read, where its rows are read in their order.
    pub(crate) fn hash_while_reading(&self) {
        if !self.feedback {
            self.logits.hash_while_reading();
        }
    }

    /// Calls `emit` with each row's sample, in order.
    pub(crate) fn run(&self, chosen: &Chosen, emit: impl FnMut(Place, &Sample) -> Result<()>) -> Result<()> {
        if self.feedback { self.step_by_step(chosen, emit) } else { self.block_by_block(chosen, emit) }
    }

    /// All rows of a block at once.
    fn block_by_block(
        &self,
        chosen: &Chosen,
        mut emit: impl FnMut(Place, &Sample) -> Result<()>,
    ) -> Result<()> {
        let positions = self.requests.positions;
        self.logits.each_block(self.requests.row_bytes(self.logits.vocab), |block, logits| {
            let first = block.start / positions;
            let requests = self.requests.start(first..(block.end - 1) / positions + 1)?;
            let samples = self.sample(chosen, logits, &requests, first, block.clone())?;
            for (row, sample) in block.zip(&samples) {
                emit(self.place(row), sample)?;
            }
            Ok(())
        })
    }

    /// One position after the other, of as many requests at once as memory holds samples of.
    fn step_by_step(
        &self,
        chosen: &Chosen,
        mut emit: impl FnMut(Place, &Sample) -> Result<()>,
    ) -> Result<()> {
        let Requests { count, positions, .. } = self.requests;
        let LogitsFile { dtype, vocab, .. } = self.logits;
        let bar = self.logits.progress_bar();
        let together = self.requests_together();
        for first in (0..count).step_by(together) {
            let end = count.min(first + together);
            let mut requests = self.requests.start(first..end)?;
            let mut samples = Vec::with_capacity((end - first) * positions);
            for position in 0..positions {
                let rows = (first..end).map(|request| request * positions + position);
                let bytes = self.logits.copy_rows(rows.clone())?;
                let logits = Logits::new(&bytes, dtype, end - first, vocab)?;
                let drawn = self.sample(chosen, &logits, &requests, first, rows)?;
                for (request, sample) in requests.iter_mut().zip(&drawn) {
                    request.accept(sample)?;
                }
                if let [sample] = &drawn[..] {
                    // Nobody is waited for: the long lists of many positions need not be kept.
                    emit(self.place(first * positions + position), sample)?;
                } else {
                    samples.extend(drawn);
                }
                bar.inc((end - first) as u64);
            }
            if samples.is_empty() {
                continue;
            }
            for number in 0..requests.len() {
                for position in 0..positions {
                    let row = (first + number) * positions + position;
                    emit(self.place(row), &samples[position * requests.len() + number])?;
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Requests that take their steps together: their samples are kept to the last one.
    fn requests_together(&self) -> usize {
        let samples = self.requests.row_bytes(self.logits.vocab).saturating_mul(self.requests.positions);
        (BLOCK_BYTES / self.logits.row_bytes().max(samples).max(1)).clamp(1, self.requests.count.max(1))
    }

    /// Samples these rows, of requests from the number `first` on.
    fn sample(
        &self,
        chosen: &Chosen,
        logits: &Logits<'_>,
        requests: &[Request],
        first: usize,
        rows: impl Iterator<Item = usize> + Clone,
    ) -> Result<Vec<Sample>> {
        let mask = self.mask.as_ref().map(|mask| mask.rows(rows.clone())).transpose()?;
        let inputs = SampleInputs { mask: mask.as_deref(), ..SampleInputs::default() };
        Ok(chosen.engine().sample(logits, &self.rows(requests, first, rows), &inputs)?)
    }

    fn rows<'r>(
        &self,
        requests: &'r [Request],
        first: usize,
        rows: impl Iterator<Item = usize>,
    ) -> Vec<Row<'r>> {
        let positions = self.requests.positions;
        // They see the prompt alone; with feedback what was drawn too, a row without a token apart.
        let of = |row: usize| requests[row / positions - first].row(self.requests.position(row)).detached();
        rows.map(of).collect()
    }

    fn place(&self, row: usize) -> Place {
        Place { request: row / self.requests.positions, position: self.requests.position(row) }
    }

    /// Prints the plan of the first call, and says how many there are.
    pub(super) fn print_plan(&self) -> Result<()> {
        let Requests { count, positions, .. } = self.requests;
        let LogitsFile { dtype, vocab, stride, rows: all, .. } = self.logits;
        let (rows, calls): (Vec<usize>, usize) = if self.feedback {
            let together = self.requests_together();
            let rows =
                if all > 0 { (0..together).map(|request| request * positions).collect() } else { Vec::new() };
            (rows, count.div_ceil(together) * positions)
        } else {
            let most = self.logits.rows_per_block(self.requests.row_bytes(self.logits.vocab));
            ((0..most.min(all)).collect(), all.div_ceil(most))
        };
        let requests = self.requests.start(0..rows.last().map_or(0, |row| row / positions + 1))?;
        let shape = Shape {
            dtype,
            rows: rows.len(),
            vocab,
            row_stride: if self.feedback { vocab } else { stride },
            byte_offset: 0,
        };
        let rows = self.rows(&requests, 0, rows.into_iter());
        let plan = Plan::sample(&shape, &rows, self.mask.is_some(), &DeviceLimits::default())?;
        if self.mask.is_some() {
            note!("note: planned for a mask that lies on the device; one in a file is uploaded too");
        }
        if calls > 1 {
            note!("note: this is the first of {calls} calls");
        }
        writeln!(io::stdout(), "{plan}").map_err(|error| Failure::writing(&error))
    }
}
