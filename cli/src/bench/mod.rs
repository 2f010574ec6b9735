//! `sortilege bench`: times of the operations on devices and on the CPU engine, whose outputs are checked first.

mod args;
mod cell;
mod check;
mod compare;
mod cpu;
mod data;
mod filters;
mod gpu;
mod op;
mod output;
mod plot;
mod run;
mod targets;
mod task;
mod times;

use std::io;
use std::path::Path;

use sortilege::Dtype;

pub(crate) use self::args::{BenchArgs, EXAMPLES};
use self::data::Source;
use self::output::Writer;
use self::run::Run;
use self::targets::targets;
use crate::failure::{Failure, Result, tell_idle};
use crate::files::{Inputs, write_file};

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    args.validate()?;
    if let Some([a, b]) = args.compare.as_deref() {
        return compare::run(a, b);
    }
    if let Some(output) = &args.plot {
        return plot::run(output, &args.files, args.x);
    }
    Inputs::of([args.output().map(Path::to_owned)], args.input.as_deref())?;
    let sources = sources(args)?;
    let targets = targets(args)?;
    let has_gpu = targets.iter().any(Option::is_some);
    for (option, why) in args.idle(targets.iter().any(Option::is_none), has_gpu) {
        tell_idle(option, why);
    }
    let format = args.format();
    let Some(output) = args.output() else {
        let stdout = Writer::new(io::stdout(), format).map_err(|error| Failure::writing(&error))?;
        let (_, complaint) = Run::new(args, &targets, &sources, stdout).measure_all(targets, &sources)?;
        return complaint.map_or(Ok(()), Err);
    };
    // In memory until all is there: nothing lies about if it is interrupted.
    let writer = Writer::new(Vec::new(), format).map_err(|error| Failure::writing(&error))?;
    let (text, complaint) = Run::new(args, &targets, &sources, writer).measure_all(targets, &sources)?;
    write_file(output, &text)?;
    complaint.map_or(Ok(()), Err)
}

/// The batches to measure with.
fn sources(args: &BenchArgs) -> Result<Vec<Source>> {
    if let Some(path) = &args.input {
        return Ok(vec![Source::file(path, &args.dtype)?]);
    }
    let given: Vec<Dtype> = args.dtype.clone();
    let dtypes = if given.is_empty() { Dtype::ALL.to_vec() } else { given };
    let mut sources = Vec::new();
    for &vocab in &args.vocab {
        for &rows in &args.rows {
            let source = |&dtype| Source::synthetic(args.data, dtype, rows as usize, vocab as usize);
            sources.extend(dtypes.iter().map(source));
        }
    }
    Ok(sources)
}
