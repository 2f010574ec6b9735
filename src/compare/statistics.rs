//! Statistics of a column of numbers: mean, standard error, quantiles. What the numbers are is not known here.

/// The quantiles of a [`Spread`]: a part of the name, and thousandths. They are llama.cpp's.
pub const QUANTILES: &[(&str, usize)] = &[
    ("p99_9", 999),
    ("p99", 990),
    ("p95", 950),
    ("p90", 900),
    ("p75", 750),
    ("median", 500),
    ("p25", 250),
    ("p10", 100),
    ("p5", 50),
    ("p1", 10),
    ("p0_1", 1),
];

/// A number and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The number; NaN where there is nothing to estimate it from.
    pub value: f64,
    /// Its standard error; NaN below two rows, or where the number is not finite.
    pub standard_error: f64,
}

/// How the numbers of all rows are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spread {
    /// Their mean.
    pub mean: Estimate,
    /// The largest.
    pub max: f64,
    /// Those of [`QUANTILES`], in its order: linear between the two nearest of the sorted numbers, as llama.cpp and
    /// numpy have it (Hyndman and Fan's type 7).
    pub quantiles: [f64; QUANTILES.len()],
    /// The smallest.
    pub min: f64,
}

impl Estimate {
    pub(super) const fn new(value: f64, standard_error: f64) -> Self {
        Self { value, standard_error }
    }

    /// The mean of the values.
    pub(super) fn mean_of(values: &[f64]) -> Self {
        Self { value: mean(values), standard_error: standard_error(values) }
    }

    /// A share `n / of` of independent rows: `√(p (1 − p) / (of − 1))`.
    pub(super) fn share(n: usize, of: usize) -> Self {
        let p = n as f64 / of as f64;
        let standard_error = if of < 2 { f64::NAN } else { (p * (1.0 - p) / (of - 1) as f64).sqrt() };
        Self { value: p, standard_error }
    }

    /// The root of the mean square of the values; its error is that of the mean square, through the root's slope.
    pub(super) fn rms_of(values: &[f64]) -> Self {
        let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
        let Self { value, standard_error } = Self::mean_of(&squares);
        let rms = value.sqrt();
        // Numbers that are all 0 have a mean square without an error, and the root has no slope there.
        Self {
            value: rms,
            standard_error: if rms == 0.0 { standard_error } else { standard_error / (2.0 * rms) },
        }
    }
}

impl Spread {
    /// That of the values; NaN throughout where there are none, or one of them is NaN.
    pub(super) fn of(values: &[f64]) -> Self {
        let mean = Estimate::mean_of(values);
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let is_sound = !sorted.is_empty() && !mean.value.is_nan();
        let at = |thousandths| if is_sound { quantile(&sorted, thousandths) } else { f64::NAN };
        let mut quantiles = [f64::NAN; QUANTILES.len()];
        for (value, (_, thousandths)) in quantiles.iter_mut().zip(QUANTILES) {
            *value = at(*thousandths);
        }
        Self { mean, max: at(1000), quantiles, min: at(0) }
    }
}

/// The quantile of sorted values. Its place is a fraction of integers, so that no rounding moves it.
fn quantile(sorted: &[f64], thousandths: usize) -> f64 {
    let place = thousandths * (sorted.len() - 1);
    let (below, rest) = (sorted[place / 1000], place % 1000);
    if rest == 0 {
        return below;
    }
    let above = sorted[place / 1000 + 1];
    // Two infinities have no difference.
    if below == above { below } else { below + (above - below) * (rest as f64 / 1000.0) }
}

/// The sum, with the roundings of every addition made good (Neumaier, 1974).
pub(super) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    // Infinities are lost by no rounding.
    if sum.is_finite() { sum + lost } else { sum }
}

/// NaN where there are no values.
pub(super) fn mean(values: &[f64]) -> f64 {
    sum(values.iter().copied()) / values.len() as f64
}

/// Sample covariance, with n − 1; NaN below two pairs.
pub(super) fn covariance(x: &[f64], y: &[f64]) -> f64 {
    let (x_mean, y_mean) = (mean(x), mean(y));
    let products = x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean));
    if x.len() < 2 { f64::NAN } else { sum(products) / (x.len() - 1) as f64 }
}

/// Pearson's correlation; NaN where one of them does not vary.
pub(super) fn correlation(x: &[f64], y: &[f64]) -> f64 {
    covariance(x, y) / (covariance(x, x) * covariance(y, y)).sqrt()
}

/// The standard error of the mean: sample standard deviation over √n.
pub(super) fn standard_error(values: &[f64]) -> f64 {
    (covariance(values, values) / values.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, what: &str) {
        let is_close = (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
        assert!(is_close || (found.is_nan() && expected.is_nan()), "{what}: {found}, expected {expected}");
    }

    /// Numbers that numpy and a desk calculator give: numpy.quantile, numpy.var(ddof=1), numpy.corrcoef.
    #[test]
    fn hand_values() {
        let x = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let y = [1.0, 0.0, 3.0, 2.0, 2.0, 5.0, 4.0, 7.0];
        close(mean(&x), 5.0, "mean");
        close(covariance(&x, &x), 32.0 / 7.0, "variance");
        close(standard_error(&x), (32.0f64 / 7.0 / 8.0).sqrt(), "standard error");
        close(covariance(&x, &y), 4.0, "covariance");
        close(correlation(&x, &y), 4.0 / (32.0f64 / 7.0 * 36.0 / 7.0).sqrt(), "correlation");
        close(correlation(&x, &x), 1.0, "with itself");
        assert_eq!(correlation(&x, &x), 1.0);
        close(correlation(&x, &[3.0; 8]), f64::NAN, "with a constant");
        let spread = Spread::of(&x);
        close(spread.min, 2.0, "minimum");
        close(spread.max, 9.0, "maximum");
        let expected = [8.986, 8.86, 8.3, 7.6, 5.5, 4.5, 4.0, 3.4, 2.7, 2.14, 2.014];
        for (i, (name, _)) in QUANTILES.iter().enumerate() {
            close(spread.quantiles[i], expected[i], name);
        }
        let rms = Estimate::rms_of(&[3.0, -4.0, 0.0, 5.0]);
        close(rms.value, 12.5f64.sqrt(), "rms");
        // The squares 9, 16, 0, 25 have the sample variance 337/3.
        close(rms.standard_error, (337.0f64 / 3.0 / 4.0).sqrt() / (2.0 * 12.5f64.sqrt()), "its error");
        let share = Estimate::share(3, 5);
        close(share.value, 0.6, "share");
        close(share.standard_error, (0.24f64 / 4.0).sqrt(), "its error");
    }

    #[test]
    fn few_numbers_have_no_error() {
        let none = Spread::of(&[]);
        assert!(none.mean.value.is_nan() && none.max.is_nan() && none.quantiles[0].is_nan());
        let one = Spread::of(&[3.5]);
        assert_eq!((one.mean.value, one.max, one.quantiles[5], one.min), (3.5, 3.5, 3.5, 3.5));
        assert!(one.mean.standard_error.is_nan());
        assert_eq!(Estimate::rms_of(&[0.0; 4]), Estimate::new(0.0, 0.0));
        assert!(Estimate::share(0, 0).value.is_nan() && Estimate::share(1, 1).standard_error.is_nan());
    }

    #[test]
    fn infinities_stay_and_nan_is_seen() {
        let spread = Spread::of(&[1.0, f64::INFINITY, 2.0, f64::INFINITY]);
        assert_eq!((spread.mean.value, spread.max, spread.min), (f64::INFINITY, f64::INFINITY, 1.0));
        assert!(spread.mean.standard_error.is_nan());
        assert_eq!(spread.quantiles[10], 1.003);
        assert_eq!(spread.quantiles[0], f64::INFINITY);
        for place in 0..3 {
            let mut values = [1.0, 2.0, 3.0];
            values[place] = f64::NAN;
            let spread = Spread::of(&values);
            assert!(spread.mean.value.is_nan() && spread.min.is_nan() && spread.max.is_nan(), "{place}");
        }
    }

    #[test]
    fn no_addition_is_lost() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
        let tenths = vec![0.1; 1_000_000];
        assert_eq!(sum(tenths.iter().copied()), 100_000.0);
        assert!(tenths.iter().sum::<f64>() != 100_000.0, "a plain sum is not enough for this test");
    }
}
