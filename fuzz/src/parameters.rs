//! Files of parameters.

use clap::{Args, FromArgMatches};

use crate::arrays::args;
use crate::files::LogitsFile;
use crate::masks::zeros;
use crate::sample::{Requests, SampleArgs};
use crate::{file, folder, told};

/// Parameters of two requests over 40 tokens; what is taken makes requests.
pub fn params(data: &[u8]) {
    let folder = folder();
    let logits = LogitsFile::open(&args(file(&folder, "l.npy", &zeros("(2, 3, 40)", 240)))).expect("logits");
    let path = file(&folder, "params.json", data);
    let mut asked = SampleArgs::augment_args(clap::Command::new("sample"));
    let matches = asked.try_get_matches_from_mut(["sample", "l.npy"]).expect("options");
    let mut asked = SampleArgs::from_arg_matches(&matches).expect("options");
    asked.params = Some(path);
    if let Some(requests) = told(Requests::new(&asked, &logits)) {
        assert_eq!(told(requests.start(0..2)).expect("checked").len(), 2);
    }
}
