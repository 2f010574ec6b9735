//! Files that a log was made from: where they are now, and whether they still hold what they held.

use std::path::Path;

use sortilege::log::{HashedFile, Meta, Texts};

use super::findings::Findings;
use crate::failure::{Failure, Result, note};
use crate::files::{listed_integers, read_integers, sha256};
use crate::input::is_stdin;
use crate::shared_args::{VocabArgs, VocabSource};
use crate::shown::{shown, shown_path};
use crate::text::Vocab;

/// A file, or a list in its place, as the sidecar tells it.
pub(super) struct Source<'a> {
    pub(super) option: &'static str,
    pub(super) told: Option<&'a str>,
    pub(super) sha256: Option<&'a str>,
    /// Whether the option takes a list of integers too.
    pub(super) takes_lists: bool,
}

/// Integers of a list that stands in a sidecar, at most.
const MOST_LISTED: usize = 1 << 26;

impl Source<'_> {
    /// What to read: what the option gives now, or else what it gave when the log was made. Another file is a finding.
    pub(super) fn find(&self, given: Option<&str>, findings: &mut Findings) -> Result<Option<String>> {
        let option = self.option;
        let Some(told) = self.told else {
            return match given {
                None => Ok(None),
                Some(_) => Err(Failure::Usage(format!("{option}: the log was made without: leave it out"))),
            };
        };
        let source = given.unwrap_or(told);
        let (path, name) = (Path::new(source), shown(source));
        let list = |text| if self.takes_lists { listed_integers(text) } else { None };
        match (self.sha256, sha256(Some(path))?) {
            (None, _) => match (list(told), given) {
                // A list is its own description.
                (Some(_), None) => {}
                (Some(told_list), Some(given)) => {
                    if read_integers(option, given, &[], MOST_LISTED)?.values != told_list.values {
                        findings.add(format!(
                            "{option} {name} is another list than the log was made with: the sidecar tells {}",
                            shown(told)
                        ));
                    }
                }
                (None, None) => {
                    let what = if is_stdin(Path::new(told)) {
                        "standard input".to_owned()
                    } else {
                        format!("{}, of which the sidecar tells no SHA-256, as of pipes", shown(told))
                    };
                    return Err(Failure::Usage(format!(
                        "{option} of the log was {what}: give what it held with {option}"
                    )));
                }
                (None, Some(_)) => {}
            },
            (Some(_), None) if given.is_some_and(|given| list(given).is_some()) => {
                return Err(Failure::Usage(format!(
                    "{option} {name}: the log was made with a file, whose hash its sidecar tells and a list has not: give \
                     the file"
                )));
            }
            (Some(_), None) => {
                let problem =
                    format!("the log was made with it, as {option}: say where it is now with {option}");
                return Err(Failure::file(path, format!("there is no such file; {problem}")));
            }
            (Some(expected), Some(hash)) if hash != expected => {
                let problem = format!("{option} {name} is another file than the log was made with");
                findings.file(&problem, &hash, expected);
            }
            (Some(_), Some(_)) => {}
        }
        Ok(Some(source.to_owned()))
    }
}

/// A finding if the array of a file is not the one that the sidecar names. Of pipes nobody knows what else held the same.
pub(super) fn check_tensor(source: &Source<'_>, [told, found]: [Option<&str>; 2], findings: &mut Findings) {
    if told != found && source.sha256.is_some() {
        let words =
            |name: Option<&str>| name.map_or("none".to_owned(), |name| format!("\"{}\"", shown(name)));
        findings.add(format!(
            "the array of {} is {}, and the sidecar tells {}",
            source.option,
            words(found),
            words(told)
        ));
    }
}

/// A finding if these are other logits, by their hash, or if what led to their file is another index.
pub(super) fn check_logits(
    path: &Path,
    hash: &str,
    index: Option<&HashedFile>,
    meta: &Meta,
    findings: &mut Findings,
) {
    if hash != meta.input.sha256 {
        let problem = format!("{} is another file than the log was made from", shown_path(path));
        findings.file(&problem, hash, &meta.input.sha256);
    }
    if let (Some(found), Some(told)) = (index, &meta.input.index)
        && found.sha256 != told.sha256
    {
        let problem = format!("the index {} is another than the log was made from", shown(&found.file));
        findings.file(&problem, &found.sha256, &told.sha256);
    }
}

/// What is known of the texts of tokens.
pub(super) enum Vocabulary {
    /// The log has none.
    None,
    /// The log has texts, and nobody can say whether they are right.
    Missing,
    Found(Vocab),
}

impl Vocabulary {
    /// The vocabulary that the log was made with: where the options say, or where it was.
    pub(super) fn find(
        given: &VocabArgs,
        told: &VocabSource,
        tokens: usize,
        findings: &mut Findings,
    ) -> Result<Self> {
        let is_given = given.is_given();
        let Some(expected) = told.sha256() else {
            return if is_given {
                Err(Failure::Usage("the log was made without a vocabulary: leave it out".to_owned()))
            } else {
                Ok(Self::None)
            };
        };
        if is_given {
            let Some((vocab, source)) = given.load(tokens)? else { return Ok(Self::None) };
            let hash = source.sha256().unwrap_or_default();
            if hash != expected {
                findings.file("the vocabulary is another file than the log was made with", hash, expected);
            }
            return Ok(Self::Found(vocab));
        }
        let args = told.args();
        if let Some(path) = args.path()
            && sha256(Some(path))?.as_deref() != Some(expected)
        {
            note!(
                "note: texts are not checked: {} is not there, or no longer what it was; give it with --tokenizer or \
                 --vocab-file",
                shown_path(path)
            );
            return Ok(Self::Missing);
        }
        Ok(args.load(tokens)?.map_or(Self::None, |(vocab, _)| Self::Found(vocab)))
    }

    /// The texts for records.
    pub(super) fn texts(&self) -> Texts<'_> {
        match self {
            Self::Found(vocab) => Texts::new(vocab),
            Self::None | Self::Missing => Texts::NONE,
        }
    }

    /// Whether the texts of a log can be told right from wrong.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::Missing)
    }
}
