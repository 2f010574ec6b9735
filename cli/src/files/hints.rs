//! What a user says of a file of arrays.

use std::path::Path;

use crate::failure::{Failure, Result};

/// What the user says of a file that does not say it itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) tensor: Option<String>,
    pub(crate) shape: Option<Vec<usize>>,
    pub(crate) dtype: Option<sortilege::Dtype>,
}

impl Hints {
    /// The array to take of a file with names: the one that the user names, or `logits`, or the only one.
    pub(super) fn pick(&self, path: &Path, names: &[String]) -> Result<String> {
        let wanted = self.tensor.as_deref();
        let found = match wanted {
            Some(wanted) => names.iter().find(|name| *name == wanted),
            None => names
                .iter()
                .find(|name| *name == "logits")
                .or_else(|| names.iter().find(|_| names.len() == 1)),
        };
        found.cloned().ok_or_else(|| {
            let what = wanted
                .map_or_else(|| "say which with --tensor".to_owned(), |wanted| format!("no array {wanted}"));
            let some: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
            Failure::file(
                path,
                format!(
                    "{what}; there are: {}",
                    if some.is_empty() { "none".into() } else { some.join(", ") }
                ),
            )
        })
    }
}
