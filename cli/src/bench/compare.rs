//! Two result files side by side.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use sortilege::log::escaped;

use super::cell::{Cell, load};
use super::output::{digits, or_dash};
use crate::failure::{Failure, Result};
use crate::shown::shown_path;

/// What makes two cells the same measurement.
fn key(cell: &Cell) -> String {
    let key = format!(
        "{} ({}) {} [{}][{}] {} top {} draws {} T {} filters {} threads {} kernels {} {} {}",
        cell.device,
        cell.adapter,
        cell.op,
        cell.rows,
        cell.vocab,
        cell.dtype,
        or_dash(cell.top),
        or_dash(cell.draws),
        // Files from before there was a choice have none.
        cell.temperature.unwrap_or(1.0),
        or_dash(cell.filters.as_ref()),
        or_dash(cell.threads),
        or_dash(cell.kernels.as_ref()),
        cell.data,
        or_dash(cell.cache.as_ref())
    );
    escaped(&key).into_owned()
}

/// Prints the times of B over those of A, cell by cell, and their geometric means.
pub(crate) fn run(a: &Path, b: &Path) -> Result<()> {
    let (old, new) = (load(a)?, load(b)?);
    let mut text = Vec::new();
    let matches =
        write(&mut text, &old, &new).and_then(|matches| std::io::stdout().write_all(&text).map(|()| matches));
    if matches.map_err(|error| Failure::writing(&error))? == 0 {
        return Err(Failure::Failed(format!(
            "no cell of {} is in {} with a time in both: they are joined by device, adapter, op, rows, \
             vocab, dtype, top, draws, temperature, filters, threads, kernels, data and cache",
            shown_path(a),
            shown_path(b)
        )));
    }
    Ok(())
}

/// Returns how many cells have a time of one kind on both sides.
fn write(out: &mut impl Write, old: &[Cell], new: &[Cell]) -> std::io::Result<usize> {
    let mut keys: Vec<String> = Vec::new();
    let mut pairs: HashMap<String, [Option<&Cell>; 2]> = HashMap::new();
    for (side, cell) in old.iter().map(|cell| (0, cell)).chain(new.iter().map(|cell| (1, cell))) {
        let pair = pairs.entry(key(cell)).or_insert_with_key(|key| {
            keys.push(key.clone());
            [None, None]
        });
        pair[side] = Some(cell); // of a cell that was measured twice the last counts
    }
    let mut ratios: [Vec<f64>; 2] = [const { Vec::new() }; 2];
    let (mut lines, mut missing, mut matches) = (Vec::new(), Vec::new(), 0);
    for wanted in keys {
        match pairs[&wanted] {
            [Some(old), Some(new)] => {
                let times = [(old.gpu_us, new.gpu_us), (old.wall_us, new.wall_us)];
                let columns = times.map(|times| column(times, ratio(times)));
                lines.push(format!("{}  {wanted}", columns.join("  ")));
                matches += usize::from(times.into_iter().any(|times| ratio(times).is_some()));
                for (ratios, times) in ratios.iter_mut().zip(times) {
                    ratios.extend(ratio(times));
                }
            }
            [Some(_), None] => missing.push(format!("only in A: {wanted}")),
            _ => missing.push(format!("only in B: {wanted}")),
        }
    }
    let wide = |what: &str| format!("{:>10} {:>10} {:>7}", format!("{what} A"), "B", "B/A");
    writeln!(out, "{}  {}", wide("GPU µs"), wide("wall µs"))?;
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    for (name, ratios) in ["GPU", "wall"].iter().zip(&ratios) {
        if let Some(mean) = geometric_mean(ratios) {
            writeln!(out, "geometric mean of {} ratios of {name} time: {mean:.3}", ratios.len())?;
        }
    }
    missing.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(matches)
}

/// The new time over the old one.
fn ratio(times: (Option<f64>, Option<f64>)) -> Option<f64> {
    let (old, new) = (times.0?, times.1?);
    (old > 0.0 && new > 0.0).then(|| new / old)
}

/// Both times and their ratio.
fn column(times: (Option<f64>, Option<f64>), ratio: Option<f64>) -> String {
    let text = |time: Option<f64>| or_dash(time.map(digits));
    let ratio = or_dash(ratio.map(|ratio| format!("{ratio:.3}")));
    format!("{:>10} {:>10} {ratio:>7}", text(times.0), text(times.1))
}

fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (logs / ratios.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_geometric() {
        let mean = geometric_mean(&[0.5, 8.0]).expect("two ratios");
        assert!((mean - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn a_terminal_obeys_no_name() {
        let cell = Cell { device: "a\u{1b}[2J\nb".to_owned(), gpu_us: Some(1.0), ..Cell::default() };
        let mut text = Vec::new();
        write(&mut text, std::slice::from_ref(&cell), &[Cell { gpu_us: Some(2.0), ..cell.clone() }])
            .expect("memory");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.contains("2.000") && text.contains("a\\u001b[2J\\nb ("), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn every_part_of_the_key_tells_cells_apart() {
        type Change = fn(&mut Cell);
        let changes: [Change; 13] = [
            |cell| cell.device.push('x'),
            |cell| cell.adapter.push('x'),
            |cell| cell.op.push('x'),
            |cell| cell.rows += 1,
            |cell| cell.vocab += 1,
            |cell| cell.dtype.push('x'),
            |cell| cell.top = Some(1),
            |cell| cell.draws = Some(1),
            |cell| cell.temperature = Some(0.5),
            |cell| cell.threads = Some(1),
            |cell| cell.kernels = Some("floats".to_owned()),
            |cell| cell.data.push('x'),
            |cell| cell.cache = Some("cold".to_owned()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut cell = Cell::default();
            change(&mut cell);
            assert_ne!(key(&cell), key(&Cell::default()), "change {number}");
        }
    }
}
