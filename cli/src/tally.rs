//! What `log` and `sample` say on stderr at the end: rows, time, device, and rows that are no distribution.

use std::time::Instant;

use sortilege::Status;

use crate::engine::Chosen;
use crate::failure::note;
use crate::files::LogitsFile;

/// Rows that are no distribution, and the time since the start.
pub(crate) struct Tally {
    start: Instant,
    /// What came back from the device before, of its self-check.
    bytes_before: u64,
    unsound: Vec<(&'static str, usize)>,
}

impl Tally {
    /// No rows, and the clock starts.
    pub(crate) fn new(chosen: &Chosen) -> Self {
        let bytes_before = chosen.bytes_back().unwrap_or(0);
        Self { start: Instant::now(), bytes_before, unsound: Vec::new() }
    }

    /// Counts a row that is no distribution, by its status.
    pub(crate) fn count(&mut self, status: Status) {
        if matches!(status, Status::Ok | Status::Finished) {
            return;
        }
        match self.unsound.iter_mut().find(|(name, _)| *name == status.name()) {
            Some((_, count)) => *count += 1,
            None => self.unsound.push((status.name(), 1)),
        }
    }

    /// Prints rows, time and device, and the lines of `rest`.
    pub(crate) fn print(self, logits: &LogitsFile, chosen: &Chosen, rest: &dyn std::fmt::Display) {
        let rows = logits.rows;
        let seconds = self.start.elapsed().as_secs_f64();
        let device = chosen.describe().0;
        let speed = rows as f64 / seconds.max(1e-9);
        let read_back = chosen.bytes_back().map_or_else(String::new, |bytes| {
            let bytes = bytes - self.bytes_before;
            let share = bytes as f64 / (rows * logits.row_bytes()).max(1) as f64 * 100.0;
            format!(", {bytes} bytes read back ({share:.3} % of the logits)")
        });
        for (name, count) in self.unsound {
            note!("note: {count} of {rows} rows are no distribution: {name}");
        }
        note!("{rows} rows in {seconds:.3} s on {device}, {speed:.0} rows/s{read_back}");
        for line in rest.to_string().lines() {
            note!("{line}");
        }
    }
}
