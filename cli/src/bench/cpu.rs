//! Measures the CPU chosen.

use std::hint::black_box;

use rayon::ThreadPool;
use rayon::prelude::*;
use sortilege::Logits;

use super::cell::Cell;
use super::check::KnownRows;
use super::data::Source;
use super::task::{Task, Workload};
use super::times::{Budget, median, p95};
use crate::engine::Chosen;
use crate::failure::{Failure, Result};

/// Logits in memory, and threads to work on them.
pub(crate) struct Host<'a> {
    source: &'a Source,
    known_rows: &'a KnownRows,
    bytes: &'a [u8],
    threads: Threads,
    /// Microseconds of a plain read.
    ceiling_us: f64,
    budget: Budget,
}

/// A cell with the names of the CPU chosen.
pub(crate) fn cell(workload: Workload, source: &Source, threads: u32) -> Cell {
    let (adapter, backend, driver) = Chosen::CPU.describe();
    Cell {
        device: "cpu".to_owned(),
        adapter,
        backend: Some(backend),
        driver: Some(driver),
        threads: Some(threads),
        ..workload.cell(source)
    }
}

/// The threads that work, of which the caller is one where their number is what it is elsewhere.
enum Threads {
    Default,
    Own(ThreadPool),
}

impl Threads {
    fn new(threads: u32) -> Result<Self> {
        if threads == default_threads() {
            return Ok(Self::Default);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build();
        pool.map(Self::Own).map_err(|error| Failure::Failed(format!("{threads} threads: {error}")))
    }

    fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::Default => work(),
            Self::Own(pool) => pool.install(work),
        }
    }
}

/// The threads of the CPU engine where nobody says how many.
pub(crate) fn default_threads() -> u32 {
    u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX)
}

impl<'a> Host<'a> {
    pub(crate) fn new(
        source: &'a Source,
        known_rows: &'a KnownRows,
        bytes: &'a [u8],
        threads: u32,
        budget: Budget,
    ) -> Result<Self> {
        let threads = Threads::new(threads)?;
        let read = budget.wall(|| {
            black_box(threads.run(|| sum(black_box(bytes))));
            Ok(())
        })?;
        Ok(Self { source, known_rows, bytes, threads, ceiling_us: median(&read), budget })
    }

    /// Checks the CPU engine against the definition, then measures it.
    pub(crate) fn measure(&self, workload: Workload) -> Result<Cell> {
        let Source { rows, vocab, dtype, .. } = *self.source;
        let task = Task::new(workload, self.source)?;
        self.threads.run(|| self.known_rows.check(&task, self.source))?;
        let logits = Logits::new(self.bytes, dtype, rows, vocab)?;
        let times = self.budget.wall(|| {
            black_box(self.threads.run(|| task.on_cpu(&logits, 0..rows))?);
            Ok(())
        })?;
        let mut cell = cell(workload, self.source, self.threads.run(default_threads));
        cell.wall_us = Some(median(&times));
        cell.p95_us = Some(p95(&times));
        cell.calls = Some(times.len() as u64);
        cell.rate(self.source.bytes(), self.ceiling_us);
        Ok(cell)
    }
}

/// The sum of all words, in lanes: the ceiling of whatever must read the logits.
fn sum(bytes: &[u8]) -> u32 {
    const BLOCK_BYTES: usize = 1 << 18;
    const LANES: usize = 32;
    let of_block = |block: &[u8]| {
        let mut lanes = [0u32; LANES];
        let (groups, rest) = block.as_chunks::<{ 4 * LANES }>();
        for group in groups {
            for (lane, word) in lanes.iter_mut().zip(group.as_chunks::<4>().0) {
                *lane = lane.wrapping_add(u32::from_ne_bytes(*word));
            }
        }
        let rest = rest.iter().map(|byte| u32::from(*byte));
        lanes.into_iter().chain(rest).fold(0, u32::wrapping_add)
    };
    bytes.par_chunks(BLOCK_BYTES).map(of_block).reduce(|| 0, u32::wrapping_add)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_plain_read_reads_every_word() {
        let words: Vec<u32> = (0..200_003).map(|i: u32| i.wrapping_mul(2_654_435_761)).collect();
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(bytes.len() / 128 * 128);
        let expected = words[..bytes.len() / 4].iter().copied().fold(0, u32::wrapping_add);
        assert_eq!(super::sum(&bytes), expected);
        bytes.extend([1, 2, 3]);
        assert_eq!(super::sum(&bytes), expected.wrapping_add(6), "and what is left over");
    }
}
