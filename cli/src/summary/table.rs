//! A summary for people.

use std::fmt::{self, Display, Formatter};

use sortilege::log::{Calibration, Record, Spread, SummaryReport, Totals};

use super::names::SPREAD;
use crate::shown::{clip, label};

/// A report, of which so many requests are listed.
pub(super) struct Table<'a> {
    pub(super) report: &'a SummaryReport,
    pub(super) list: usize,
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SummaryReport { total, calibration, requests, .. } = self.report;
        let Totals { records, unsound, tokens, impossible, .. } = total;
        write!(f, "{records} records of {} requests, {tokens} tokens", requests.len())?;
        if *unsound > 0 {
            write!(f, "; {unsound} rows are no distribution")?;
        }
        if *impossible > 0 {
            write!(f, "; {impossible} tokens have probability 0")?;
        }
        writeln!(f)?;
        if let Some(perplexity) = total.perplexity {
            writeln!(f, "perplexity {perplexity:.6}")?;
        }
        if let Some(share) = total.greedy_share {
            writeln!(f, "greedy {:.2} %: no token was more probable", share * 100.0)?;
        }
        self.spreads(f)?;
        if let Some(calibration) = calibration {
            write_calibration(f, calibration)?;
        }
        self.low_runs(f)?;
        self.requests(f)
    }
}

impl Table<'_> {
    fn spreads(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SummaryReport { total, logprob, entropy, .. } = self.report;
        if logprob.is_none() && entropy.is_none() {
            return Ok(());
        }
        write!(f, "\n{:<8} {:>8}", "nats", "mean")?;
        SPREAD.iter().try_for_each(|(name, _)| write!(f, " {name:>8}"))?;
        writeln!(f)?;
        for (name, mean, spread) in
            [("logprob", total.logprob_mean, logprob), ("entropy", total.entropy_mean, entropy)]
        {
            let Some((mean, spread)) = mean.zip(spread.as_ref()) else { continue };
            write!(f, "{name:<8} {mean:>8.4}")?;
            SPREAD.iter().try_for_each(|(_, number): &(_, fn(&Spread) -> f64)| {
                write!(f, " {:>8.4}", number(spread))
            })?;
            writeln!(f)?;
        }
        Ok(())
    }

    fn low_runs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SummaryReport { total, low_confidence: low, longest_low_runs: runs, .. } = self.report;
        if total.tokens == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\nlow confidence: {} runs of {} and more tokens below {} %, {} tokens in all",
            total.low_runs,
            low.length,
            low.below * 100.0,
            total.low_tokens
        )?;
        if runs.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "  they may be hallucinations, and prove none: what is rare may be right, what is wrong may be sure"
        )?;
        writeln!(f, "  {:>5} {:>6} {:>6} {:>8}  text", "req", "pos", "tokens", "logprob")?;
        for run in runs {
            let text = run.text.as_deref().map_or_else(|| "-".to_owned(), |text| label(None, Some(text)));
            let (length, mean) = (run.length, run.logprob_mean);
            writeln!(
                f,
                "  {:>5} {:>6} {length:>6} {mean:>8.4}  {}",
                run.request,
                run.position,
                clip(&text, 70)
            )?;
        }
        Ok(())
    }

    fn requests(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let requests = &self.report.requests;
        if requests.len() < 2 || self.list == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:>5} {:>8} {:>8} {:>12} {:>8} {:>8} {:>8} {:>8}",
            "req", "records", "tokens", "perplexity", "logprob", "entropy", "greedy", "low runs"
        )?;
        for request in requests.iter().take(self.list) {
            let Totals { records, tokens, low_runs, .. } = request.totals;
            let totals = &request.totals;
            writeln!(
                f,
                "{:>5} {records:>8} {tokens:>8} {:>12} {:>8} {:>8} {:>8} {low_runs:>8}",
                request.request,
                number(totals.perplexity),
                number(totals.logprob_mean),
                number(totals.entropy_mean),
                totals.greedy_share.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0)),
            )?;
        }
        match requests.len().saturating_sub(self.list) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more requests: --list N, or --format json"),
        }
    }
}

fn write_calibration(f: &mut Formatter<'_>, calibration: &Calibration) -> fmt::Result {
    let percent =
        |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0));
    writeln!(f, "\nexpected calibration error {:.6}", calibration.error)?;
    writeln!(f, "  {:<16} {:>8} {:>10} {:>10}", "most probable", "tokens", "mean prob", "was it")?;
    for bin in calibration.bins.iter().filter(|bin| bin.tokens > 0) {
        let range = format!("{:.0} % to {:.0} %", bin.from * 100.0, bin.to * 100.0);
        let (confidence, accuracy) = (percent(bin.confidence), percent(bin.accuracy));
        writeln!(f, "  {range:<16} {:>8} {confidence:>10} {accuracy:>10}", bin.tokens)?;
    }
    Ok(())
}

fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"))
}

/// Records that match a condition, a line each.
pub(super) struct Matches<'a>(pub(super) &'a [Record<'static>]);

impl Display for Matches<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>5} {:>6}  {:<16} {:>8} {:>9} {:>6} {:>8}",
            "req", "pos", "token", "logprob", "prob", "rank", "entropy"
        )?;
        for record in self.0 {
            let chosen = record.chosen();
            let token = chosen.map_or_else(|| "-".to_owned(), |chosen| label(chosen.token, chosen.text));
            let logprob = chosen.and_then(|chosen| chosen.logprob);
            let prob =
                logprob.map_or_else(|| "-".to_owned(), |logprob| format!("{:.2} %", logprob.exp() * 100.0));
            let rank =
                chosen.and_then(|chosen| chosen.rank).map_or_else(|| "-".to_owned(), |rank| rank.to_string());
            writeln!(
                f,
                "{:>5} {:>6}  {:<16} {:>8} {prob:>9} {rank:>6} {:>8}",
                record.request(),
                record.position(),
                clip(&token, 16),
                number(logprob),
                number(record.entropy())
            )?;
        }
        Ok(())
    }
}
