//! A comparison as a table for people: what llama-perplexity prints, by our names, and the worst rows.

use std::io::{self, Write};

use sortilege::compare::{
    Comparison, ComparisonReport, DivergenceComparison, Divergences, Estimate, PerplexityComparison,
    ProbabilityChange, QUANTILES, Spread,
};
use sortilege::log::{Texts, escaped};

use super::frame::{Frame, context};
use super::pass::Outcome;
use super::sides::Told;
use super::worst::{Place, WorstRow};
use crate::shown::{clip, label, shown};

/// Writes what A and B are, and the head of the requests' lines where there are several.
pub(super) fn write_head(
    out: &mut dyn Write,
    sides: &[Told<'_>; 2],
    divergences: Divergences,
    requests: usize,
) -> io::Result<()> {
    for (side, told) in ["A", "B"].iter().zip(sides) {
        let label = if told.approximate { ", approximate" } else { "" };
        let shape = if told.shape.is_empty() { String::new() } else { format!("{:?} ", told.shape) };
        writeln!(out, "{side}  {}  {shape}{}{label}", shown(&told.file), told.dtype)?;
    }
    if requests > 1 {
        let [mean, max] = ["mean ", "max "].map(|what| format!("{what}{}", kld(divergences)));
        writeln!(out, "\nrequest   rows       PPL A       PPL B  ln(B/A) {mean:>10} {max:>10}  same top")?;
    }
    Ok(())
}

/// What a divergence is called at the head of a column: a lower bound is no divergence.
fn kld(divergences: Divergences) -> &'static str {
    if divergences == Divergences::Coarse { "KLD≥" } else { "KLD" }
}

/// Writes the line of a request.
pub(super) fn write_request(out: &mut dyn Write, request: u64, report: &ComparisonReport) -> io::Result<()> {
    write!(out, "{request:>7} {:>6}", report.compared)?;
    match &report.perplexity {
        Some(ppl) => {
            write!(out, " {:>11.4} {:>11.4} {:>8.4}", ppl.a.value, ppl.b.value, ppl.ln_ratio.value)?;
        }
        None => write!(out, " {:>11} {:>11} {:>8}", "-", "-", "-")?,
    }
    match &report.divergence {
        Some(apart) => write!(out, " {:>10.6} {:>10.6}", apart.kld.mean.value, apart.kld.max)?,
        None => write!(out, " {:>10} {:>10}", "-", "-")?,
    }
    writeln!(out, " {:>7.3} %", report.choice.same_top.value * 100.0)
}

/// Writes the statistics of all rows.
pub(super) fn write_total(out: &mut dyn Write, report: &ComparisonReport) -> io::Result<()> {
    let [unsound_a, unsound_b] = report.unsound;
    writeln!(out, "\n{} of {} rows compared", report.compared, report.rows)?;
    if unsound_a + unsound_b > 0 {
        writeln!(out, "no distribution: {unsound_a} in A, {unsound_b} in B")?;
    }
    if let Some(perplexity) = &report.perplexity {
        write_perplexity(out, perplexity)?;
    }
    if let Some(divergence) = &report.divergence {
        write_divergence(out, divergence)?;
    }
    if let Some(probability) = &report.probability {
        write_probability(out, probability)?;
    }
    write_choice(out, report)
}

fn write_perplexity(out: &mut dyn Write, ppl: &PerplexityComparison) -> io::Result<()> {
    writeln!(out, "\nperplexity of {} targets", ppl.targets)?;
    let mut line = |name: &str, estimate: Estimate| {
        writeln!(out, "  {name:<16} {:>12.6} ± {:>10.6}", estimate.value, estimate.standard_error)
    };
    line("A", ppl.a)?;
    line("B", ppl.b)?;
    line("B / A", ppl.ratio)?;
    line("ln(B / A)", ppl.ln_ratio)?;
    line("B - A", ppl.difference)?;
    writeln!(out, "  {:<16} {:>12.4} %", "cor(ln A, ln B)", ppl.correlation * 100.0)
}

fn write_divergence(out: &mut dyn Write, apart: &DivergenceComparison) -> io::Result<()> {
    let what = match apart.kind {
        Divergences::Coarse => ", of the listed tokens and all others as one: lower bounds",
        _ => "",
    };
    writeln!(out, "\ndivergence in nats{what}")?;
    writeln!(out, "  {:<16} {:>12} {:>12} {:>14}", "", "KL(A||B)", "KL(B||A)", "Jensen-Shannon")?;
    let mut line = |name: &str, of: &dyn Fn(&Spread) -> f64| {
        let [kld, reverse_kld, jsd] = [&apart.kld, &apart.reverse_kld, &apart.jsd].map(of);
        writeln!(out, "  {name:<16} {kld:>12.6} {reverse_kld:>12.6} {jsd:>14.6}")
    };
    line("mean", &|spread| spread.mean.value)?;
    line("± error", &|spread| spread.mean.standard_error)?;
    each_of_spread(|name, of| line(name, of))?;
    let [infinite, reverse_infinite] = apart.infinite;
    if infinite + reverse_infinite > 0 {
        writeln!(
            out,
            "  infinite in {infinite} and {reverse_infinite} rows: possible in one, impossible in the other"
        )?;
    }
    Ok(())
}

/// Calls `line` with the name of each number of a spread but the mean, and how it is taken.
fn each_of_spread(mut line: impl FnMut(&str, &dyn Fn(&Spread) -> f64) -> io::Result<()>) -> io::Result<()> {
    line("maximum", &|spread| spread.max)?;
    for (place, (name, thousandths)) in QUANTILES.iter().enumerate() {
        let percent = format!("{} %", *thousandths as f64 / 10.0);
        let name = if *name == "median" { "median" } else { &percent };
        line(name, &|spread| spread.quantiles[place])?;
    }
    line("minimum", &|spread| spread.min)
}

fn write_probability(out: &mut dyn Write, change: &ProbabilityChange) -> io::Result<()> {
    writeln!(out, "\nprobability of the target, B - A")?;
    let percent = |estimate: Estimate| {
        format!("{:>12.4} ± {:>6.4} %", estimate.value * 100.0, estimate.standard_error * 100.0)
    };
    writeln!(out, "  {:<16} {}", "mean", percent(change.change.mean))?;
    writeln!(out, "  {:<16} {}", "RMS", percent(change.rms))?;
    each_of_spread(|name, of| writeln!(out, "  {name:<16} {:>12.4} %", of(&change.change) * 100.0))?;
    writeln!(out, "  more probable in B in {} rows, less in {}", change.up, change.down)?;
    let [right_a, right_b] = change.right.map(counted);
    writeln!(out, "  the most probable token in {right_a} rows of A, in {right_b} of B")?;
    let [to_wrong, to_right] = [change.right_to_wrong, change.wrong_to_right].map(counted);
    writeln!(out, "  right to wrong {to_wrong}, wrong to right {to_right}")
}

/// A count that logs may leave open.
fn counted(rows: Option<usize>) -> String {
    rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string())
}

fn write_choice(out: &mut dyn Write, report: &ComparisonReport) -> io::Result<()> {
    let choice = &report.choice;
    writeln!(out, "\nmost probable token")?;
    for (name, share) in [("same", choice.same_top), ("top-k overlap", choice.overlap)] {
        let [share, error] = [share.value, share.standard_error].map(|share| share * 100.0);
        writeln!(out, "  {name:<16} {share:>12.4} ± {error:>6.4} %")?;
    }
    writeln!(
        out,
        "  changed in {} rows, of which {} are near ties in A (its two best less than {} nats apart)",
        counted(choice.changed),
        counted(choice.near_ties),
        Comparison::NEAR_TIE
    )?;
    let ([rank_b, rank_a], [max_b, max_a]) = (choice.rank, choice.max_rank);
    writeln!(
        out,
        "  rank of A's in B {rank_b:.4}, at most {max_b}; of B's in A {rank_a:.4}, at most {max_a}"
    )?;
    let [entropy_a, entropy_b] = report.entropy;
    writeln!(out, "  mean entropy     A {entropy_a:.6}, B {entropy_b:.6} nats")
}

/// Writes the worst rows, if there are any.
pub(super) fn write_worst(out: &mut dyn Write, outcome: &Outcome, frame: &Frame<'_>) -> io::Result<()> {
    if outcome.worst.is_empty() {
        return Ok(());
    }
    let kld = kld(outcome.divergences());
    let by = if kld == "KLD" { "" } else { ", of which KLD≥ is a lower bound" };
    writeln!(out, "\nworst {} rows by KL(A||B){by}", outcome.worst.len())?;
    writeln!(out, "req  pos  token             prob A    prob B {kld:>9}   gap A   gap B")?;
    outcome.worst.iter().try_for_each(|row| write_row(out, row, outcome, frame))
}

fn write_row(out: &mut dyn Write, row: &WorstRow, outcome: &Outcome, frame: &Frame<'_>) -> io::Result<()> {
    let WorstRow { place, comparison } = row;
    let Place { request, position, .. } = place;
    let token = outcome.targets[place.row].map_or_else(|| "-".to_owned(), |token| named(token, frame.texts));
    write!(out, "{request:>3} {position:>4}  {:<14}", clip(&token, 14))?;
    for side in 0..2 {
        match &comparison.target {
            Some(target) => write!(out, " {:>7.2} %", target.logprob[side].exp() * 100.0)?,
            None => write!(out, " {:>9}", "-")?,
        }
    }
    let [gap_a, gap_b] = comparison.gaps();
    let near = if comparison.is_near_tie() == Some(true) { "  near tie" } else { "" };
    writeln!(out, " {:>9.5} {gap_a:>7.3} {gap_b:>7.3}{near}", comparison.divergence.kld)?;
    if let Some(context) = context(*place, outcome, frame) {
        writeln!(out, "          after \"{}\"", escaped(&context))?;
    }
    for (side, top) in ["A", "B"].iter().zip(&comparison.top_logprobs) {
        write!(out, "          {side}")?;
        for entry in top {
            let label = named(entry.token, frame.texts);
            write!(out, "  {} {:.1} %", clip(&label, 16), entry.logprob.exp() * 100.0)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The text of a token for people, or its id.
fn named(token: u32, texts: Texts<'_>) -> String {
    label(Some(token), texts.text(token).as_deref())
}
