//! The obvious code: what one writes first, rows in parallel.

use rayon::prelude::*;

use crate::logits::Logits;
use crate::{Asked, Found};

pub fn record(logits: &Logits, asked: &Asked) -> Vec<Found> {
    (0..logits.rows)
        .into_par_iter()
        .map(|row| row_record(&logits.row(row), asked.top, asked.targets[row]))
        .collect()
}

fn row_record(row: &[f32], top: usize, target: u32) -> Found {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from((x - max).exp())).sum();
    let log_sum_exp = f64::from(max) + sum.ln();
    let logprob = |token: u32| f64::from(row[token as usize]) - log_sum_exp;

    let mut tokens: Vec<u32> = (0..row.len() as u32).collect();
    let order = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    if 0 < top && top < tokens.len() {
        tokens.select_nth_unstable_by(top - 1, order);
    }
    tokens.truncate(top);
    tokens.sort_unstable_by(order);

    let rank = 1 + row.iter().filter(|&&x| x > row[target as usize]).count();
    Found {
        logprobs: tokens.iter().map(|&token| logprob(token)).collect(),
        tokens,
        logprob: logprob(target),
        rank,
    }
}
