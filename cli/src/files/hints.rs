//! What a user says of a file of arrays.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::shown::shown;

/// What the user says of a file that does not say it itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    /// The array in a file with names.
    pub(crate) tensor: Option<String>,
    /// Names that such an array usually has.
    pub(crate) usual: &'static [&'static str],
    pub(crate) shape: Option<Vec<usize>>,
    pub(crate) dtype: Option<sortilege::Dtype>,
}

impl Hints {
    /// The array to take of a file with names: the one that the user names, or one of a usual name, or the only one.
    pub(super) fn pick(&self, path: &Path, names: &[String]) -> Result<String> {
        let named = |wanted: &str| names.iter().find(|name| *name == wanted);
        let only = names.iter().find(|_| names.len() == 1);
        let found = match &self.tensor {
            Some(wanted) => named(wanted),
            None => self.usual.iter().find_map(|usual| named(usual)).or(only),
        };
        found.cloned().ok_or_else(|| {
            let what = match (&self.tensor, self.usual) {
                (Some(wanted), _) => format!("no array {}", shown(wanted)),
                (None, ["logits"]) => "say which with --tensor".to_owned(),
                (None, usual) => format!("none is called {}", usual.join(" or ")),
            };
            let some: Vec<String> = names.iter().take(20).map(|name| shown(name)).collect();
            let rest = if names.len() > some.len() { ", ..." } else { "" };
            let list = if some.is_empty() { "none".to_owned() } else { some.join(", ") };
            Failure::file(path, format!("{what}; there are: {list}{rest}"))
        })
    }
}
