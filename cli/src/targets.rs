//! Which token is the target of a row: `log` and `compare` ask. What is made of it is theirs.

use crate::failure::{Failure, Result, note};
use crate::files::{Integers, Layout, LogitsFile, read_integers};
use crate::shown::shown;

/// Tokens past one for each row that are read before a file is refused: the message can say how many there are.
const SPARE: usize = 1 << 16;

/// Names of targets in a file of several arrays. The ids of a text are targets where the rows are shifted.
const DEFAULT_NAMES: &[&str] = &["targets", "labels", "tokens", "token_ids"];
const DEFAULT_NAMES_OF_TEXT: &[&str] = &["targets", "labels", "tokens", "token_ids", "input_ids"];

/// Targets of all rows.
pub(crate) struct Targets {
    /// None where there is no target.
    pub(crate) tokens: Vec<Option<u32>>,
    /// The position, in its request, that the first row predicts.
    pub(crate) first: usize,
    /// The name of their array, in a file with names.
    pub(crate) tensor: Option<String>,
}

impl Targets {
    /// None for so many rows.
    pub(crate) fn none(rows: usize) -> Self {
        Self { tokens: vec![None; rows], first: 0, tensor: None }
    }

    /// Those of a file or a list; a negative one, as in padding, is none. With `shift` the tokens are the text that the
    /// logits are of: row p has the token after its own, and the last row of a request none.
    pub(crate) fn read(source: &str, logits: &LogitsFile, shift: bool) -> Result<Self> {
        let (rows, positions) = (logits.rows, logits.positions);
        let names = if shift { DEFAULT_NAMES_OF_TEXT } else { DEFAULT_NAMES };
        let integers = read_integers("--tokens", source, names, rows + SPARE)?;
        if !fits(&integers, logits) {
            return Err(Failure::Usage(format!(
                "--tokens {} has {integers} for logits of {:?} rows: give one token per row",
                shown(source),
                logits.leading()
            )));
        }
        let target = |(row, &token): (usize, &i64)| match u32::try_from(token) {
            Ok(id) if (id as usize) < logits.vocab => Ok(Some(id)),
            _ if token < 0 => Ok(None),
            _ => Err(Failure::Usage(format!(
                "--tokens {}: token {token} of row {row} is outside the vocabulary of {}; negative means unknown",
                shown(source),
                logits.vocab
            ))),
        };
        let mut targets: Vec<Option<u32>> =
            integers.values.iter().enumerate().map(target).collect::<Result<_>>()?;
        let is_none = |targets: &[Option<u32>]| rows > 0 && targets.iter().all(Option::is_none);
        if is_none(&targets) {
            note!("note: no row has a target: all of --tokens {} are negative", shown(source));
        }
        let had_one = !is_none(&targets);
        if shift {
            for request in targets.chunks_mut(positions.max(1)) {
                request.rotate_left(1);
                request[positions - 1] = None;
            }
        }
        if had_one && is_none(&targets) {
            note!(
                "note: no row has a target: --shift leaves out the first token of each request, and no other is known"
            );
        }
        Ok(Self { tokens: targets, first: usize::from(shift), tensor: integers.tensor })
    }

    /// Says of tokens as they stand what they may be meant for, to whom may still choose.
    pub(crate) fn tell_shift(&self, logits: &LogitsFile) {
        let has_last = self.tokens.last().is_some_and(Option::is_some);
        if logits.rows == logits.positions && logits.rows > 1 && self.first == 0 && has_last {
            note!(
                "note: row p is scored with token p; if the tokens are the text that the logits are of, row p predicts \
                 token p + 1: give --shift"
            );
        }
    }
}

/// Whether there is one token for each row: in a list, or in the arrangement of the rows.
fn fits(integers: &Integers, logits: &LogitsFile) -> bool {
    let without_ones = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    integers.values.len() == logits.rows
        && match &integers.layout {
            Layout::List => true,
            Layout::Array(shape) => shape.len() == 1 || without_ones(shape) == without_ones(logits.leading()),
            Layout::Lists(lengths) => {
                [logits.positions, 1].iter().any(|n| lengths.iter().all(|length| length == n))
            }
        }
}
