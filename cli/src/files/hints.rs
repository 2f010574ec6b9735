//! What a user, or the option that names it, says of a file of arrays.

use std::path::Path;

use super::element::Element;
use crate::failure::{Failure, Result};
use crate::shown::{shown, shown_path};

/// Bytes of a file that an integer may take with what stands around it, and those of a file with few.
const MOST_BYTES: [u64; 2] = [64, 64 << 10];

/// What is said of a file that does not say it itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    /// The array in a file with names.
    pub(crate) tensor: Option<String>,
    /// Names of the array that is meant where none is given.
    pub(crate) default_names: &'static [&'static str],
    pub(crate) shape: Option<Vec<usize>>,
    pub(crate) dtype: Option<sortilege::Dtype>,
    /// Where tokens are wanted: how many at most, in all and along each side.
    pub(crate) most_tokens: Option<usize>,
    /// Whether the sidecar of a log says it, which no option corrects.
    pub(crate) is_of_sidecar: bool,
    /// What the names of its options end with: `-b` of a second file.
    pub(crate) side: &'static str,
}

impl Hints {
    /// The array to take of a file with names: the one that the user names, or the one of a default name, or the only one.
    pub(super) fn pick(&self, path: &Path, names: &[String]) -> Result<String> {
        let is_meant = |name: &&String| match &self.tensor {
            Some(wanted) => *name == wanted,
            None => self.default_names.contains(&name.as_str()),
        };
        if names.is_empty() {
            return Err(Failure::file(path, "it holds no array: save one in it"));
        }
        let meant: Vec<&String> = names.iter().filter(is_meant).collect();
        let problem = match (&meant[..], &self.tensor, names) {
            ([name], _, _) => return Ok((*name).clone()),
            ([], None, [only]) => return Ok(only.clone()),
            ([], Some(wanted), _) => format!("no array {}", shown(wanted)),
            ([], None, _) if self.default_names == ["logits"] => {
                format!("say which with --tensor{}", self.side)
            }
            ([], None, _) => format!("none is called {}", self.default_names.join(" or ")),
            (several, ..) => {
                let several: Vec<String> = several.iter().map(|name| shown(name)).collect();
                format!("{} may be meant: save one of them alone", several.join(" or "))
            }
        };
        let some: Vec<String> = names.iter().take(20).map(|name| shown(name)).collect();
        let rest = if names.len() > some.len() { ", ..." } else { "" };
        Err(Failure::file(path, format!("{problem}; there are: {}{rest}", some.join(", "))))
    }

    /// Bytes of a file beyond which it holds more than is wanted.
    pub(super) fn most_bytes(&self) -> Option<u64> {
        let [of_each, more] = MOST_BYTES;
        self.most_tokens.map(|most| (most as u64).saturating_mul(of_each).saturating_add(more))
    }

    /// An error if tokens are wanted and this is no array of them, or one of too many.
    pub(super) fn check_tokens(&self, path: &Path, element: Element, shape: &[usize]) -> Result<()> {
        let Some(most) = self.most_tokens else { return Ok(()) };
        element.integers(path, &[])?;
        // A side counts even where another one is 0.
        let is_over = shape.iter().any(|&n| n > most) || shape.iter().product::<usize>() > most;
        if is_over { Err(too_many(path, most)) } else { Ok(()) }
    }
}

/// The failure of a file with more tokens than a job wants.
pub(super) fn too_many(path: &Path, most: usize) -> Failure {
    let path = shown_path(path);
    Failure::Usage(format!("{path}: over {most} tokens, more than these logits have use for"))
}
