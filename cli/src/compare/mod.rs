//! `sortilege compare`: two models' logits of the same rows, statistics of how they differ, and a gate on them.

mod args;
mod frame;
mod gates;
mod json;
mod logs;
mod output;
mod pass;
mod sides;
mod table;
mod work;
mod worst;

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use sortilege::compare::{ComparisonReport, Divergences};
use sortilege::log::Texts;
use sortilege::{Kernels, LogprobsParams};

pub(crate) use self::args::{CompareArgs, EXAMPLES};
use self::frame::Frame;
use self::logs::Logs;
use self::output::Writer;
use self::pass::Outcome;
use self::sides::{A, Sides, Told, told};
use self::work::{compare, divergences};
use crate::engine::Chosen;
use crate::failure::{Failure, Result, note};
use crate::files::{About, Inputs, LogFile, ReferenceWriter, Source, deliver_whole, sha256, with_sidecar};
use crate::gate::Gates;
use crate::input::Opened;
use crate::shared_args::{ReportFormat, VocabSource, name_of, tell_ending};
use crate::text::Vocab;

/// `FILE.meta.json` of a comparison.
#[derive(Serialize)]
struct Meta<'a> {
    sortilege: &'static str,
    arithmetic_version: u32,
    device: String,
    backend: String,
    driver: String,
    a: Option<Told<'a>>,
    b: Option<Told<'a>>,
    options: Options<'a>,
    rows: usize,
    output_sha256: String,
}

/// The options, as the sidecar tells them.
#[derive(Serialize)]
struct Options<'a> {
    top: u32,
    worst: usize,
    fail_if: &'a [String],
    format: String,
    device: &'a str,
    tokens: Option<&'a str>,
    tokens_tensor: Option<&'a str>,
    tokens_sha256: Option<String>,
    shift: bool,
    vocab_size: Option<usize>,
    #[serde(flatten)]
    vocab: VocabSource,
}

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let format = args.run.format(args.format, [ReportFormat::Table, ReportFormat::Json]);
    let (a, b) = (args.a(), args.b());
    let tokens = args.tokens.as_deref().map(Path::new);
    let b_path = b.as_ref().map(|b| b.logits.as_path());
    let named = [Some(a.logits.as_path()), b_path, tokens, args.vocab.path()];
    let outputs = with_sidecar(args.run.output()).into_iter().chain([args.save.clone()]);
    let mut inputs = Inputs::of(outputs, named.into_iter().flatten())?;
    check_options(args)?;
    if let Some(save) = &args.save {
        tell_ending(save, "safetensors");
    }
    let (a, b) = (Opened::new(&a.logits)?, b_path.map(Opened::new).transpose()?);
    logs::check_both(&a, b.as_ref())?;
    let sides = match (a, b) {
        (a, Some(b)) if LogFile::is_log(&a) => {
            return compare_logs(args, &Logs::open(args, [a, b])?, &inputs, format);
        }
        (a, b) => Sides::open(args, a, b, &mut inputs)?,
    };
    if let (A::Reference(_), Some(save)) = (&sides.a, &args.save) {
        return Err(Failure::Usage(format!(
            "--save {}: A is a reference already, copy it",
            crate::shown::shown_path(save)
        )));
    }
    let gates = gates::parse(&args.fail_if, sides.has_targets, divergences(&sides.a))?;
    if args.run.output().is_some() || args.save.is_some() {
        sides.hash_while_reading();
    }
    let (vocab, vocab_source) = args.vocab.load(sides.vocab)?.unzip();
    let chosen = Chosen::new(&args.run.device)?;
    check_kernels(args, &sides, &chosen)?;
    let save =
        args.save.as_deref().map(|path| ReferenceWriter::new(path, args.save_top as usize)).transpose()?;
    let job = Job { args, sides: &sides, gates: &gates, chosen: &chosen, vocab: vocab.as_ref() };
    if sides.b.is_none() {
        return job.save_alone(save, &inputs);
    }
    let mut report = None;
    deliver_whole(
        args.run.output(),
        &inputs,
        |out| {
            report = Some(job.write(out, format, save, &inputs)?);
            Ok(())
        },
        |output| job.meta(format, vocab_source.unwrap_or_default(), output),
    )?;
    report.map_or(Ok(()), |report| gates.check(&gates::number(&report)))
}

/// Compares two logs.
fn compare_logs(args: &CompareArgs, logs: &Logs, inputs: &Inputs, format: ReportFormat) -> Result<()> {
    let failed = |error: io::Error| Failure::writing(&error);
    let gates = gates::parse(&args.fail_if, true, Divergences::Coarse)?;
    let (vocab, vocab_source) = args.vocab.open()?.unzip();
    let (mut report, rows) = (None, Cell::new(0));
    let write = |out: Box<dyn Write + Send + '_>| {
        // How many requests there are is known when they have been read.
        let mut writer =
            Writer::new(out, format, &logs.told(false)?, Divergences::Coarse, usize::MAX).map_err(failed)?;
        let most = [args.top() as usize, args.worst];
        let (outcome, texts) = logs
            .compare(most, vocab, |request, report| writer.write_request(request, report).map_err(failed))?;
        let verdicts = gates.verdicts(&gates::number(&outcome.total));
        writer.finish(&outcome, &Frame { texts: Texts::new(&texts), verdicts }).map_err(failed)?;
        rows.set(outcome.total.rows);
        report = Some(outcome.total);
        Ok(())
    };
    deliver_whole(args.run.output(), inputs, write, |output_sha256| {
        let [a, b] = logs.told(true)?;
        // Nothing is computed that a device could.
        let device = ["none"; 3].map(str::to_owned);
        let options = options(args, format, None, vocab_source.unwrap_or_default())?;
        Ok(meta([a, b].map(Some), device, options, rows.get(), output_sha256))
    })?;
    let Some(report) = report else { return Ok(()) };
    gates::tell_unsound(&gates, &report);
    gates.check(&gates::number(&report))
}

/// An error for what has no use without a B.
fn check_options(args: &CompareArgs) -> Result<()> {
    match args.option_of_comparison().filter(|_| args.b().is_none()) {
        None => Ok(()),
        Some(option) => Err(Failure::Usage(format!(
            "{option} is of a comparison: give B too, or --save without {option}"
        ))),
    }
}

/// The device proves what it is about to compute.
fn check_kernels(args: &CompareArgs, sides: &Sides, chosen: &Chosen) -> Result<()> {
    let most = args.top().max(if args.save.is_some() { args.save_top } else { 0 });
    for logits in [sides.a.logits(), sides.b.as_ref()].into_iter().flatten() {
        if most > LogprobsParams::MAX_SHORT_LIST {
            chosen.check(Kernels::LongLists, logits.dtype)?;
        }
        if divergences(&sides.a) == Divergences::Exact && sides.b.is_some() {
            chosen.check(Kernels::Divergence, logits.dtype)?;
        }
    }
    Ok(())
}

/// What a run has in hand.
struct Job<'a> {
    args: &'a CompareArgs,
    sides: &'a Sides,
    gates: &'a Gates,
    chosen: &'a Chosen,
    vocab: Option<&'a Vocab>,
}

impl Job<'_> {
    /// Writes the comparison, and the reference where one is asked for.
    fn write(
        &self,
        out: Box<dyn Write + '_>,
        format: ReportFormat,
        mut save: Option<ReferenceWriter>,
        inputs: &Inputs,
    ) -> Result<ComparisonReport> {
        let failed = |error: io::Error| Failure::writing(&error);
        let (sides, kind, start) = (self.sides, divergences(&self.sides.a), Instant::now());
        let Some(b) = &sides.b else { unreachable!("a comparison has a B") };
        let told = [sides.a.told(false)?, told(b, false)?];
        let requests = sides.rows.checked_div(sides.positions).unwrap_or(0);
        let mut writer = Writer::new(out, format, &told, kind, requests).map_err(failed)?;
        let outcome =
            self.pass(&mut save, |request, report| writer.write_request(request, report).map_err(failed))?;
        if let Some(save) = save {
            self.keep(save, inputs)?;
        }
        let frame = Frame {
            texts: self.vocab.map_or(Texts::NONE, |vocab| Texts::new(vocab)),
            verdicts: self.gates.verdicts(&gates::number(&outcome.total)),
        };
        writer.finish(&outcome, &frame).map_err(failed)?;
        self.say(&outcome.total, start);
        Ok(outcome.total)
    }

    /// Writes the reference alone.
    fn save_alone(&self, mut save: Option<ReferenceWriter>, inputs: &Inputs) -> Result<()> {
        let start = Instant::now();
        self.pass(&mut save, |_, _| Ok(()))?;
        let (rows, seconds) = (self.sides.rows, start.elapsed().as_secs_f64());
        let unsound = save.as_ref().map_or(0, |save| save.unsound);
        save.map_or(Ok(()), |save| self.keep(save, inputs))?;
        if unsound > 0 {
            note!("note: {unsound} of {rows} rows are no distribution: nothing is compared with them");
        }
        note!("{rows} rows in {seconds:.3} s on {}", self.chosen.describe().0);
        Ok(())
    }

    fn pass(
        &self,
        save: &mut Option<ReferenceWriter>,
        each_request: impl FnMut(u64, &ComparisonReport) -> Result<()>,
    ) -> Result<Outcome> {
        let save = save.as_mut().map(|save| (save, self.args.save_top));
        let most = [self.top() as usize, self.args.worst];
        compare(self.sides, self.chosen, most, save, each_request)
    }

    /// Tokens of the overlap: by default those that both sides list.
    fn top(&self) -> u32 {
        let asked = self.args.top();
        let A::Reference(reference) = &self.sides.a else { return asked };
        let top = self.args.top_of(reference.about.listed);
        if top < asked {
            note!("note: the reference lists {top} tokens of a row: the overlap is of these, not of {asked}");
        }
        top
    }

    /// Puts the reference in its place.
    fn keep(&self, save: ReferenceWriter, inputs: &Inputs) -> Result<()> {
        let Some(logits) = self.sides.a.logits() else { return Ok(()) };
        let source = Source {
            file: logits.array.path().display().to_string(),
            sha256: logits.array.sha256()?,
            dtype: logits.dtype.name().to_owned(),
            device: self.chosen.describe().0,
            is_approximate: logits.array.is_approximate(),
        };
        inputs.check_unchanged()?;
        save.finish(&About {
            leading: logits.leading().to_vec(),
            vocab: logits.vocab,
            listed: self.args.save_top as usize,
            has_targets: self.sides.has_targets,
            first: self.sides.targets.first,
            source,
        })
    }

    /// Says on stderr how it went.
    fn say(&self, report: &ComparisonReport, start: Instant) {
        let (rows, seconds) = (report.rows, start.elapsed().as_secs_f64());
        gates::tell_unsound(self.gates, report);
        let speed = rows as f64 / seconds.max(1e-9);
        note!("{rows} rows in {seconds:.3} s on {}, {speed:.0} rows/s", self.chosen.describe().0);
    }

    fn meta(&self, format: ReportFormat, vocab: VocabSource, output_sha256: String) -> Result<Meta<'_>> {
        let Self { args, sides, .. } = self;
        let (device, backend, driver) = self.chosen.describe();
        let told = [Some(sides.a.told(true)?), sides.b.as_ref().map(|b| told(b, true)).transpose()?];
        let options = options(args, format, sides.targets.tensor.as_deref(), vocab)?;
        Ok(meta(told, [device, backend, driver], options, sides.rows, output_sha256))
    }
}

fn meta<'a>(
    [a, b]: [Option<Told<'a>>; 2],
    [device, backend, driver]: [String; 3],
    options: Options<'a>,
    rows: usize,
    output_sha256: String,
) -> Meta<'a> {
    let (sortilege, arithmetic_version) = (env!("CARGO_PKG_VERSION"), sortilege::ARITHMETIC_VERSION);
    Meta { sortilege, arithmetic_version, device, backend, driver, a, b, options, rows, output_sha256 }
}

fn options<'a>(
    args: &'a CompareArgs,
    format: ReportFormat,
    tokens_tensor: Option<&'a str>,
    vocab: VocabSource,
) -> Result<Options<'a>> {
    let tokens_file = args.tokens.as_deref().map(Path::new);
    Ok(Options {
        top: args.top(),
        worst: args.worst,
        fail_if: &args.fail_if,
        format: name_of(&format),
        device: &args.run.device,
        tokens: args.tokens.as_deref(),
        tokens_tensor,
        tokens_sha256: sha256(tokens_file)?,
        shift: args.shift,
        vocab_size: args.vocab_size,
        vocab,
    })
}
