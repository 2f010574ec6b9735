//! Every statistic of `compare` by its definition, in f64 and with llama.cpp's formulas; it shares no code with the library.

use std::collections::BTreeMap;

use serde_json::Value;

/// Rows of A and B, and the target of each.
#[derive(Clone, Default)]
pub(super) struct Rows {
    pub(super) a: Vec<Vec<f32>>,
    pub(super) b: Vec<Vec<f32>>,
    pub(super) targets: Vec<Option<usize>>,
}

impl Rows {
    /// The rows of this range.
    pub(super) fn part(&self, rows: std::ops::Range<usize>) -> Self {
        Self {
            a: self.a[rows.clone()].to_vec(),
            b: self.b[rows.clone()].to_vec(),
            targets: self.targets[rows].to_vec(),
        }
    }
}

/// Probabilities, unless the row is no distribution.
fn softmax(row: &[f32]) -> Option<Vec<f64>> {
    let is_sound = row.iter().all(|x| !x.is_nan() && *x < f32::INFINITY);
    let weights: Vec<f64> = row.iter().map(|&x| f64::from(x).exp()).collect();
    let total: f64 = weights.iter().sum();
    (is_sound && total > 0.0).then(|| weights.iter().map(|weight| weight / total).collect())
}

/// Tokens by logit descending, then by id; impossible ones left out.
fn order(row: &[f32]) -> Vec<usize> {
    let mut tokens: Vec<usize> = (0..row.len()).filter(|&token| row[token] > f32::NEG_INFINITY).collect();
    tokens.sort_by(|&i, &j| row[j].partial_cmp(&row[i]).expect("sound").then(i.cmp(&j)));
    tokens
}

fn rank(row: &[f32], token: usize) -> f64 {
    1.0 + row.iter().filter(|&&x| x > row[token]).count() as f64
}

fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p.ln() - q.ln())).sum()
}

/// Mean and error by sums and sums of squares.
fn mean_and_error(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let square = x.iter().map(|x| x * x).sum::<f64>() / n;
    let variance = square - mean * mean;
    // Equal numbers may leave a rounding below 0.
    (mean, (if variance < 0.0 { 0.0 } else { variance } / (n - 1.0)).sqrt())
}

/// numpy.quantile.
fn quantile(x: &[f64], share: f64) -> f64 {
    if x.is_empty() {
        return f64::NAN;
    }
    let mut sorted = x.to_vec();
    sorted.sort_by(|x, y| x.partial_cmp(y).expect("no NaN"));
    let place = share * (x.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "places of a short list")]
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] * (1.0 - place.fract()) + sorted[above] * place.fract()
}

struct Named(BTreeMap<String, f64>);

impl Named {
    fn put(&mut self, name: &str, value: f64) {
        assert!(self.0.insert(name.to_owned(), value).is_none(), "{name} twice");
    }

    fn put_both(&mut self, name: &str, (value, error): (f64, f64)) {
        self.put(name, value);
        self.put(&format!("{name}_se"), error);
    }

    fn put_spread(&mut self, name: &str, x: &[f64]) {
        self.put_both(&format!("{name}_mean"), mean_and_error(x));
        for (part, share) in [
            ("max", 1.0),
            ("p99_9", 0.999),
            ("p99", 0.99),
            ("p95", 0.95),
            ("p90", 0.9),
            ("p75", 0.75),
            ("median", 0.5),
            ("p25", 0.25),
            ("p10", 0.1),
            ("p5", 0.05),
            ("p1", 0.01),
            ("p0_1", 0.001),
            ("min", 0.0),
        ] {
            self.put(&format!("{name}_{part}"), quantile(x, share));
        }
    }
}

fn share(count: usize, of: usize) -> (f64, f64) {
    let p = count as f64 / of as f64;
    (p, (p * (1.0 - p) / (of as f64 - 1.0)).sqrt())
}

/// Every number of the report, by its name.
pub(super) fn statistics(rows: &Rows, top: usize) -> BTreeMap<String, f64> {
    let mut named = Named(BTreeMap::new());
    let unsound = |side: &[Vec<f32>]| side.iter().filter(|row| softmax(row).is_none()).count() as f64;
    named.put("rows", rows.a.len() as f64);
    named.put("unsound_a", unsound(&rows.a));
    named.put("unsound_b", unsound(&rows.b));
    let mut columns: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut compared = 0;
    for ((a, b), target) in rows.a.iter().zip(&rows.b).zip(&rows.targets) {
        let (Some(p), Some(q)) = (softmax(a), softmax(b)) else { continue };
        compared += 1;
        let mut push = |name, value| columns.entry(name).or_default().push(value);
        let middle: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (p + q) / 2.0).collect();
        push("kld", kl(&p, &q));
        push("reverse_kld", kl(&q, &p));
        push("jsd", kl(&p, &middle) / 2.0 + kl(&q, &middle) / 2.0);
        let entropy = |p: &[f64]| -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>();
        push("entropy_a", entropy(&p));
        push("entropy_b", entropy(&q));
        let (order_a, order_b) = (order(a), order(b));
        let common =
            order_a.iter().take(top).filter(|token| order_b.iter().take(top).any(|other| other == *token));
        push("overlap", common.count() as f64 / top.min(order_a.len().max(order_b.len())) as f64);
        push("rank_in_b", rank(b, order_a[0]));
        push("rank_in_a", rank(a, order_b[0]));
        let mut count = |name, holds| *counts.entry(name).or_default() += usize::from(holds);
        let is_changed = order_a[0] != order_b[0];
        count("same", !is_changed);
        let gap = order_a.get(1).map_or(f64::INFINITY, |&second| (p[order_a[0]] / p[second]).ln());
        count("near_tie", is_changed && gap < 0.1);
        let Some(target) = *target else { continue };
        push("nll_a", -p[target].ln());
        push("nll_b", -q[target].ln());
        push("delta_p", q[target] - p[target]);
        count("up", q[target] > p[target]);
        count("down", q[target] < p[target]);
        let (is_right_a, is_right_b) = (order_a[0] == target, order_b[0] == target);
        count("right_a", is_right_a);
        count("right_b", is_right_b);
        count("right_to_wrong", is_right_a && !is_right_b);
        count("wrong_to_right", !is_right_a && is_right_b);
    }
    let column = |name: &str| columns.get(name).map_or(&[][..], |column| &column[..]);
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    named.put("compared", compared as f64);
    for name in ["kld", "reverse_kld", "jsd", "delta_p"] {
        named.put_spread(name, column(name));
    }
    named.put("kld_infinite", column("kld").iter().filter(|x| x.is_infinite()).count() as f64);
    named
        .put("reverse_kld_infinite", column("reverse_kld").iter().filter(|x| x.is_infinite()).count() as f64);
    put_perplexity(&mut named, column("nll_a"), column("nll_b"));
    let squares: Vec<f64> = column("delta_p").iter().map(|change| change * change).collect();
    let (square, square_error) = mean_and_error(&squares);
    named.put_both("delta_p_rms", (square.sqrt(), 0.5 / square.sqrt() * square_error));
    named.put("delta_p_up", count("up") as f64);
    named.put("delta_p_down", count("down") as f64);
    for name in ["right_a", "right_b", "right_to_wrong", "wrong_to_right"] {
        named.put(name, count(name) as f64);
    }
    named.put_both("same_top", share(count("same"), compared));
    named.put("top_changed", (compared - count("same")) as f64);
    named.put("top_changed_near_tie", count("near_tie") as f64);
    named.put_both("top_overlap", mean_and_error(column("overlap")));
    for name in ["rank_in_a", "rank_in_b"] {
        named.put(&format!("{name}_mean"), mean_and_error(column(name)).0);
        named.put(&format!("{name}_max"), column(name).iter().copied().fold(0.0, f64::max));
    }
    for name in ["entropy_a", "entropy_b"] {
        named.put(name, mean_and_error(column(name)).0);
    }
    named.0
}

/// As llama.cpp prints it: from variances and the covariance.
fn put_perplexity(named: &mut Named, a: &[f64], b: &[f64]) {
    let n = a.len() as f64;
    named.put("targets", n);
    let ((mean_a, error_a), (mean_b, error_b)) = (mean_and_error(a), mean_and_error(b));
    let products = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n;
    let covariance = (products - mean_a * mean_b) / (n - 1.0);
    let (ppl_a, ppl_b) = (mean_a.exp(), mean_b.exp());
    named.put_both("ppl_a", (ppl_a, ppl_a * error_a));
    named.put_both("ppl_b", (ppl_b, ppl_b * error_b));
    let ratio_error = (error_a * error_a + error_b * error_b - 2.0 * covariance).sqrt();
    named.put_both("ln_ppl_ratio", (mean_b - mean_a, ratio_error));
    named.put_both("ppl_ratio", ((mean_b - mean_a).exp(), (mean_b - mean_a).exp() * ratio_error));
    let squares = (ppl_a * error_a).powi(2) + (ppl_b * error_b).powi(2) - 2.0 * ppl_a * ppl_b * covariance;
    named.put_both("ppl_diff", (ppl_b - ppl_a, squares.sqrt()));
    named.put("ln_ppl_cor", covariance / (error_a * error_b));
}

/// How far a number may be from what it must be: 1e-6, of large ones that share, and of the difference of two perplexities
/// that share of them.
pub(super) fn tolerance(name: &str, expected: &BTreeMap<String, f64>) -> f64 {
    let scale = if name.starts_with("ppl_diff") { expected["ppl_a"] } else { expected[name] };
    1e-6 * scale.abs().max(1.0)
}

/// Whether a report has these numbers and no others, each as near as `tolerance` says to what it must be; says the first
/// that is wrong. What is not finite is null.
pub(super) fn check(report: &Value, expected: &BTreeMap<String, f64>) -> Result<(), String> {
    let report = report.as_object().ok_or("no object")?;
    let names = report.keys().filter(|name| *name != "request");
    let unknown: Vec<&String> = names.filter(|name| !expected.contains_key(*name)).collect();
    if !unknown.is_empty() {
        return Err(format!("{unknown:?} have no definition"));
    }
    for (name, must_be) in expected {
        let found = report.get(name).ok_or_else(|| format!("{name} is missing"))?;
        let is_it = match found.as_f64() {
            Some(found) => (found - must_be).abs() <= tolerance(name, expected),
            None => found.is_null() && !must_be.is_finite(),
        };
        if !is_it {
            return Err(format!("{name} is {found}, expected {must_be}"));
        }
    }
    Ok(())
}
