//! One measurement, and files of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::times::gb_per_s;
use crate::failure::{Failure, Result};
use crate::text::read_text;

/// Bytes of a file of results: a thousand times the longest campaign's.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// What was measured of one operation on one batch on one device. Null where a field does not apply or is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The name that `--device` takes.
    pub(crate) device: String,
    /// What the driver calls it.
    pub(crate) adapter: String,
    pub(crate) driver: Option<String>,
    pub(crate) backend: Option<String>,
    /// `floats` or `integers`, of a GPU.
    pub(crate) kernels: Option<String>,
    pub(crate) op: String,
    pub(crate) rows: u64,
    pub(crate) vocab: u64,
    pub(crate) dtype: String,
    pub(crate) top: Option<u32>,
    pub(crate) threads: Option<u32>,
    pub(crate) draws: Option<u32>,
    pub(crate) temperature: Option<f32>,
    /// What is kept of a row that is drawn from, such as `top_k 50, top_p 0.95`; null for all of it.
    #[serde(default)]
    pub(crate) filters: Option<String>,
    pub(crate) data: String,
    /// `cold` or `warm`.
    pub(crate) cache: Option<String>,
    /// Timed calls.
    pub(crate) calls: Option<u64>,
    /// On the device, from the start of the first dispatch to the end of the last, or of the copy.
    pub(crate) gpu_us: Option<f64>,
    /// Of that each kernel, and the copy.
    pub(crate) pass_us: Option<BTreeMap<String, f64>>,
    /// From recording to the results, one call at a time.
    pub(crate) wall_us: Option<f64>,
    /// Per call, with several in flight.
    pub(crate) wall_ring_us: Option<f64>,
    /// Of the GPU time, or of the wall time where there is none.
    pub(crate) p95_us: Option<f64>,
    pub(crate) gb_per_s: Option<f64>,
    pub(crate) ceiling_gb_per_s: Option<f64>,
    pub(crate) percent_of_ceiling: Option<f64>,
    pub(crate) bytes_read: Option<u64>,
    pub(crate) bytes_written: Option<u64>,
    pub(crate) bytes_back: Option<u64>,
    pub(crate) dispatches: Option<u64>,
    /// From an empty submit to the word that it is done.
    pub(crate) empty_submit_us: Option<f64>,
    /// From a submit that copies 4 KiB to their map.
    pub(crate) map_us: Option<f64>,
    /// What a small dispatch costs that waits for the one before it.
    pub(crate) gap_us: Option<f64>,
    pub(crate) commit: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) version: Option<String>,
    /// Why there are no times.
    pub(crate) error: Option<String>,
}

impl Cell {
    /// Every field in the order of the file.
    pub(crate) const COLUMNS: [&str; 36] = [
        "device",
        "adapter",
        "driver",
        "backend",
        "kernels",
        "op",
        "rows",
        "vocab",
        "dtype",
        "top",
        "threads",
        "draws",
        "temperature",
        "filters",
        "data",
        "cache",
        "calls",
        "gpu_us",
        "pass_us",
        "wall_us",
        "wall_ring_us",
        "p95_us",
        "gb_per_s",
        "ceiling_gb_per_s",
        "percent_of_ceiling",
        "bytes_read",
        "bytes_written",
        "bytes_back",
        "dispatches",
        "empty_submit_us",
        "map_us",
        "gap_us",
        "commit",
        "date",
        "version",
        "error",
    ];

    /// The time on the device, or where that is not known the wall time.
    pub(crate) fn time_us(&self) -> Option<f64> {
        self.gpu_us.or(self.wall_us)
    }

    /// Fills in what follows from bytes and time. `ceiling_us` is what a plain read of the logits takes.
    pub(crate) fn rate(&mut self, logits_bytes: u64, ceiling_us: f64) {
        let moved = self.bytes_read.unwrap_or(0) + self.bytes_written.unwrap_or(0);
        let ceiling = gb_per_s(logits_bytes, ceiling_us);
        self.gb_per_s = self.time_us().map(|time| gb_per_s(moved, time));
        self.ceiling_gb_per_s = Some(ceiling);
        self.percent_of_ceiling = self.gb_per_s.map(|rate| rate / ceiling * 100.0);
    }
}

/// The cells of a result file: a JSON array, or an object per line.
pub(crate) fn load(path: &Path) -> Result<Vec<Cell>> {
    let text = read_text(path, MAX_FILE_BYTES)?;
    let cells = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(|error| Failure::file(path, no_cells(&error.to_string())))?
    } else {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let cell = |(number, line): (usize, &str)| {
            serde_json::from_str(line)
                .map_err(|error| Failure::file(path, no_cells(&format!("line {}: {error}", number + 1))))
        };
        lines.map(cell).collect::<Result<Vec<Cell>>>()?
    };
    if cells.is_empty() {
        return Err(Failure::file(path, no_cells("it is empty")));
    }
    Ok(cells)
}

fn no_cells(why: &str) -> String {
    format!("no results of `sortilege bench --format json` or jsonl: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_fields() {
        let value = serde_json::to_value(Cell::default()).expect("JSON");
        let mut fields: Vec<&str> =
            value.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut columns = Cell::COLUMNS.to_vec();
        fields.sort_unstable();
        columns.sort_unstable();
        assert_eq!(fields, columns);
    }

    #[test]
    fn rates_follow_from_bytes_and_times() {
        let mut cell = Cell {
            bytes_read: Some(2000),
            bytes_written: Some(1000),
            gpu_us: Some(3.0),
            wall_us: Some(50.0),
            ..Cell::default()
        };
        cell.rate(1000, 0.5);
        assert_eq!((cell.gb_per_s, cell.ceiling_gb_per_s), (Some(1.0), Some(2.0)));
        assert_eq!(cell.percent_of_ceiling, Some(50.0));
        cell.gpu_us = None;
        cell.rate(1000, 0.5);
        assert_eq!(cell.gb_per_s, Some(0.06), "by the wall where there is no other clock");
    }
}
