//! The grammar of conditions, one function for each of its lines.

use super::node::{Node, OPERATORS, Operand, Operator};
use crate::shown::shown;

/// Parentheses and negations within each other: more is no condition that somebody wrote.
const MOST_DEPTH: usize = 32;

/// Words of a condition: so that a tree of them is not deep.
const MOST_WORDS: usize = 1000;

/// The condition that a text says of numbers with these names.
pub(super) fn parse(text: &str, names: &[&str]) -> Result<Node, String> {
    let mut parser = Parser { words: words(text)?, next: 0, names };
    let root = parser.condition(0)?;
    match parser.take() {
        None => Ok(root),
        Some(word) => Err(format!("{} follows a whole condition: join two by `and` or `or`", quoted(&word))),
    }
}

/// The words of a text: parentheses, operators, and what stands between them and white space.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        let mark = OPERATORS.iter().map(|operator| operator.0).chain(["&&", "||", "(", ")", "!"]);
        let length = match mark.into_iter().find(|mark| rest.starts_with(mark)) {
            Some(mark) => mark.len(),
            None => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
        };
        if length == 0 {
            let hint = if first == '=' { ": equality is ==" } else { ": operators are < <= > >= == !=" };
            return Err(format!("{} is no part of a condition{hint}", quoted(&first.to_string())));
        }
        if words.len() == MOST_WORDS {
            return Err(format!("over {MOST_WORDS} words: give several conditions"));
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
