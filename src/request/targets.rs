//! The tokens that a `logprobs` call asks about.

use crate::error::{Error, Result};

/// Nothing, if there is one target per row or none at all, each in the vocabulary.
pub(crate) fn validate_targets(targets: &[Option<u32>], rows: usize, vocab: usize) -> Result<()> {
    if !targets.is_empty() && targets.len() != rows {
        return Err(Error::Params(format!(
            "{} targets for {rows} rows: give one per row (None where unknown) or an empty slice",
            targets.len()
        )));
    }
    for (row, target) in targets.iter().enumerate() {
        if let Some(token) = *target
            && token as usize >= vocab
        {
            return Err(Error::Params(format!(
                "target {token} of row {row} is outside the vocabulary of {vocab}: use None where it is unknown"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_must_fit_rows_and_vocabulary() {
        validate_targets(&[], 3, 10).expect("no targets");
        validate_targets(&[Some(9), None], 2, 10).expect("in range");
        assert!(validate_targets(&[None], 2, 10).unwrap_err().to_string().contains("1 targets for 2 rows"));
        assert!(
            validate_targets(&[None, Some(10)], 2, 10)
                .unwrap_err()
                .to_string()
                .contains("target 10 of row 1")
        );
    }
}
