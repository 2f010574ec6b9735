//! Conditions and what they come to, by tables.

use super::{Condition, Verdict};

const NAMES: &[&str] = &["kld_mean", "ppl_ratio", "rank"];

/// The verdict for kld_mean 0.25, ppl_ratio NaN and rank 3.
fn decided(text: &str) -> Verdict {
    let number = |name: &str| match name {
        "kld_mean" => 0.25,
        "rank" => 3.0,
        _ => f64::NAN,
    };
    Condition::parse(text, NAMES).expect(text).decide(&number)
}

#[test]
fn conditions_mean_what_they_say() {
    for (text, holds) in [
        ("kld_mean > 0.24", true),
        ("kld_mean>0.25", false),
        ("kld_mean >= 0.25", true),
        ("kld_mean < 0.25", false),
        ("kld_mean <= 0.25", true),
        ("kld_mean == 2.5e-1", true),
        ("kld_mean != 0.25", false),
        ("rank != 4", true),
        ("0.1 < kld_mean and kld_mean < .3", true),
        ("kld_mean < rank", true),
        ("rank < inf && rank > -inf", true),
        ("rank > -1", true),
        ("not rank == 3", false),
        ("!(rank == 3)", false),
        ("! ! rank == 3", true),
        // `and` binds closer than `or`, `not` closer than both.
        ("rank == 3 or rank == 3 and rank == 4", true),
        ("(rank == 3 or rank == 3) and rank == 4", false),
        ("not rank == 4 and rank == 3", true),
        ("not (rank == 4 and rank == 3)", true),
        ("rank == 4 || rank == 5 || rank == 3", true),
    ] {
        let expected = if holds { Verdict::Holds } else { Verdict::DoesNotHold };
        assert_eq!(decided(text), expected, "{text}");
    }
}

#[test]
fn nan_decides_nothing() {
    for operator in ["<", "<=", ">", ">=", "==", "!="] {
        assert_eq!(decided(&format!("ppl_ratio {operator} 1")), Verdict::Undecided, "{operator}");
        assert_eq!(decided(&format!("not ppl_ratio {operator} 1")), Verdict::Undecided, "{operator}");
    }
    assert_eq!(decided("ppl_ratio == ppl_ratio"), Verdict::Undecided);
    assert_eq!(decided("ppl_ratio > 1 or rank == 4"), Verdict::Undecided);
    assert_eq!(decided("ppl_ratio > 1 and rank == 3"), Verdict::Undecided);
    // What does not depend on it is decided, on either side.
    assert_eq!(decided("ppl_ratio > 1 or rank == 3"), Verdict::Holds);
    assert_eq!(decided("rank == 4 and ppl_ratio > 1"), Verdict::DoesNotHold);
}

#[test]
fn names_are_told_once() {
    let condition =
        Condition::parse("rank > 1 and (kld_mean < 1 or not rank < 5)", NAMES).expect("it is one");
    assert_eq!(condition.names(), ["rank", "kld_mean"]);
    assert_eq!(condition.to_string(), "rank > 1 and (kld_mean < 1 or not rank < 5)");
}

#[test]
fn what_is_no_condition_is_named() {
    let deep = format!("{}rank > 1{}", "(".repeat(40), ")".repeat(40));
    let long = format!("rank > 1{}", " or rank > 1".repeat(100_000));
    let negative = format!("{} rank > 1", "not ".repeat(100_000));
    for (text, words) in [
        ("", "it ends where a name or a number is wanted"),
        ("kld_mean", "nothing follows kld_mean"),
        ("kld_mean >", "it ends where"),
        ("kld_mean = 1", "equality is =="),
        ("kld_mean => 1", "\"=\" is no part"),
        ("kld_mean > 1 %", "\"%\" is no part"),
        ("0 < rank < 9", "\"<\" follows a whole condition"),
        ("rank > 1 rank < 3", "\"rank\" follows a whole condition"),
        ("rank > 1)", "\")\" follows"),
        ("(rank > 1", "a ( has no )"),
        ("rank > nan", "nothing compares with NaN"),
        ("rank > 1 and", "it ends where"),
        ("or rank > 1", "\"or\" is neither a name nor a number"),
        ("rank and kld_mean", "\"and\" follows rank"),
        ("kld_maen > 1", "(did you mean kld_mean?); the names are kld_mean, ppl_ratio, rank"),
        ("flips > 1", "\"flips\" is neither a name nor a number; the names are kld_mean, ppl_ratio, rank"),
        ("rank + 1 > 2", "\"+\" follows rank"),
        ("rank > 1\u{1b}[31m", "\\u001b"),
        (&deep, "over 32 parentheses"),
        (&negative, "over 1000 words"),
        (&long, "over 1000 words"),
        (&"not ".repeat(40), "over 32 parentheses"),
    ] {
        let problem = Condition::parse(text, NAMES).expect_err(text);
        assert!(problem.contains(words), "{text:.40}: {problem}");
    }
}
