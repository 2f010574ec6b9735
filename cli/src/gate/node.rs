//! Conditions as trees, and what they come to.

use std::cmp::Ordering;

/// A condition as a tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Comparison(Operand, Operator, Operand),
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Name(String),
    Number(f64),
}

/// An operator: how it is written, and the orders in which it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operator(pub(super) &'static str, &'static [Ordering]);

/// Those of two characters come first, so that none of them is cut in two.
pub(super) const OPERATORS: &[Operator] = &[
    Operator("<=", &[Ordering::Less, Ordering::Equal]),
    Operator(">=", &[Ordering::Greater, Ordering::Equal]),
    Operator("==", &[Ordering::Equal]),
    Operator("!=", &[Ordering::Less, Ordering::Greater]),
    Operator("<", &[Ordering::Less]),
    Operator(">", &[Ordering::Greater]),
];

impl Node {
    /// Kleene's logic of three values; none is undecided.
    pub(super) fn decide(&self, number: &dyn Fn(&str) -> f64) -> Option<bool> {
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

    /// Adds the names in it, each once.
    pub(super) fn collect<'a>(&'a self, names: &mut Vec<&'a str>) {
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
