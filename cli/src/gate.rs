//! Conditions over named numbers, such as `kld_mean > 0.01 or same_top_p < 0.99`, for `--fail-if` and filters. Not a
//! calculator: there is no arithmetic, and what the names mean is the matter of the command.
//!
//! ```text
//! condition = all {("or" | "||") all}
//! all       = term {("and" | "&&") term}
//! term      = ("not" | "!") term | "(" condition ")" | operand operator operand
//! operator  = "<" | "<=" | ">" | ">=" | "==" | "!="
//! operand   = a known name | a number, inf included
//! ```

use std::cmp::Ordering;
use std::fmt;

use crate::shown::shown;

/// Parentheses and negations within each other: more is no condition that somebody wrote.
const MOST_DEPTH: usize = 32;

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

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Comparison(Operand, Operator, Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Name(String),
    Number(f64),
}

/// An operator: how it is written, and the orders in which it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Operator(&'static str, &'static [Ordering]);

/// Those of two characters come first, so that none of them is cut in two.
const OPERATORS: &[Operator] = &[
    Operator("<=", &[Ordering::Less, Ordering::Equal]),
    Operator(">=", &[Ordering::Greater, Ordering::Equal]),
    Operator("==", &[Ordering::Equal]),
    Operator("!=", &[Ordering::Less, Ordering::Greater]),
    Operator("<", &[Ordering::Less]),
    Operator(">", &[Ordering::Greater]),
];

impl Condition {
    /// The condition that a text says of numbers with these names.
    pub(crate) fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let mut parser = Parser { words: words(text)?, next: 0, names };
        let root = parser.condition(0)?;
        match parser.take() {
            None => Ok(Self { text: text.to_owned(), root }),
            Some(word) => {
                Err(format!("{} follows a whole condition: join two by `and` or `or`", quoted(&word)))
            }
        }
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

impl Node {
    /// Kleene's logic of three values; none is undecided.
    fn decide(&self, number: &dyn Fn(&str) -> f64) -> Option<bool> {
        match self {
            Self::Or(left, right) => match (left.decide(number), right.decide(number)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::And(left, right) => match (left.decide(number), right.decide(number)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Not(node) => node.decide(number).map(|holds| !holds),
            Self::Comparison(left, Operator(_, orders), right) => {
                let order = left.number(number).partial_cmp(&right.number(number));
                order.map(|order| orders.contains(&order))
            }
        }
    }

    fn collect<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Or(left, right) | Self::And(left, right) => {
                left.collect(names);
                right.collect(names);
            }
            Self::Not(node) => node.collect(names),
            Self::Comparison(left, _, right) => {
                for operand in [left, right] {
                    match operand {
                        Operand::Name(name) if !names.contains(&name.as_str()) => names.push(name),
                        _ => {}
                    }
                }
            }
        }
    }
}

impl Operand {
    fn number(&self, number: &dyn Fn(&str) -> f64) -> f64 {
        match self {
            Self::Name(name) => number(name),
            Self::Number(number) => *number,
        }
    }
}

/// The words of a text: parentheses, operators, and what stands between them and white space.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        let mark = OPERATORS.iter().map(|Operator(mark, _)| *mark).chain(["&&", "||", "(", ")", "!"]);
        let length = match mark.into_iter().find(|mark| rest.starts_with(mark)) {
            Some(mark) => mark.len(),
            None => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
        };
        if length == 0 {
            let hint = if first == '=' { ": equality is ==" } else { ": operators are < <= > >= == !=" };
            return Err(format!("{} is no part of a condition{hint}", quoted(&first.to_string())));
        }
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", shown(word))
}

/// Reads words from left to right, one function for each line of the grammar.
struct Parser<'a> {
    words: Vec<String>,
    next: usize,
    names: &'a [&'a str],
}

impl Parser<'_> {
    fn take(&mut self) -> Option<String> {
        let word = self.words.get(self.next).cloned();
        self.next += 1;
        word
    }

    /// Takes the next word if it is one of these.
    fn took(&mut self, wanted: [&str; 2]) -> bool {
        let is_wanted = self.words.get(self.next).is_some_and(|word| wanted.contains(&word.as_str()));
        self.next += usize::from(is_wanted);
        is_wanted
    }

    fn condition(&mut self, depth: usize) -> Result<Node, String> {
        let mut node = self.all(depth)?;
        while self.took(["or", "||"]) {
            node = Node::Or(Box::new(node), Box::new(self.all(depth)?));
        }
        Ok(node)
    }

    fn all(&mut self, depth: usize) -> Result<Node, String> {
        let mut node = self.term(depth)?;
        while self.took(["and", "&&"]) {
            node = Node::And(Box::new(node), Box::new(self.term(depth)?));
        }
        Ok(node)
    }

    fn term(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MOST_DEPTH {
            return Err(format!(
                "over {MOST_DEPTH} parentheses and negations within each other: write it flatter"
            ));
        }
        if self.took(["not", "!"]) {
            return Ok(Node::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.took(["(", "("]) {
            let node = self.condition(depth + 1)?;
            return if self.took([")", ")"]) { Ok(node) } else { Err("a ( has no )".to_owned()) };
        }
        let left = self.operand()?;
        let operator = self.operator(&left)?;
        Ok(Node::Comparison(left, operator, self.operand()?))
    }

    fn operator(&mut self, left: &Operand) -> Result<Operator, String> {
        let word = self.take();
        let is_it = |operator: &&Operator| word.as_deref() == Some(operator.0);
        OPERATORS.iter().find(is_it).copied().ok_or_else(|| {
            let after = match left {
                Operand::Name(name) => name.clone(),
                Operand::Number(number) => number.to_string(),
            };
            let found = word.map_or_else(|| "nothing".to_owned(), |word| quoted(&word));
            format!("{found} follows {after}: a comparison is wanted, < <= > >= == !=")
        })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let Some(word) = self.take() else {
            return Err("it ends where a name or a number is wanted".to_owned());
        };
        if self.names.contains(&word.as_str()) {
            return Ok(Operand::Name(word));
        }
        match word.parse::<f64>() {
            Ok(number) if number.is_nan() => Err("nothing compares with NaN: leave it out".to_owned()),
            Ok(number) => Ok(Operand::Number(number)),
            Err(_) => Err(self.unknown(&word)),
        }
    }

    /// What is said of a word that is neither a name nor a number: the nearest name first, then all of them.
    fn unknown(&self, word: &str) -> String {
        let near = |name: &&&str| strsim::jaro_winkler(word, name);
        let nearest =
            self.names.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|name| near(name) > 0.8);
        let hint = nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"));
        format!(
            "{} is neither a name nor a number{hint}; the names are {}",
            quoted(word),
            self.names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (
                "flips > 1",
                "\"flips\" is neither a name nor a number; the names are kld_mean, ppl_ratio, rank",
            ),
            ("rank + 1 > 2", "\"+\" follows rank"),
            ("rank > 1\u{1b}[31m", "\\u001b"),
            (&deep, "over 32 parentheses"),
            (&negative, "over 32 parentheses"),
        ] {
            let problem = Condition::parse(text, NAMES).expect_err(text);
            assert!(problem.contains(words), "{text:.40}: {problem}");
        }
    }
}
