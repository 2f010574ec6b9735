//! Several conditions as a gate: what each comes to, and the failure where one of them holds or nobody can say.

use super::condition::{Condition, Verdict};
use crate::failure::{Failure, Result};

/// The conditions of `--fail-if`.
pub(crate) struct Gates(Vec<Condition>);

impl Gates {
    /// The conditions that the texts say of numbers with these names. `better` may know more of a text that says none.
    pub(crate) fn parse(
        texts: &[String],
        names: &[&str],
        better: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let parse = |text: &String| {
            Condition::parse(text, names).map_err(|problem| {
                let problem = better(text).unwrap_or(problem);
                Failure::Usage(format!("--fail-if \"{text}\": {problem}"))
            })
        };
        texts.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether there is a condition, and none of them has one of these names.
    pub(crate) fn pass_over(&self, names: &[&str]) -> bool {
        let has_one = |condition: &Condition| condition.names().iter().any(|name| names.contains(name));
        !self.0.is_empty() && !self.0.iter().any(has_one)
    }

    /// What each condition comes to.
    pub(crate) fn verdicts(&self, number: &dyn Fn(&str) -> f64) -> Vec<(&Condition, Verdict)> {
        self.0.iter().map(|condition| (condition, condition.decide(number))).collect()
    }

    /// An error if one of them holds or cannot be decided.
    pub(crate) fn check(&self, number: &dyn Fn(&str) -> f64) -> Result<()> {
        let value = |name: &str| match number(name) {
            value if value.is_nan() => format!("there is no {name}"),
            value => format!("{name} is {value}"),
        };
        let told = |(condition, verdict): (&Condition, Verdict)| {
            let values = condition.names().into_iter().map(value).collect::<Vec<_>>().join(", ");
            match verdict {
                Verdict::Holds => Some(format!("--fail-if \"{condition}\" holds: {values}")),
                Verdict::Undecided => Some(format!("--fail-if \"{condition}\" cannot be decided: {values}")),
                Verdict::DoesNotHold => None,
            }
        };
        let failed: Vec<String> = self.verdicts(number).into_iter().filter_map(told).collect();
        if failed.is_empty() { Ok(()) } else { Err(Failure::Mismatch(failed.join("; "))) }
    }
}
