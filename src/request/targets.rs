//! The tokens that a `logprobs` call asks about: a target per row, and lists of given tokens.

use crate::error::{Error, Result};
use crate::params::SamplingParams;

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
            ))
            .of_row(row));
        }
    }
    Ok(())
}

/// Nothing, if there is one list of tokens per row or none at all, each in the vocabulary and none too long.
pub(crate) fn validate_token_ids(token_ids: &[&[u32]], rows: usize, vocab: usize) -> Result<()> {
    if !token_ids.is_empty() && token_ids.len() != rows {
        return Err(Error::Params(format!(
            "{} lists of token ids for {rows} rows: give one per row (an empty one for no tokens) or an empty slice",
            token_ids.len()
        )));
    }
    for (row, list) in token_ids.iter().enumerate() {
        let in_row = |error: Error| Error::Params(format!("row {row}: {error}")).of_row(row);
        validate_token_count("token ids", list.len()).map_err(in_row)?;
        if let Some(token) = list.iter().find(|&&token| token as usize >= vocab) {
            return Err(Error::Params(format!(
                "token id {token} of row {row} is outside the vocabulary of {vocab}: remove it"
            ))
            .of_row(row));
        }
    }
    Ok(())
}

/// Nothing, if so many tokens can be given for a row.
pub(crate) fn validate_token_count(name: &str, count: usize) -> Result<()> {
    let most = SamplingParams::MAX_LOGPROB_TOKEN_IDS;
    if count > most {
        return Err(Error::Params(format!(
            "{count} {name} are over the limit of {most}: give fewer, or ask for a list of the whole vocabulary"
        )));
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

    #[test]
    fn token_ids_must_fit_rows_and_vocabulary() {
        validate_token_ids(&[], 3, 10).expect("none");
        validate_token_ids(&[&[9, 9, 0], &[]], 2, 10).expect("in range");
        validate_token_ids(&[&[3; 1024]], 1, 10).expect("as many as there may be");
        type Lists<'a> = &'a [&'a [u32]];
        let cases: [(Lists<'_>, &str); 3] = [
            (&[&[1]], "1 lists of token ids for 2 rows"),
            (&[&[], &[4, 10]], "token id 10 of row 1 is outside the vocabulary of 10"),
            (&[&[1; 1025], &[]], "row 0: 1025 token ids are over the limit of 1024"),
        ];
        for (lists, words) in cases {
            let message = validate_token_ids(lists, 2, 10).expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
