//! `sortilege convert`: a log of one format in another, and what is lost on the way. It computes nothing.

mod args;
mod sidecar;

use std::io::Write;

use sortilege::log::{Format, Kind, Losses};

pub(crate) use self::args::{ConvertArgs, EXAMPLES};
use crate::failure::{Failure, Result, note};
use crate::files::{Inputs, LogFile, deliver, deliver_whole, sidecar_beside, with_sidecar};
use crate::shared_args::{choose_format, refuse_binary};
use crate::shown::shown_path;

pub(crate) fn run(args: &ConvertArgs) -> Result<()> {
    let format = choose_format(args.to, args.output(), [args::ConvertFormat::Jsonl; 2]);
    let format = format.of_library();
    refuse_binary(format == Format::Parquet, args.output())?;
    let old_sidecar = sidecar_beside(&args.log);
    let inputs = [Some(args.log.as_path()), old_sidecar.as_deref()];
    let inputs = Inputs::of(with_sidecar(args.output()), inputs.into_iter().flatten())?;
    let log = LogFile::open(&args.log)?;
    let meta = old_sidecar.as_deref().map(sidecar::read).transpose()?;
    if meta.is_none() && args.output().is_some() {
        note!(
            "note: {} has no sidecar: that of the output says where it came from alone",
            shown_path(&args.log)
        );
    }
    if let Some(told) = meta.as_ref().and_then(|meta| meta.get("output_sha256")) {
        let hash = log.sha256()?;
        if *told != hash.as_str() {
            note!(
                "note: {} is not as it was written: its SHA-256 is {hash}, its sidecar tells {told}; that of the output says \
                 so",
                shown_path(&args.log)
            );
        }
    }
    let write = |out: Box<dyn Write + Send + '_>| {
        let describe = |log: &LogFile| sidecar::converted(meta.as_ref(), log, args, format, None);
        convert(&log, format, out, describe)
    };
    let describe = |output| sidecar::converted(meta.as_ref(), &log, args, format, Some(output));
    // Of jsonl and csv each line counts; the objects of other programs are one for a request.
    if format.is_of_chosen_tokens() {
        deliver_whole(args.output(), &inputs, write, describe)
    } else {
        deliver(args.output(), &inputs, write, describe)
    }
}

/// Writes all records in another format, and says what is lost.
fn convert(
    log: &LogFile,
    format: Format,
    out: Box<dyn Write + Send + '_>,
    describe: impl FnOnce(&LogFile) -> Result<serde_json::Value>,
) -> Result<()> {
    let failed = |error: std::io::Error| Failure::writing(&error);
    let mut records = log.records()?.peekable();
    let kind = match records.peek() {
        Some(Ok(record)) => record.kind(),
        Some(Err(error)) => return Err(log.failed(error)),
        None => Kind::Logprobs,
    };
    let mut writer = format.writer(out, kind).map_err(failed)?;
    let mut losses = Losses::new(format);
    let bar = log.progress_bar();
    let mut count: u64 = 0;
    for record in records {
        let record = record.map_err(|error| log.failed(&error))?;
        losses.add(&record);
        writer.write(&record).map_err(|error| log.refused(&error))?;
        count += 1;
        bar.inc(1);
    }
    log.check_unchanged()?;
    if format == Format::Parquet {
        writer.describe(&describe(log)?.to_string()).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    bar.finish_and_clear();
    for (part, records) in losses.lost() {
        note!("note: lost: {part}, in {records} of {count} records: {} has no place for it", format.name());
    }
    note!("{count} records");
    Ok(())
}
