//! The conditions of `--fail-if`: which names a comparison has, and how it ends where one holds.

use sortilege::compare::{Comparison, ComparisonReport, Divergences};

use crate::failure::{Failure, Result};
use crate::gate::{Condition, Verdict};

/// Conditions over the numbers of a report.
pub(super) struct Gates(Vec<Condition>);

impl Gates {
    /// The conditions that the texts say, of numbers that a comparison has with targets or without, and of such divergences.
    pub(super) fn parse(texts: &[String], has_targets: bool, divergences: Divergences) -> Result<Self> {
        let names = |has_targets, kind| {
            let named = Comparison::new(has_targets, kind).report().named();
            named.into_iter().map(|(name, _)| name).collect::<Vec<String>>()
        };
        let known = names(has_targets, divergences);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        // What would be known of other sides gets another answer.
        let [all, all_coarse] = [Divergences::Exact, Divergences::Coarse].map(|kind| names(true, kind));
        let all: Vec<&str> = all.iter().chain(&all_coarse).map(String::as_str).collect();
        let parse = |text: &String| {
            Condition::parse(text, &known).map_err(|problem| {
                let of_others = Condition::parse(text, &all).ok();
                let names = of_others.as_ref().map(Condition::names).unwrap_or_default();
                let missing = names.into_iter().find(|name| !known.contains(name));
                let problem = missing.map_or(problem, |name| missing_because(name, has_targets));
                Failure::Usage(format!("--fail-if \"{text}\": {problem}"))
            })
        };
        texts.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// What each condition comes to.
    pub(super) fn verdicts(&self, report: &ComparisonReport) -> Vec<(&Condition, Verdict)> {
        let named = report.named();
        let number = |name: &str| {
            named.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, number)| *number)
        };
        self.0.iter().map(|condition| (condition, condition.decide(&number))).collect()
    }

    /// An error if one of them holds or cannot be decided.
    pub(super) fn check(&self, report: &ComparisonReport) -> Result<()> {
        let told = |(condition, verdict): (&Condition, Verdict)| {
            let numbers: Vec<String> = condition
                .names()
                .into_iter()
                .map(|name| format!("{name} is {}", report.get(name).unwrap_or(f64::NAN)))
                .collect();
            let numbers = numbers.join(", ");
            match verdict {
                Verdict::Holds => Some(format!("--fail-if \"{condition}\" holds: {numbers}")),
                Verdict::Undecided => Some(format!("--fail-if \"{condition}\" cannot be decided: {numbers}")),
                Verdict::DoesNotHold => None,
            }
        };
        let failed: Vec<String> = self.verdicts(report).into_iter().filter_map(told).collect();
        if failed.is_empty() { Ok(()) } else { Err(Failure::Mismatch(failed.join("; "))) }
    }
}

/// Why a comparison has no number of this name, which others have.
fn missing_because(name: &str, has_targets: bool) -> String {
    match name.strip_prefix("coarse_") {
        Some(exact) => format!("{name} is of references and logs; here is {exact}, of all tokens"),
        None if name.contains("kld") || name.contains("jsd") => format!(
            "references and logs have not all tokens for {name}: give logits, or gate on coarse_{name}, a lower bound"
        ),
        None if !has_targets => format!("{name} is of targets: give --tokens"),
        None => format!("{name} is not known here"),
    }
}
