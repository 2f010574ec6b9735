//! How often to measure, and what to say of it.

use std::time::Instant;

use crate::failure::Result;

/// How much one measurement may take.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// Timed calls at most.
    pub(crate) repeat: u32,
    /// Time after which fewer do.
    pub(crate) seconds: f64,
}

/// Timed calls at least, if so many are asked for.
const LEAST: usize = 3;

impl Budget {
    /// What each of the timed calls returned; those that warm up, a quarter as many, are forgotten.
    pub(crate) fn measure<T>(&self, mut call: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
        let repeat = self.repeat as usize;
        let start = Instant::now();
        for _ in 0..repeat.div_ceil(4) {
            call()?;
            if start.elapsed().as_secs_f64() > self.seconds / 4.0 {
                break;
            }
        }
        let mut results = Vec::new();
        let start = Instant::now();
        while results.len() < repeat
            && (results.len() < LEAST || start.elapsed().as_secs_f64() < self.seconds)
        {
            results.push(call()?);
        }
        Ok(results)
    }

    /// Microseconds that each of the timed calls took.
    pub(crate) fn wall(&self, mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
        self.measure(|| {
            let start = Instant::now();
            call()?;
            Ok(microseconds(start))
        })
    }
}

pub(crate) fn microseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// The mean time from one of these instants, which are in order, to the next; none of fewer than two.
pub(crate) fn microseconds_between(ends: &[Instant]) -> Option<f64> {
    let (first, last) = (ends.first()?, ends.last()?);
    let spans = ends.len() - 1;
    (spans > 0).then(|| last.duration_since(*first).as_secs_f64() * 1e6 / spans as f64)
}

/// The middle of some times, NaN of none.
pub(crate) fn median(times: &[f64]) -> f64 {
    let sorted = sorted(times);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => (sorted[half - 1] + sorted[half]) / 2.0,
        _ => sorted[half],
    }
}

/// The smallest time that 95 % do not pass, NaN of none.
pub(crate) fn p95(times: &[f64]) -> f64 {
    let sorted = sorted(times);
    let place = (sorted.len() * 95).div_ceil(100);
    if place == 0 { f64::NAN } else { sorted[place - 1] }
}

fn sorted(times: &[f64]) -> Vec<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// GB/s of so many bytes in so many microseconds.
pub(crate) fn gb_per_s(bytes: u64, microseconds: f64) -> f64 {
    bytes as f64 / microseconds / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_by_hand() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(p95(&[1.0]), 1.0);
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(p95(&hundred), 95.0);
        assert_eq!(p95(&hundred[80..]), 19.0, "19 of 20");
        assert!(median(&[]).is_nan() && p95(&[]).is_nan());
        assert_eq!(gb_per_s(2_000_000_000, 1e6), 2.0);
    }

    #[test]
    fn calls_in_flight_take_the_time_from_end_to_end() {
        let start = Instant::now();
        let ends = |at: &[u64]| -> Vec<Instant> {
            at.iter().map(|at| start + std::time::Duration::from_micros(*at)).collect()
        };
        // What lies before the first end, such as calls that warm up, is no part of it.
        assert_eq!(microseconds_between(&ends(&[500, 510, 520, 530])), Some(10.0));
        assert_eq!(microseconds_between(&ends(&[0, 10, 50])), Some(25.0), "3 ends are 2 spans");
        assert_eq!(microseconds_between(&ends(&[7])), None);
        assert_eq!(microseconds_between(&[]), None);
    }

    #[test]
    fn calls_are_bound_by_number_and_by_time() {
        let count = |repeat, seconds| {
            let mut calls = 0;
            let timed = Budget { repeat, seconds }.measure(|| {
                calls += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
                Ok(())
            });
            (calls, timed.expect("nothing fails").len())
        };
        assert_eq!(count(8, 10.0), (10, 8));
        assert_eq!(count(1, 10.0), (2, 1));
        assert_eq!(count(1000, 1e-9), (4, 3), "one to warm up, and the least");
    }
}
