//! `sortilege audit`: whether a log follows from its logits. `sidecar` says what was asked, `replay` asks it again; the
//! records are compared by the library.

mod args;
mod findings;
mod replay;
mod sidecar;
mod sources;

use std::io;
use std::path::Path;

use sortilege::log::{Audit, AuditReport, Format, Kind, LogError, Meta};

pub(crate) use self::args::{AuditArgs, EXAMPLES};
use self::findings::{Findings, Outcome};
use self::replay::Replay;
use self::sidecar::Sidecar;
use self::sources::{Vocabulary, check_logits};
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note};
use crate::files::{Inputs, LogFile, LogitsFile, sha256};
use crate::input::{Hashed, is_stdin};
use crate::shown::{shown, shown_path};

pub(crate) fn run(args: &AuditArgs) -> Result<()> {
    check_stdin(args)?;
    let log = LogFile::open(&args.log)?;
    let sidecar = Sidecar::read(args.meta.as_deref(), &args.log)?;
    let chosen = Chosen::new(&args.device)?;
    let mut findings = Findings::default();
    let (texts_checked, report) = match Replay::open(args, &sidecar, &mut findings) {
        Ok(replay) => compare(args, &log, &sidecar, &replay, &chosen, &mut findings)?,
        Err(failure) => (false, explain(args, &sidecar, failure, &mut findings)?),
    };
    let device = chosen.describe().0;
    let devices = [device.as_str(), &sidecar.meta.device];
    Outcome::new([&args.log, &args.logits], devices, texts_checked, findings, report).conclude(args.format)
}

/// An error if several inputs are standard input.
fn check_stdin(args: &AuditArgs) -> Result<()> {
    if is_stdin(&args.log) && args.meta.is_none() {
        return Err(Failure::Usage("a log on standard input needs its sidecar: --meta FILE".to_owned()));
    }
    let texts = [&args.tokens, &args.params, &args.prompt, &args.mask].into_iter().flatten();
    let inputs = [Some(&args.log), Some(&args.logits), args.meta.as_ref()].into_iter().flatten();
    let inputs = inputs.map(|path| path.as_path()).chain(texts.map(Path::new));
    Inputs::of([], inputs).map(drop)
}

/// Compares the log with what is derived again.
fn compare(
    args: &AuditArgs,
    log: &LogFile,
    sidecar: &Sidecar,
    replay: &Replay,
    chosen: &Chosen,
    findings: &mut Findings,
) -> Result<(bool, AuditReport)> {
    let Sidecar { meta, options, was_csv } = sidecar;
    let logits = replay.logits();
    let vocabulary = Vocabulary::find(&args.vocab, replay::vocab(options), logits.vocab, findings)?;
    replay.hash_while_reading();
    let failed = |error: LogError| log.failed(&error);
    let reader = log.reader()?;
    let format = reader.format().ok_or_else(|| {
        let problem = "logs of other programs' schemas are not audited: they have no entropies and no rows without a token";
        Failure::file(&args.log, problem)
    })?;
    // What the bytes of the log must be, where its records say all of them.
    let mut written = Hashed::new(io::sink());
    let is_text = matches!(format, Format::Jsonl | Format::Csv);
    let mut writer = if is_text {
        Some(format.writer(&mut written, replay.kind()).map_err(|error| Failure::writing(&error))?)
    } else {
        None
    };
    let mut audit = Audit::new(reader);
    if !vocabulary.is_known() {
        audit = audit.without_texts();
    }
    if *was_csv && format != Format::Csv {
        note!(
            "note: {} was converted through csv: checked is what csv keeps, without the tokens of --token-ids, and of samples \
             without lists, log-sum-exp and the raw distribution",
            shown_path(&args.log)
        );
        audit = audit.of_csv();
    }
    replay.run(chosen, vocabulary.texts(), |record| {
        if let Some(writer) = &mut writer {
            writer.write(&audit.held(record)).map_err(|error| Failure::writing(&error))?;
        }
        audit.expect(record).map_err(failed)
    })?;
    drop(writer);
    let report = audit.finish().map_err(failed)?;
    let must_be = if !is_text || !report.follows() {
        None
    } else if vocabulary.is_known() {
        Some(written.hex())
    } else {
        // All values are right, and of the texts nobody knows better.
        Some(rewritten(log, format, replay.kind())?)
    };
    findings.put_first(check_files(args, meta, logits, log, must_be)?);
    Ok((vocabulary.is_known(), report))
}

/// The hash of a log as sortilege spells what it says.
fn rewritten(log: &LogFile, format: Format, kind: Kind) -> Result<String> {
    let mut written = Hashed::new(io::sink());
    let mut writer = format.writer(&mut written, kind).map_err(|error| Failure::writing(&error))?;
    for record in log.reader()? {
        let record = record.map_err(|error| log.failed(&error))?;
        writer.write(&record).map_err(|error| log.refused(&error))?;
    }
    drop(writer);
    Ok(written.hex())
}

/// What is wrong with the logits, and with the bytes of the log, of which a hash may be known that they must have.
fn check_files(
    args: &AuditArgs,
    meta: &Meta,
    logits: &LogitsFile,
    log: &LogFile,
    must_be: Option<String>,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let array = &logits.array;
    check_logits(array.path(), &array.sha256()?, array.index.as_ref(), meta, &mut findings);
    let words = |dtype: &str, shape: &[usize], rows: usize| format!("{dtype} {shape:?}, {rows} rows");
    let found = words(logits.dtype.name(), &logits.array.shape, logits.rows);
    let told = words(&shown(&meta.dtype), &meta.shape, meta.rows);
    if found != told {
        findings.add(format!("the logits are {found}, and the sidecar tells {told}"));
    }
    let (name, hash) = (shown_path(&args.log), log.sha256()?);
    if hash != meta.output_sha256 {
        findings.file(&format!("{name} is not as it was written"), &hash, &meta.output_sha256);
    } else if must_be.is_some_and(|must_be| must_be != hash) {
        findings.add(format!("{name} has every value, and spells one otherwise than sortilege writes it"));
    }
    Ok(findings)
}

/// Why a log cannot be derived again: other files are a finding, anything else is the failure that it is.
fn explain(
    args: &AuditArgs,
    sidecar: &Sidecar,
    failure: Failure,
    findings: &mut Findings,
) -> Result<AuditReport> {
    let input = &sidecar.meta.input;
    let told = input.index.as_ref().map_or(&input.sha256, |index| &index.sha256);
    let mut of_files = Findings::default();
    if let Some(hash) = sha256(Some(&args.logits))?.filter(|hash| hash != told) {
        let problem = format!("{} is another file than the log was made from", shown_path(&args.logits));
        of_files.file(&problem, &hash, told);
    }
    findings.put_first(of_files);
    if findings.is_empty() {
        return Err(failure);
    }
    findings.add(format!("it cannot be derived again: {failure}"));
    Ok(AuditReport::default())
}
