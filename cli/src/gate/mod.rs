//! Conditions over named numbers, such as `kld_mean > 0.01 or same_top < 0.99`, for `--fail-if` and filters. Not a
//! calculator: there is no arithmetic, and what the names mean is the matter of the command.
//!
//! ```text
//! condition = all {("or" | "||") all}
//! all       = term {("and" | "&&") term}
//! term      = ("not" | "!") term | "(" condition ")" | operand operator operand
//! operator  = "<" | "<=" | ">" | ">=" | "==" | "!="
//! operand   = a known name | a number, inf included
//! ```

mod condition;
mod gates;
mod node;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use self::condition::{Condition, Verdict};
pub(crate) use self::gates::Gates;
