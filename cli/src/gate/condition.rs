//! A condition as its users see it.

use std::fmt;

use super::node::Node;
use super::parse::parse;

/// A condition that was understood: every name in it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    text: String,
    root: Node,
}

/// What a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    DoesNotHold,
    /// It depends on a number that is NaN: nobody may take it for one of the others.
    Undecided,
}

impl Verdict {
    /// As reports say it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::Undecided => "undecided",
        }
    }
}

impl Condition {
    /// The condition that a text says of numbers with these names.
    pub(crate) fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), root: parse(text, names)? })
    }

    /// Whether it holds for these numbers. A comparison with NaN is undecided, and so is all that depends on it: `or` with
    /// a condition that holds, and `and` with one that does not, do not depend on it.
    pub(crate) fn decide(&self, number: &dyn Fn(&str) -> f64) -> Verdict {
        match self.root.decide(number) {
            Some(true) => Verdict::Holds,
            Some(false) => Verdict::DoesNotHold,
            None => Verdict::Undecided,
        }
    }

    /// The names in it, each once, in the order of the text.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.collect(&mut names);
        names
    }
}

impl fmt::Display for Condition {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
