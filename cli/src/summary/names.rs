//! The numbers that conditions of `summary` can name: of a record, and of a whole summary.

use sortilege::log::{Record, Spread, SummaryReport};

/// A name, and the number of a record, where it has one.
type OfRecord = (&'static str, fn(&Record<'_>) -> Option<f64>);

const OF_RECORDS: &[OfRecord] = &[
    ("request", |record| Some(record.request() as f64)),
    ("position", |record| Some(record.position() as f64)),
    ("token", |record| record.chosen()?.token.map(f64::from)),
    ("logprob", logprob),
    ("prob", |record| logprob(record).map(f64::exp)),
    ("surprisal", |record| logprob(record).map(|logprob| -logprob)),
    ("rank", |record| record.chosen()?.rank.map(f64::from)),
    ("entropy", |record| record.entropy()),
    ("top_logprob", |record| listed(record, 0)),
    ("top_prob", |record| listed(record, 0).map(f64::exp)),
    ("margin", |record| Some(listed(record, 0)? - listed(record, 1)?)),
    ("gap", |record| Some(listed(record, 0)? - logprob(record)?)),
    ("kept", |record| sample(record).map(|[kept, ..]| kept)),
    ("kept_mass", |record| sample(record).map(|[_, mass, _]| mass)),
    ("temperature", |record| sample(record).map(|[.., temperature]| temperature)),
];

fn logprob(record: &Record<'_>) -> Option<f64> {
    record.chosen()?.logprob
}

/// Logprob of the most probable token, or of the next.
fn listed(record: &Record<'_>, number: usize) -> Option<f64> {
    record.top().get(number).map(|entry| entry.logprob)
}

/// What only samples have.
fn sample(record: &Record<'_>) -> Option<[f64; 3]> {
    match record {
        Record::Sample(sample) => Some([
            sample.kept.into(),
            sample.kept_mass.unwrap_or(f64::NAN),
            sample.temperature.unwrap_or(f64::NAN),
        ]),
        _ => None,
    }
}

/// The names of a record's numbers.
pub(super) fn record_names() -> Vec<&'static str> {
    OF_RECORDS.iter().map(|(name, _)| *name).collect()
}

/// A number of a record by its name, NaN where there is none.
pub(super) fn of_record(record: &Record<'_>, name: &str) -> f64 {
    let number = OF_RECORDS.iter().find(|(other, _)| *other == name);
    number.and_then(|(_, number)| number(record)).unwrap_or(f64::NAN)
}

/// What a summary says, with the share of the log's records that it is of.
pub(super) struct Summed {
    pub(super) report: SummaryReport,
    pub(super) share: Option<f64>,
}

/// The numbers of a summary by their names, NaN where there is none.
pub(super) fn of_summary(summed: Option<&Summed>) -> Vec<(String, f64)> {
    let report = summed.map(|summed| &summed.report);
    let total = report.map(|report| &report.total);
    let count = |number: fn(&sortilege::log::Totals) -> u64| total.map(|total| number(total) as f64);
    let longest = report.map(|report| report.longest_low_runs.first().map_or(0, |run| run.length) as f64);
    let mut numbers: Vec<(String, Option<f64>)> = [
        ("records", count(|total| total.records)),
        ("unsound", count(|total| total.unsound)),
        ("tokens", count(|total| total.tokens)),
        ("impossible", count(|total| total.impossible)),
        ("perplexity", total.and_then(|total| total.perplexity)),
        ("greedy_share", total.and_then(|total| total.greedy_share)),
        ("calibration_error", report.and_then(|report| Some(report.calibration.as_ref()?.error))),
        ("low_runs", count(|total| total.low_runs)),
        ("low_tokens", count(|total| total.low_tokens)),
        ("longest_low_run", longest),
        ("share", summed.and_then(|summed| summed.share)),
        ("logprob_mean", total.and_then(|total| total.logprob_mean)),
        ("entropy_mean", total.and_then(|total| total.entropy_mean)),
    ]
    .map(|(name, number)| (name.to_owned(), number))
    .into();
    for (name, spread) in [
        ("logprob", report.and_then(|report| report.logprob)),
        ("entropy", report.and_then(|report| report.entropy)),
    ] {
        numbers.extend(
            SPREAD.iter().map(|(end, number)| (format!("{name}_{end}"), spread.as_ref().map(number))),
        );
    }
    numbers.into_iter().map(|(name, number)| (name, number.unwrap_or(f64::NAN))).collect()
}

/// A name, and the number of a spread.
type OfSpread = (&'static str, fn(&Spread) -> f64);

/// The numbers of a spread by the ends of their names.
pub(super) const SPREAD: &[OfSpread] = &[
    ("min", |spread| spread.min),
    ("p1", |spread| spread.p1),
    ("p5", |spread| spread.p5),
    ("p10", |spread| spread.p10),
    ("p25", |spread| spread.p25),
    ("p50", |spread| spread.p50),
    ("p75", |spread| spread.p75),
    ("p90", |spread| spread.p90),
    ("p95", |spread| spread.p95),
    ("p99", |spread| spread.p99),
    ("max", |spread| spread.max),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::EXAMPLES;

    #[test]
    fn the_help_has_every_name() {
        let words: Vec<&str> = EXAMPLES
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        let summary = of_summary(None).into_iter().map(|(name, _)| name);
        let names = record_names().into_iter().map(str::to_owned).chain(summary);
        // Of the percentiles of a logprob it has the ends, and then says "the same of entropy".
        let of_logprob = |name: &str| {
            let end = name.strip_prefix("logprob_");
            words.contains(&name) || end.is_some_and(|end| words.contains(&end))
        };
        let is_told = |name: &str| match name.strip_prefix("entropy_") {
            Some(end) => EXAMPLES.contains("the same of entropy") && of_logprob(&format!("logprob_{end}")),
            None => of_logprob(name),
        };
        let untold: Vec<String> = names.filter(|name| !is_told(name)).collect();
        assert_eq!(untold, [""; 0]);
    }
}
