//! Percentiles of numbers that are all kept.

use serde::Serialize;

/// Smallest, largest and percentiles of n numbers: percentile p lies at the place p/100 · (n − 1) of the sorted numbers,
/// counted from 0, linearly between the two around it (numpy's default, type 7 of Hyndman and Fan).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// Percentile 1.
    pub p1: f64,
    /// Percentile 5.
    pub p5: f64,
    /// Percentile 10.
    pub p10: f64,
    /// Percentile 25.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// Percentile 75.
    pub p75: f64,
    /// Percentile 90.
    pub p90: f64,
    /// Percentile 95.
    pub p95: f64,
    /// Percentile 99.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// None of no numbers.
    pub(super) fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (numbers.first()?, numbers.last()?);
        let at = |percent: f64| percentile(&numbers, percent);
        let [p1, p5, p10, p25, p50, p75, p90, p95, p99] =
            [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0].map(at);
        Some(Self { min, p1, p5, p10, p25, p50, p75, p90, p95, p99, max })
    }
}

/// The percentile of numbers in ascending order, of which there is one at least.
fn percentile(numbers: &[f64], percent: f64) -> f64 {
    let place = percent / 100.0 * (numbers.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a place in memory")]
    let (below, share) = (place as usize, place.fract());
    let (low, high) = (numbers[below], numbers[(below + 1).min(numbers.len() - 1)]);
    // Infinities have no difference.
    if share == 0.0 || low == high { low } else { low * (1.0 - share) + high * share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], [1, 5, 25, 50, 90, 99])
        let numbers = vec![1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0];
        let expected = [(1.0, 1.0), (5.0, 1.0), (25.0, 1.75), (50.0, 3.5), (90.0, 6.9), (99.0, 8.79)];
        for (percent, value) in expected {
            assert!((percentile(&numbers, percent) - value).abs() < 1e-12, "{percent}");
        }
        let spread = Spread::of(vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]).expect("numbers");
        assert_eq!((spread.min, spread.p25, spread.p50, spread.max), (1.0, 1.75, 3.5, 9.0));
    }

    #[test]
    fn infinities_and_single_numbers_have_percentiles() {
        let numbers = vec![f64::NEG_INFINITY, f64::NEG_INFINITY, -2.0, -1.0];
        let spread = Spread::of(numbers).expect("numbers");
        assert_eq!([spread.min, spread.p25, spread.p50], [f64::NEG_INFINITY; 3]);
        assert!((spread.p75 + 1.75).abs() < 1e-12, "{spread:?}");
        let one = Spread::of(vec![7.0]).expect("a number");
        assert_eq!([one.min, one.p1, one.p50, one.p99, one.max], [7.0; 5]);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
