//! `sortilege report`: a log, or two side by side, as one page for a browser, which needs nothing else. What the page looks
//! like is in `page/`; here its data are made.

mod args;
mod joined;
mod page;
mod read;
mod rows;
mod words;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use self::args::{EXAMPLES, ReportArgs};
use self::read::{Log, Reading, name};
use self::words::Word;
use crate::failure::{Failure, Result, tell_idle};
use crate::files::{Inputs, write_file};

/// What the page's script is given.
#[derive(Serialize)]
struct Data {
    logs: Vec<Log>,
    tokens: Vec<Word>,
    /// What is not shown, in words.
    notes: Vec<String>,
}

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let output = args.output();
    if output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage("the page is for a browser: name a file with -o report.html".to_owned()));
    }
    Inputs::of([output.map(Path::to_owned)], args.logs.iter().map(PathBuf::as_path))?;
    if args.top == 0 {
        tell_idle(
            "the least confident positions and the calibration",
            "--top 0 leaves out what they are told by",
        );
    }
    let mut reading = Reading::new(args);
    let logs = args.logs.iter().map(|path| reading.read(path)).collect::<Result<Vec<_>>>()?;
    reading.tell_temperatures(&logs);
    let Reading { words, notes, .. } = reading;
    let title = args.title.clone().unwrap_or_else(|| title(&args.logs));
    let page = page::page(&title, &Data { logs, tokens: words.into_list(), notes })
        .map_err(|error| Failure::writing(&error))?;
    match output {
        Some(file) => write_file(file, page.as_bytes()),
        None => io::stdout().write_all(page.as_bytes()).map_err(|error| Failure::writing(&error)),
    }
}

/// The names of the logs.
fn title(logs: &[PathBuf]) -> String {
    logs.iter().map(|path| name(path)).collect::<Vec<_>>().join(" and ")
}
