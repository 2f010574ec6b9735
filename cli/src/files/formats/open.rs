//! Which reader a file of arrays is for, by its first bytes, its name and what the user says of it.

use std::path::Path;

use super::{llama, npy, npz, raw, safetensors};
use crate::failure::{Failure, Result};
use crate::files::array::{Array, SAVE};
use crate::files::hints::Hints;
use crate::foreign;
use crate::input::{Opened, is_stdin};
use crate::shown::{shown, shown_path};

/// Formats that say what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Npy,
    Npz,
    Safetensors,
    /// Of several .safetensors files.
    Index,
    /// Log-probabilities of a base model.
    Llama,
}

impl Format {
    /// The format of a file, if it is one of ours.
    pub(crate) fn of(opened: &Opened) -> Option<Self> {
        let name = opened.path.to_string_lossy().to_lowercase();
        let head = &opened.head[..];
        let header_bytes = head.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let is_header =
            header_bytes.is_some_and(|bytes| (2..=safetensors::MOST_HEADER_BYTES).contains(&bytes));
        match () {
            () if head.starts_with(npy::MAGIC) => Some(Self::Npy),
            () if head.starts_with(b"PK\x03\x04") => Some(Self::Npz),
            () if head.starts_with(llama::MAGIC) => Some(Self::Llama),
            () if name.ends_with(".safetensors") || (is_header && head.get(8) == Some(&b'{')) => {
                Some(Self::Safetensors)
            }
            () if name.ends_with(".json") && head.trim_ascii_start().starts_with(b"{") => Some(Self::Index),
            () => None,
        }
    }
}

/// The array of a .npy, .npz, .safetensors or raw file, which holds what its header says.
pub(crate) fn open_array(path: &Path, hints: &Hints) -> Result<Array> {
    array_of(Opened::new(path)?, hints)
}

/// That of an open file.
pub(crate) fn array_of(opened: Opened, hints: &Hints) -> Result<Array> {
    match (&hints.shape, Format::of(&opened)) {
        (Some(shape), Some(_)) => Err(Failure::Usage(format!(
            "--shape{side} {shape:?}: the header of {} has the shape, leave --shape{side} out",
            shown_path(&opened.path),
            side = hints.side
        ))),
        (Some(_), None) => match &hints.tensor {
            Some(name) => {
                let (name, side) = (shown(name), hints.side);
                Err(Failure::Usage(format!(
                    "--tensor{side} {name}: a raw file holds one array without a name"
                )))
            }
            None => raw::open(opened, hints),
        },
        (None, Some(format)) => open_format(opened, format, hints),
        (None, None) => Err(unknown(&opened, hints.side)),
    }
}

/// The array of a file that says what it holds.
pub(crate) fn open_format(opened: Opened, format: Format, hints: &Hints) -> Result<Array> {
    let most = hints.most_bytes();
    match format {
        Format::Npy => {
            if let Some(name) = &hints.tensor {
                return Err(Failure::Usage(format!(
                    "--tensor{} {}: a .npy file holds one array without a name",
                    hints.side,
                    shown(name)
                )));
            }
            npy::open(opened.seekable(most)?, 0, u64::MAX, hints)
        }
        Format::Npz => npz::open(opened.seekable(most)?, hints),
        Format::Safetensors => safetensors::open(opened.seekable(most)?, hints),
        Format::Index => safetensors::open_shard(opened, hints),
        Format::Llama => llama::open(opened.seekable(most)?, hints),
    }
}

/// The failure of a file that is of no format of ours.
fn unknown(opened: &Opened, side: &str) -> Failure {
    let path = &opened.path;
    let problem = match (foreign::name(&opened.head), &opened.head[..]) {
        (Some(known), _) => known.told(SAVE),
        (None, []) if is_stdin(path) => "standard input is empty, or was read before".to_owned(),
        (None, []) => "the file is empty".to_owned(),
        (None, [b'{', rest @ ..]) if rest.trim_ascii_start().starts_with(b"\"") => {
            safetensors::NO_INDEX.to_owned()
        }
        (None, _) => {
            format!(
                "this is no .npy, .npz or .safetensors file; for raw numbers give --shape{side} and --dtype{side}"
            )
        }
    };
    Failure::file(path, problem)
}

#[cfg(test)]
mod tests {
    use sortilege::synthetic::SplitMix64;

    use super::*;

    /// Whatever a file holds, it is an array that can be read, or refused in a few words.
    #[test]
    fn no_bytes_are_too_strange() {
        let npy = |descr: &str, order: &str| {
            let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (2, 3), }}");
            [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes(), &[7; 48]].concat()
        };
        let tensors = r#"{"logits":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}  "#;
        let tensors = [&(tensors.len() as u64).to_le_bytes()[..], tensors.as_bytes(), &[7; 24]].concat();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("logits.npy", zip::write::SimpleFileOptions::default()).expect("a new member");
        std::io::Write::write_all(&mut zip, &npy("<f4", "False")).expect("memory");
        let zip = zip.finish().expect("memory").into_inner();
        let index = br#"{"metadata":{},"weight_map":{"logits":"shard.safetensors"}}"#.to_vec();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("shard.safetensors"), &tensors).expect("writable");
        let seeds = [
            ("a.npy", npy("<f4", "False")),
            ("b.npy", npy(">f8", "True")),
            ("c.safetensors", tensors),
            ("d.npz", zip),
            ("e.index.json", index),
        ];
        let mut numbers = SplitMix64::new(1);
        let mut random =
            |below: usize| usize::try_from(numbers.next() % below as u64).expect("below a length");
        let (mut read, mut refused) = (0, 0);
        for (name, seed) in seeds {
            let path = folder.path().join(name);
            for _ in 0..500 {
                let mut bytes = seed.clone();
                for _ in 0..1 + random(4) {
                    let place = random(bytes.len());
                    match random(4) {
                        0 => bytes.truncate(place.max(1)),
                        1 => bytes.insert(place, b"[({'\"9-L\0\xff"[random(10)]),
                        2 => bytes[place] ^= 1 << random(8),
                        _ => drop(bytes.remove(place)),
                    }
                    if bytes.is_empty() {
                        break;
                    }
                }
                std::fs::write(&path, &bytes).expect("writable");
                let array = open_array(&path, &Hints::default());
                match array.and_then(|array| array.read(0, array.shape.iter().product(), &mut Vec::new())) {
                    Ok(()) => read += 1,
                    Err(failure) => {
                        refused += 1;
                        assert!(failure.to_string().len() < 2000, "{failure}");
                    }
                }
            }
        }
        assert!(read > 50 && refused > 500, "{read} read, {refused} refused");
    }
}
