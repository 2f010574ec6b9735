//! Files of parameters.

use std::sync::{LazyLock, Mutex, PoisonError};

use clap::{Args, FromArgMatches};

use crate::arrays::args;
use crate::files::LogitsFile;
use crate::masks::zeros;
use crate::sample::{Requests, SampleArgs};
use crate::{file, folder, told};

/// The options of a plain `sample`, parsed once: that takes longer than a small file.
static PLAIN: LazyLock<Mutex<SampleArgs>> = LazyLock::new(|| {
    let matches =
        SampleArgs::augment_args(clap::Command::new("sample")).get_matches_from(["sample", "l.npy"]);
    Mutex::new(SampleArgs::from_arg_matches(&matches).expect("options"))
});

/// Parameters of two requests over 40 tokens; what is taken makes requests.
pub fn params(data: &[u8]) {
    let folder = folder();
    let logits = LogitsFile::open(&args(file(&folder, "l.npy", &zeros("(2, 3, 40)", 240)))).expect("logits");
    let mut asked = PLAIN.lock().unwrap_or_else(PoisonError::into_inner);
    asked.params = Some(file(&folder, "params.json", data));
    if let Some(requests) = told(Requests::new(&asked, &logits)) {
        assert_eq!(told(requests.start(0..2)).expect("checked").len(), 2);
    }
}
