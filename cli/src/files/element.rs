//! Element types of arrays: how numpy, `ml_dtypes` and safetensors spell them, and their bytes in the form that the
//! rest of the program takes.

use std::path::Path;

use sortilege::Dtype;

use crate::failure::{Failure, Result};
use crate::shown::shown;

/// Element type of an array in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Logit(Dtype),
    /// Logits that become f32 as they are read.
    F64,
    Bool,
    /// Signed integers of so many bytes.
    Int(usize),
    /// Unsigned integers of so many bytes.
    Uint(usize),
}

/// An element type, the name that numpy gives it, or `ml_dtypes`, and its others: numpy's code, and safetensors'.
struct Names(Element, &'static str, &'static [&'static str]);

const NAMES: &[Names] = &[
    Names(Element::Logit(Dtype::F32), "float32", &["f4", "F32"]),
    Names(Element::Logit(Dtype::F16), "float16", &["f2", "F16"]),
    Names(Element::Logit(Dtype::Bf16), "bfloat16", &["BF16"]),
    Names(Element::F64, "float64", &["f8", "F64"]),
    Names(Element::Bool, "bool", &["b1", "BOOL"]),
    Names(Element::Int(1), "int8", &["i1", "I8"]),
    Names(Element::Int(2), "int16", &["i2", "I16"]),
    Names(Element::Int(4), "int32", &["i4", "I32"]),
    Names(Element::Int(8), "int64", &["i8", "I64"]),
    Names(Element::Uint(1), "uint8", &["u1", "U8"]),
    Names(Element::Uint(2), "uint16", &["u2", "U16"]),
    Names(Element::Uint(4), "uint32", &["u4", "U32"]),
    Names(Element::Uint(8), "uint64", &["u8", "U64"]),
];

impl Element {
    /// The type of this name, without a byte order.
    pub(super) fn named(name: &str) -> Option<Self> {
        let is_named = |Names(_, plain, others): &&Names| *plain == name || others.contains(&name);
        NAMES.iter().find(is_named).map(|Names(element, ..)| *element)
    }

    /// The name that numpy gives the type, or `ml_dtypes`.
    pub(crate) fn name(self) -> &'static str {
        let names = NAMES.iter().find(|Names(element, ..)| *element == self);
        names.map_or("", |Names(_, name, _)| name)
    }

    /// Bytes of an element in a file.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Logit(dtype) => dtype.bytes(),
            Self::F64 => 8,
            Self::Bool => 1,
            Self::Int(bytes) | Self::Uint(bytes) => bytes,
        }
    }

    /// Bytes of an array of this shape in a file.
    pub(super) fn bytes_of(self, path: &Path, shape: &[usize]) -> Result<u64> {
        shape
            .iter()
            .try_fold(self.bytes(), |bytes, &n| bytes.checked_mul(n))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .map(|bytes| bytes as u64)
            .ok_or_else(|| Failure::file(path, format!("shape {shape:?} is more than memory can hold")))
    }

    /// The failure of a file with elements of another type, as the file spells it.
    pub(super) fn unsupported(path: &Path, name: &str) -> Failure {
        Failure::file(
            path,
            format!(
                "element type {} is not supported: logits are f32, f16, bf16 or f64, tokens are integers of 8 to 64 bits",
                shown(name)
            ),
        )
    }

    /// Makes elements as they stand in a file those that `Array::read` gives; how many became infinite.
    pub(super) fn convert(self, is_big_endian: bool, bytes: &mut Vec<u8>) -> usize {
        let mut overflown = 0;
        if is_big_endian {
            bytes.chunks_exact_mut(self.bytes()).for_each(<[u8]>::reverse);
        }
        if self == Self::F64 {
            let count = bytes.len() / 8;
            for i in 0..count {
                let value = f64::from_le_bytes(element(&bytes[8 * i..8 * i + 8]));
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "rounds to the nearest f32, as numpy does"
                )]
                let rounded = value as f32;
                overflown += usize::from(rounded.is_infinite() && value.is_finite());
                bytes[4 * i..4 * i + 4].copy_from_slice(&rounded.to_le_bytes());
            }
            bytes.truncate(4 * count);
        }
        overflown
    }

    /// The integers that these bytes are, if this is a type of integers and each is below 2^63.
    pub(super) fn integers(self, path: &Path, bytes: &[u8]) -> Result<Vec<i64>> {
        let sign_bytes = |chunk: &[u8]| {
            let is_negative = matches!(self, Self::Int(_)) && chunk.last().is_some_and(|&last| last >= 0x80);
            if is_negative { [0xff; 8] } else { [0; 8] }
        };
        let integer = |chunk: &[u8]| {
            let mut wide = sign_bytes(chunk);
            wide[..chunk.len()].copy_from_slice(chunk);
            let value = i64::from_le_bytes(wide);
            if self == Self::Uint(8) && value < 0 {
                return Err(Failure::file(
                    path,
                    format!("the token {} is over 2^63", u64::from_le_bytes(wide)),
                ));
            }
            Ok(value)
        };
        match self {
            Self::Int(_) | Self::Uint(_) => bytes.chunks_exact(self.bytes()).map(integer).collect(),
            _ => Err(Failure::file(
                path,
                format!("tokens must be integers of 8 to 64 bits, these are {}", self.name()),
            )),
        }
    }
}

fn element<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("chunks have the element's size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_their_values() {
        let path = Path::new("ids");
        let ids = |element: Element, bytes: &[u8]| element.integers(path, bytes).expect("integers");
        assert_eq!(ids(Element::Int(1), &[5, 0x9c]), [5, -100]);
        assert_eq!(ids(Element::Uint(1), &[5, 0x9c]), [5, 156]);
        assert_eq!(ids(Element::Int(2), &[0x9c, 0xff, 1, 1]), [-100, 257]);
        assert_eq!(ids(Element::Uint(4), &[0xff; 4]), [i64::from(u32::MAX)]);
        assert_eq!(ids(Element::Int(8), &(-1i64).to_le_bytes()), [-1]);
        let over = Element::Uint(8).integers(path, &[0xff; 8]).expect_err("too large").to_string();
        assert!(over.contains("18446744073709551615 is over 2^63"), "{over}");
        Element::Bool.integers(path, &[1]).expect_err("no integers");
    }

    #[test]
    fn elements_become_little_endian_f32() {
        let mut bytes: Vec<u8> = [1.5f64, -1e300, 0.1].iter().flat_map(|value| value.to_be_bytes()).collect();
        assert_eq!(Element::F64.convert(true, &mut bytes), 1);
        let expected = [1.5f32, f32::NEG_INFINITY, 0.1];
        assert_eq!(bytes, expected.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        let mut bytes = vec![1, 2, 3, 4];
        assert_eq!(Element::Logit(Dtype::F16).convert(true, &mut bytes), 0);
        assert_eq!(bytes, [2, 1, 4, 3]);
    }
}
