//! The conditions of `--fail-if`: which names a comparison has, and what is said of those that it has not.

use sortilege::compare::{Comparison, ComparisonReport, Divergences};

use crate::failure::{Result, note};
use crate::gate::{Condition, Gates};

/// The conditions that the texts say, of numbers that a comparison has with targets or without, and of such divergences.
pub(super) fn parse(texts: &[String], has_targets: bool, divergences: Divergences) -> Result<Gates> {
    let names = |has_targets, kind| {
        let named = Comparison::new(has_targets, kind).report().named();
        named.into_iter().map(|(name, _)| name).collect::<Vec<String>>()
    };
    let known = names(has_targets, divergences);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    // What would be known of other sides gets another answer.
    let [all, all_coarse] = [Divergences::Exact, Divergences::Coarse].map(|kind| names(true, kind));
    let all: Vec<&str> = all.iter().chain(&all_coarse).map(String::as_str).collect();
    Gates::parse(texts, &known, |text| {
        let of_others = Condition::parse(text, &all).ok()?;
        let missing = of_others.names().into_iter().find(|name| !known.contains(name))?;
        Some(missing_because(missing, has_targets))
    })
}

/// A number of a report by its name.
pub(super) fn number(report: &ComparisonReport) -> impl Fn(&str) -> f64 {
    |name| report.get(name).unwrap_or(f64::NAN)
}

/// Says which rows are left out, and that no gate sees them.
pub(super) fn tell_unsound(gates: &Gates, report: &ComparisonReport) {
    let rows = report.rows;
    let sides = [("A", "unsound_a"), ("B", "unsound_b")].into_iter().zip(report.unsound);
    for ((side, name), unsound) in sides.filter(|(_, unsound)| *unsound > 0) {
        let unseen = if gates.pass_over(&[name]) {
            format!("; no --fail-if names {name}, so that none fails for them: add \"{name} > 0\"")
        } else {
            String::new()
        };
        note!("note: {unsound} of {rows} rows are no distribution in {side}, and are not compared{unseen}");
    }
}

/// Why a comparison has no number of this name, which others have.
fn missing_because(name: &str, has_targets: bool) -> String {
    match name.strip_prefix("coarse_") {
        Some(exact) => format!("{name} is of references and logs; here is {exact}, of all tokens"),
        None if name.contains("kld") || name.contains("jsd") => format!(
            "references and logs have not all tokens for {name}: give logits, or gate on coarse_{name}, a lower bound"
        ),
        None if !has_targets => {
            format!("{name} is of targets: give --tokens, or of a reference save it again with them")
        }
        None => format!("{name} is not known here"),
    }
}
