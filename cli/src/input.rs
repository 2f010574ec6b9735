//! Arrays in files, mapped block by block: memory stays flat however large the file.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Result};

/// Element type of an array in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Logit(sortilege::Dtype),
    I32,
    U32,
    I64,
    U64,
}

impl Element {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Logit(dtype) => dtype.bytes(),
            Self::I32 | Self::U32 => 4,
            Self::I64 | Self::U64 => 8,
        }
    }
}

/// What the user says of a file that does not say it itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) tensor: Option<String>,
    pub(crate) shape: Option<Vec<usize>>,
    pub(crate) dtype: Option<sortilege::Dtype>,
}

/// An array in a file: where its bytes lie and what they mean.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) path: PathBuf,
    /// Where the bytes are: `path`, or a temporary file with a decompressed entry of it.
    file: File,
    offset: u64,
    /// Its name, in a file with names.
    pub(crate) tensor: Option<String>,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
}

impl Array {
    /// Reads the header of a .npy, .npz, .safetensors or raw file, and checks that the file holds what it says.
    pub(crate) fn open(path: &Path, hints: &Hints) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| Failure::file(path, error))?;
        let mut magic = [0; 8];
        let read = read_up_to(&mut file, &mut magic).map_err(|error| Failure::file(path, error))?;
        rewind(&mut file, path)?;
        let is_safetensors = path.extension().is_some_and(|name| name.eq_ignore_ascii_case("safetensors"));
        let is_npy = magic[..read].starts_with(b"\x93NUMPY");
        if let Some(shape) = &hints.shape {
            if is_npy || magic[..read].starts_with(b"PK\x03\x04") || is_safetensors {
                return Err(Failure::Usage(format!(
                    "--shape {shape:?}: the header of {} has the shape, leave --shape out",
                    path.display()
                )));
            }
            return Self::raw(path, file, hints);
        }
        if let (true, Some(name)) = (is_npy, &hints.tensor) {
            return Err(Failure::Usage(format!(
                "--tensor {name}: a .npy file holds one array without a name"
            )));
        }
        match &magic[..read] {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::npy(path, file, 0, None, hints),
            [b'P', b'K', 3, 4, ..] => Self::npz(path, file, hints),
            _ if is_safetensors => Self::safetensors(path, file, hints),
            [] => Err(Failure::file(path, "the file is empty")),
            _ => Err(Failure::file(
                path,
                "this is no .npy, .npz or .safetensors file; for raw numbers give --shape and --dtype",
            )),
        }
    }

    fn raw(path: &Path, file: File, hints: &Hints) -> Result<Self> {
        let (Some(shape), Some(dtype)) = (hints.shape.clone(), hints.dtype) else {
            return Err(Failure::Usage("a raw file needs both --shape and --dtype".to_owned()));
        };
        let array = Self {
            path: path.to_owned(),
            file,
            offset: 0,
            tensor: None,
            element: Element::Logit(dtype),
            shape,
        };
        let (has, needs) = (array.file_bytes()?, array.bytes()?);
        if has != needs {
            return Err(Failure::file(
                path,
                format!(
                    "holds {has} bytes, but {:?} {dtype} are {needs}: correct --shape or --dtype",
                    array.shape
                ),
            ));
        }
        Ok(array)
    }

    /// `data` starts at `start` and has `limit` bytes, or ends with the file.
    fn npy(path: &Path, mut file: File, start: u64, limit: Option<u64>, hints: &Hints) -> Result<Self> {
        let bad = |error: io::Error| Failure::file(path, format!("no readable .npy header: {error}"));
        file.seek(io::SeekFrom::Start(start)).map_err(bad)?;
        let header = NpyHeader::from_reader(&mut file).map_err(bad)?;
        let offset = file.stream_position().map_err(bad)?;
        let element = npy_element(path, &header, hints)?;
        let shape: Vec<usize> =
            header.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>().map_err(|_| {
                Failure::file(path, format!("shape {:?} is more than memory can hold", header.shape()))
            })?;
        if header.order() == Order::Fortran && shape.iter().filter(|&&n| n > 1).count() > 1 {
            return Err(Failure::file(
                path,
                "the array is in Fortran order: save it with numpy.ascontiguousarray(...)",
            ));
        }
        let array = Self { path: path.to_owned(), file, offset, tensor: None, element, shape };
        array.check_length(limit.map(|limit| start + limit))
    }

    fn npz(path: &Path, file: File, hints: &Hints) -> Result<Self> {
        let bad =
            |error: zip::result::ZipError| Failure::file(path, format!("no readable .npz file: {error}"));
        let mut archive = zip::ZipArchive::new(file.try_clone().map_err(|error| Failure::file(path, error))?)
            .map_err(bad)?;
        let names: Vec<String> = archive
            .file_names()
            .map(|name| name.map(std::borrow::Cow::into_owned))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let arrays = names.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
        let name = pick(path, arrays, hints)?;
        let entry = archive.by_name(&format!("{name}.npy")).map_err(bad)?;
        if entry.compression() == zip::CompressionMethod::Stored
            && let Some(start) = entry.data_start()
        {
            let size = entry.size();
            drop(entry);
            return Self::npy(path, file, start, Some(size), hints)
                .map(|array| Self { tensor: Some(name), ..array });
        }
        // A compressed entry cannot be mapped where it is.
        let mut inflated = tempfile::tempfile().map_err(|error| Failure::file(path, error))?;
        let size = entry.size();
        io::copy(&mut entry.take(size), &mut inflated)
            .map_err(|error| Failure::file(path, format!("entry {name} cannot be decompressed: {error}")))?;
        Self::npy(path, inflated, 0, None, hints).map(|array| Self { tensor: Some(name), ..array })
    }

    fn safetensors(path: &Path, file: File, hints: &Hints) -> Result<Self> {
        let map = map(&file, 0, None).map_err(|error| Failure::file(path, error))?;
        let (header_bytes, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| Failure::file(path, format!("no readable .safetensors header: {error}")))?;
        let name = pick(path, metadata.offset_keys(), hints)?;
        let info = metadata.info(&name).ok_or_else(|| Failure::file(path, format!("no tensor {name}")))?;
        let element = match info.dtype {
            safetensors::Dtype::F32 => Element::Logit(sortilege::Dtype::F32),
            safetensors::Dtype::F16 => Element::Logit(sortilege::Dtype::F16),
            safetensors::Dtype::BF16 => Element::Logit(sortilege::Dtype::Bf16),
            safetensors::Dtype::I32 => Element::I32,
            safetensors::Dtype::U32 => Element::U32,
            safetensors::Dtype::I64 => Element::I64,
            safetensors::Dtype::U64 => Element::U64,
            other => return Err(unsupported(path, &format!("{other:?}"))),
        };
        let offset = (8 + header_bytes + info.data_offsets.0) as u64;
        let shape = info.shape.clone();
        drop(map);
        Self { path: path.to_owned(), file, offset, tensor: Some(name), element, shape }.check_length(None)
    }

    /// Bytes of the array, from its shape.
    fn bytes(&self) -> Result<u64> {
        self.shape
            .iter()
            .try_fold(self.element.bytes(), |bytes, &n| bytes.checked_mul(n))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .map(|bytes| bytes as u64)
            .ok_or_else(|| {
                Failure::file(&self.path, format!("shape {:?} is more than memory can hold", self.shape))
            })
    }

    fn file_bytes(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|error| Failure::file(&self.path, error))
    }

    fn check_length(self, end: Option<u64>) -> Result<Self> {
        let has = end.unwrap_or(self.file_bytes()?).min(self.file_bytes()?).saturating_sub(self.offset);
        let needs = self.bytes()?;
        if has < needs {
            return Err(Failure::file(
                &self.path,
                format!("shape {:?} needs {needs} bytes, the file holds {has}: it is truncated", self.shape),
            ));
        }
        Ok(self)
    }

    /// The elements `first..first + count`, mapped.
    pub(crate) fn block(&self, first: usize, count: usize) -> Result<Block> {
        let offset = self.offset + (first * self.element.bytes()) as u64;
        let bytes = count * self.element.bytes();
        if bytes == 0 {
            return Ok(Block(None));
        }
        map(&self.file, offset, Some(bytes))
            .map(|map| Block(Some(map)))
            .map_err(|error| Failure::file(&self.path, error))
    }

    /// SHA-256 of the whole file at `path`, in hexadecimal.
    pub(crate) fn sha256(path: &Path) -> Result<String> {
        let mut file = File::open(path).map_err(|error| Failure::file(path, error))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).map_err(|error| Failure::file(path, error))?;
            if read == 0 {
                return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
            }
            hash.update(&buffer[..read]);
        }
    }
}

/// Mapped elements; none for an empty range.
pub(crate) struct Block(Option<Mmap>);

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}

#[expect(unsafe_code, reason = "a mapped file is the only way to stream an array without a copy of it")]
fn map(file: &File, offset: u64, len: Option<usize>) -> io::Result<Mmap> {
    let mut options = MmapOptions::new();
    options.offset(offset);
    if let Some(len) = len {
        options.len(len);
    }
    // SAFETY: the map is read only and lives for one block. Its length was checked against the file's. Another process
    // that truncates the file meanwhile ends ours with a bus error, as with every program that maps files; one that
    // writes to it changes the numbers read, of which any are valid.
    unsafe { options.map(file) }
}

/// The array to take: the one named, or `logits`, or the only one.
fn pick(path: &Path, names: Vec<String>, hints: &Hints) -> Result<String> {
    let wanted = hints.tensor.as_deref();
    let found = match wanted {
        Some(wanted) => names.iter().find(|name| *name == wanted),
        None => {
            names.iter().find(|name| *name == "logits").or_else(|| names.iter().find(|_| names.len() == 1))
        }
    };
    found.cloned().ok_or_else(|| {
        let what = wanted
            .map_or_else(|| "say which with --tensor".to_owned(), |wanted| format!("no array {wanted}"));
        let some: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
        Failure::file(
            path,
            format!("{what}; there are: {}", if some.is_empty() { "none".into() } else { some.join(", ") }),
        )
    })
}

fn npy_element(path: &Path, header: &NpyHeader, hints: &Hints) -> Result<Element> {
    let described = header.dtype().descr();
    let DType::Plain(plain) = header.dtype() else { return Err(unsupported(path, &described)) };
    if plain.endianness() == Endianness::Big {
        return Err(Failure::file(
            path,
            format!("{described} is big-endian: save it with array.astype(array.dtype.newbyteorder('<'))"),
        ));
    }
    Ok(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 4) => Element::Logit(sortilege::Dtype::F32),
        (TypeChar::Float, 2) => Element::Logit(sortilege::Dtype::F16),
        (TypeChar::Int, 4) => Element::I32,
        (TypeChar::Int, 8) => Element::I64,
        (TypeChar::Uint, 4) => Element::U32,
        (TypeChar::Uint, 8) => Element::U64,
        // numpy has no bf16; ml_dtypes saves it as two raw bytes
        (TypeChar::RawData, 2) if hints.dtype == Some(sortilege::Dtype::Bf16) => {
            Element::Logit(sortilege::Dtype::Bf16)
        }
        (TypeChar::RawData, 2) => {
            return Err(Failure::file(
                path,
                format!("{described} are two raw bytes: if they are bf16, give --dtype bf16"),
            ));
        }
        _ => return Err(unsupported(path, &described)),
    })
}

fn unsupported(path: &Path, dtype: &str) -> Failure {
    Failure::file(
        path,
        format!(
            "element type {dtype} is not supported: logits are f32, f16 or bf16, tokens are 32- or 64-bit integers"
        ),
    )
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

fn rewind(file: &mut File, path: &Path) -> Result<()> {
    file.rewind().map_err(|error| Failure::file(path, error))
}
