//! .safetensors files: named arrays behind a JSON header; one of several files behind an index.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use sortilege::log::HashedFile;

use crate::failure::{Failure, Result};
use crate::files::array::Array;
use crate::files::element::Element;
use crate::files::hints::Hints;
use crate::input::{Input, Opened, sha256};
use crate::shown::shown;

/// Bytes of a header or of an index: the format's own limit.
pub(super) const MOST_HEADER_BYTES: u64 = 100_000_000;

/// What is said of JSON that is neither an index nor a log of ours.
pub(super) const NO_INDEX: &str = "this is JSON, and no index of .safetensors files, which has a weight_map: give logits; of \
                                   responses with logprobs `sortilege convert` makes a log";

/// What the header of a file says.
pub(crate) struct Header {
    /// Texts by name, the format's `__metadata__`.
    pub(crate) about: BTreeMap<String, String>,
    tensors: Metadata,
    names: Vec<String>,
    /// Where the tensors begin.
    start: u64,
}

impl Header {
    /// The header of a file whose tensors have their sizes, one right after the other to its end.
    pub(crate) fn read(data: &Input) -> Result<Self> {
        let bad = |problem: String| {
            Failure::file(&data.path, format!("no readable .safetensors header: {problem}"))
        };
        if data.bytes < 8 {
            let problem = if data.bytes == 0 { "the file is empty" } else { "it is cut off" };
            return Err(bad(problem.to_owned()));
        }
        let mut length = [0; 8];
        data.read(0, &mut length)?;
        let length = u64::from_le_bytes(length);
        let most = MOST_HEADER_BYTES.min(data.bytes - 8);
        if length > most {
            return Err(bad(format!("it claims {length} bytes, of which there are at most {most}")));
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        data.read(8, &mut text)?;
        let Tensors { about, mut tensors } =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        tensors.sort_by_key(|(_, info)| info.data_offsets);
        let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
        let tensors = Metadata::new(None, tensors).map_err(|error| bad(shown(&error.to_string())))?;
        let (has, needs) = (data.bytes - 8 - length, tensors.data_len() as u64);
        if has != needs {
            return Err(bad(format!("its tensors are {needs} bytes, {has} follow it")));
        }
        Ok(Self { about, tensors, names, start: 8 + length })
    }

    /// A tensor: where its bytes begin and end in the file, its type by the format's name, its shape.
    pub(crate) fn tensor(&self, name: &str) -> Option<(Range<u64>, String, &[usize])> {
        let info = self.tensors.info(name)?;
        let (first, end) = info.data_offsets;
        let bytes = self.start + first as u64..self.start + end as u64;
        Some((bytes, format!("{:?}", info.dtype), &info.shape))
    }
}

/// The array that the hints pick.
pub(super) fn open(data: Input, hints: &Hints) -> Result<Array> {
    let header = Header::read(&data)?;
    let name = hints.pick(&data.path, &header.names)?;
    let Some((bytes, dtype, shape)) = header.tensor(&name) else {
        return Err(Failure::file(&data.path, format!("no tensor {}", shown(&name))));
    };
    let element = Element::named(&dtype).ok_or_else(|| Element::unsupported(&data.path, &dtype))?;
    Array { tensor: Some(name), ..Array::plain(data, bytes.start, element, shape.to_vec()) }
        .checked(bytes.end, hints)
}

/// The array that the hints pick, in the file of several that an index names.
pub(super) fn open_shard(index: Opened, hints: &Hints) -> Result<Array> {
    let path = index.path.clone();
    let bad = |problem: &str| Failure::file(&path, format!("no index of .safetensors files: {problem}"));
    let text = index.all(MOST_HEADER_BYTES, "is it the index?")?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| bad(&shown(&error.to_string())))?;
    let Some(weight_map) = index.weight_map else {
        return Err(Failure::file(&path, NO_INDEX));
    };
    let names: Vec<String> = weight_map.keys().cloned().collect();
    let name = hints.pick(&path, &names)?;
    let file = &weight_map[&name];
    if Path::new(file).file_name().is_none_or(|plain| plain != file.as_str()) {
        return Err(bad(&format!("{} is no plain name of a file beside it", shown(file))));
    }
    let shard = Opened::new(&path.with_file_name(file))?;
    let array = open(shard.seekable(None)?, &Hints { tensor: Some(name), ..hints.clone() })?;
    let index = HashedFile { file: path.display().to_string(), sha256: sha256(&text) };
    Ok(Array { index: Some(index), ..array })
}

/// model.safetensors.index.json
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: Option<BTreeMap<String, String>>,
}

/// Names and places of tensors, each name once, and what else is said of the file.
struct Tensors {
    about: BTreeMap<String, String>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TensorsVisitor)
    }
}

struct TensorsVisitor;

impl<'de> Visitor<'de> for TensorsVisitor {
    type Value = Tensors;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
        let (mut about, mut tensors) = (BTreeMap::new(), BTreeMap::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                // Texts by the format, so that what else may stand there is nobody's business.
                let texts: Box<RawValue> = map.next_value()?;
                about = serde_json::from_str(texts.get()).unwrap_or_default();
                continue;
            }
            let (twice, info) =
                (format!("the tensor {} stands there twice", shown(&name)), map.next_value()?);
            if tensors.insert(name, info).is_some() {
                return Err(A::Error::custom(twice));
            }
        }
        Ok(Tensors { about, tensors: tensors.into_iter().collect() })
    }
}
