//! A and B of a comparison: their files, whether they fit each other, and the targets of their rows. What is made of the
//! rows is in `work`.

use std::path::Path;

use serde::Serialize;
use sortilege::Status;
use sortilege::compare::ReferenceRow;
use sortilege::log::HashedFile;

use super::args::CompareArgs;
use crate::failure::{Failure, Result, note};
use crate::files::{Inputs, LogitsFile, ReferenceFile};
use crate::input::Opened;
use crate::shared_args::{LogitsArgs, Said};
use crate::shown::shown_path;
use crate::targets::Targets;

/// What stands on side A.
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub(super) enum A {
    Logits(LogitsFile),
    Reference(ReferenceFile),
}

/// Both sides, which fit each other.
pub(super) struct Sides {
    pub(super) a: A,
    pub(super) b: Option<LogitsFile>,
    pub(super) targets: Targets,
    pub(super) has_targets: bool,
    pub(super) rows: usize,
    pub(super) vocab: usize,
    /// Rows of a request.
    pub(super) positions: usize,
}

/// A file of a comparison, as the report and the sidecar tell it.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    pub(super) file: String,
    /// The index that led to the file.
    index: Option<&'a HashedFile>,
    tensor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The type of its logits, or what it is instead.
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    /// Whether its numbers are only near those of its model.
    pub(super) approximate: bool,
}

impl Told<'_> {
    /// What is said of a log.
    pub(super) fn log(path: &Path, sha256: Option<String>) -> Self {
        let (file, dtype) = (path.display().to_string(), "log".to_owned());
        Self { file, index: None, tensor: None, sha256, dtype, shape: Vec::new(), approximate: false }
    }
}

impl Sides {
    pub(super) fn open(
        args: &CompareArgs,
        a: Opened,
        b: Option<Opened>,
        inputs: &mut Inputs,
    ) -> Result<Self> {
        let a = A::open(a, &args.a())?;
        let b_args = args.b().map(|b| match a {
            A::Logits(_) => b,
            // What would be of A's file is of the only one of logits.
            A::Reference(_) => LogitsArgs { said: Said::OfIt, ..b },
        });
        let b = b.zip(b_args).map(|(b, args)| open_b(b, &args, &a)).transpose()?;
        for file in [a.logits(), b.as_ref()].into_iter().flatten() {
            inputs.add(file.array.path())?;
        }
        if let Some(b) = &b {
            check_fit(&a, b)?;
        }
        let (own, has_own) = a.own_targets(b.as_ref());
        let targets = match (&args.tokens, a.logits(), own) {
            (Some(_), _, Some(_)) => {
                return Err(Failure::Usage(
                    "--tokens: the rows have targets of their own, by the file: leave it out".to_owned(),
                ));
            }
            (Some(_), None, _) => {
                return Err(Failure::Usage(
                    "--tokens: the reference was saved without targets: save it again with --tokens"
                        .to_owned(),
                ));
            }
            (Some(source), Some(logits), None) => {
                let targets = Targets::read(source, logits, args.shift)?;
                targets.tell_shift(logits);
                targets
            }
            (None, _, Some(own)) => own,
            (None, _, None) => Targets::none(a.rows()),
        };
        let (rows, vocab) = (a.rows(), a.vocab());
        let has_targets = args.tokens.is_some() || has_own;
        // One side may know the requests where the other has rows alone.
        let positions = match &b {
            Some(b) if a.positions() == rows => b.positions,
            _ => a.positions(),
        };
        Ok(Self { a, b, targets, has_targets, rows, vocab, positions })
    }

    /// An error if B's file has a text of its own, and these rows of a reference are not of it.
    pub(super) fn check_text(&self, first: usize, reference: &[ReferenceRow]) -> Result<()> {
        let text = self.b.as_ref().and_then(|b| b.array.packed.as_ref());
        let Some(text) = text.filter(|_| self.has_targets) else { return Ok(()) };
        let own = &text.targets[first..first + reference.len()];
        let of_row = |row: &ReferenceRow| row.target.map(|target| target.token);
        // A row that is no distribution says nothing of its target.
        let is_other =
            |(row, own): &(&ReferenceRow, &Option<u32>)| row.status == Status::Ok && of_row(row) != **own;
        match reference.iter().zip(own).position(|pair| is_other(&pair)) {
            None => Ok(()),
            Some(place) => Err(Failure::Usage(format!(
                "the reference and B are of two texts: from row {} on their tokens differ; compare models over the same one",
                first + place
            ))),
        }
    }

    /// Hashes the files of logits while they are read, for a sidecar or a reference.
    pub(super) fn hash_while_reading(&self) {
        for logits in [self.a.logits(), self.b.as_ref()].into_iter().flatten() {
            logits.hash_while_reading();
        }
    }
}

impl A {
    fn open(opened: Opened, args: &LogitsArgs) -> Result<Self> {
        if ReferenceFile::is_reference(&opened)? {
            return ReferenceFile::of(opened).map(Self::Reference);
        }
        LogitsFile::of(opened, args).map(Self::Logits)
    }

    /// The logits, where these are logits.
    pub(super) fn logits(&self) -> Option<&LogitsFile> {
        match self {
            Self::Logits(logits) => Some(logits),
            Self::Reference(_) => None,
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Logits(logits) => logits.rows,
            Self::Reference(reference) => reference.rows,
        }
    }

    fn vocab(&self) -> usize {
        match self {
            Self::Logits(logits) => logits.vocab,
            Self::Reference(reference) => reference.about.vocab,
        }
    }

    fn positions(&self) -> usize {
        match self {
            Self::Logits(logits) => logits.positions,
            Self::Reference(reference) => reference.about.leading.last().copied().unwrap_or(1),
        }
    }

    /// The targets that come with the rows of either side, and whether there are any: those of a reference are told row by
    /// row.
    fn own_targets(&self, b: Option<&LogitsFile>) -> (Option<Targets>, bool) {
        let of_text = |logits: &LogitsFile| {
            let text = logits.array.packed.as_ref()?;
            Some(Targets { tokens: text.targets.clone(), first: text.first, tensor: None })
        };
        match self {
            Self::Logits(logits) => {
                let own = of_text(logits).or_else(|| b.and_then(of_text));
                let has_own = own.is_some();
                (own, has_own)
            }
            Self::Reference(reference) if reference.about.has_targets => {
                let none = Targets::none(reference.rows);
                (Some(Targets { first: reference.about.first, ..none }), true)
            }
            Self::Reference(_) => (None, false),
        }
    }

    /// What is said of it, with its hash where that is wanted.
    pub(super) fn told(&self, is_hashed: bool) -> Result<Told<'_>> {
        match self {
            Self::Logits(logits) => told(logits, is_hashed),
            Self::Reference(reference) => {
                let (data, about) = (&reference.data, &reference.about);
                Ok(Told {
                    file: data.path.display().to_string(),
                    index: None,
                    tensor: None,
                    sha256: is_hashed.then(|| data.sha256()).transpose()?,
                    dtype: format!("reference of {} tokens a row", about.listed),
                    shape: [&about.leading[..], &[about.vocab]].concat(),
                    approximate: about.source.is_approximate,
                })
            }
        }
    }
}

/// What is said of a file of logits.
pub(super) fn told(logits: &LogitsFile, is_hashed: bool) -> Result<Told<'_>> {
    Ok(Told {
        file: logits.array.path().display().to_string(),
        index: logits.array.index.as_ref(),
        tensor: logits.array.tensor.as_deref(),
        sha256: is_hashed.then(|| logits.array.sha256()).transpose()?,
        dtype: logits.dtype.name().to_owned(),
        shape: logits.array.shape.clone(),
        approximate: logits.array.is_approximate(),
    })
}

/// B's logits: where A has rows for the second half of each chunk of a text, those of all positions are cut to them.
fn open_b(opened: Opened, args: &LogitsArgs, a: &A) -> Result<LogitsFile> {
    if ReferenceFile::is_reference(&opened)? {
        let path = shown_path(&args.logits);
        return Err(Failure::Usage(format!("{path} is a reference, which stands first: exchange A and B")));
    }
    let b = LogitsFile::of(opened, args)?;
    if b.array.packed.is_some() && a.logits().is_some_and(|a| a.array.packed.is_none()) {
        let path = shown_path(&args.logits);
        note!("note: {path} is what llama.cpp holds others against, its base: should it stand first, as A?");
    }
    let Some((text, a)) = a.logits().and_then(|a| a.array.packed.as_ref().zip(Some(a))) else { return Ok(b) };
    if b.array.packed.is_some() || b.positions != text.context || b.rows / b.positions != a.rows / a.positions
    {
        return Ok(b);
    }
    let (path, of, first, count) = (shown_path(&args.logits), b.positions, text.context / 2, a.positions);
    note!(
        "note: {path}: of the {of} rows of each request {count} are taken, from row {first} on, as llama.cpp took those of A"
    );
    Ok(b.windowed(first, count))
}

/// An error unless B's rows are those of A.
fn check_fit(a: &A, b: &LogitsFile) -> Result<()> {
    let (vocab_a, vocab_b) = (a.vocab(), b.vocab);
    if vocab_a != vocab_b {
        let least = vocab_a.min(vocab_b);
        let remedy = match a {
            A::Reference(_) if vocab_a > vocab_b => format!("save A again with --vocab-size {least}"),
            _ => format!("--vocab-size {least} leaves them out"),
        };
        return Err(Failure::Usage(format!(
            "A has a vocabulary of {vocab_a}, B of {vocab_b}: compare logits of one tokenizer; if columns are padding, {remedy}"
        )));
    }
    let shape = |rows: usize, positions: usize| {
        if rows == positions {
            format!("{rows} rows")
        } else {
            format!("{} requests of {positions} rows", rows / positions)
        }
    };
    let (rows_a, rows_b) = (a.rows(), b.rows);
    let differ = a.positions() != b.positions && a.positions() != rows_a && b.positions != rows_b;
    if rows_a != rows_b || differ {
        return Err(Failure::Usage(format!(
            "A has {}, B {}: compare logits of the same text",
            shape(rows_a, a.positions()),
            shape(rows_b, b.positions)
        )));
    }
    let texts = a.logits().and_then(|a| a.array.packed.as_ref()).zip(b.array.packed.as_ref());
    if let Some((one, other)) = texts
        && (one.first, &one.targets) != (other.first, &other.targets)
    {
        return Err(Failure::Usage(
            "A and B are of two texts, as their files have them: compare models over the same one".to_owned(),
        ));
    }
    Ok(())
}
