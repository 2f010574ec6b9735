//! Tensors of other libraries by DLPack, which lends their memory: <https://dmlc.github.io/dlpack/latest/c_api.html>.

use std::ffi::{CStr, c_void};

use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use sortilege::Dtype;

use crate::errors::LogitsError;

const TENSOR: &CStr = c"dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const MAJOR_VERSION: u32 = 1;

/// `DLDeviceType`s whose memory the host reads.
const HOST: [i32; 3] = [1, 3, 11]; // CPU; pinned by CUDA, by ROCm

#[repr(C)]
struct Device {
    kind: i32,
    number: i32,
}

#[repr(C)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

/// `DLTensor`, with which a `DLManagedTensor` begins.
#[repr(C)]
struct Tensor {
    data: *const u8,
    device: Device,
    ndim: i32,
    dtype: DataType,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

#[repr(C)]
struct VersionedTensor {
    version: [u32; 2],
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
    flags: u64,
    tensor: Tensor,
}

/// Where a tensor lies. It is lent as long as its capsule lives.
pub(crate) struct Lent<'py> {
    pub(crate) capsule: Bound<'py, PyAny>,
    pub(crate) data: *const u8,
    /// `None` for a type of floats that is not read in place.
    pub(crate) dtype: Option<Dtype>,
    pub(crate) shape: Vec<usize>,
    /// In elements.
    pub(crate) strides: Vec<isize>,
}

/// Asks a tensor in host memory for its place.
pub(crate) fn borrow<'py>(tensor: &Bound<'py, PyAny>) -> PyResult<Lent<'py>> {
    check_device(tensor)?;
    let capsule = export(tensor)?;
    let held = capsule.cast::<PyCapsule>()?;
    let (found, version) = if held.is_valid_checked(Some(VERSIONED)) {
        let place = held.pointer_checked(Some(VERSIONED))?.cast::<VersionedTensor>();
        #[expect(unsafe_code, reason = "DLPack is an interface of C")]
        // SAFETY: a capsule of this name holds a tensor of this kind, whose head every version has, until it is dropped or
        // consumed; it is neither before `Lent` is.
        let versioned = unsafe { place.as_ref() };
        (&versioned.tensor, versioned.version[0])
    } else {
        let place = held.pointer_checked(Some(TENSOR))?.cast::<Tensor>();
        #[expect(unsafe_code, reason = "DLPack is an interface of C")]
        // SAFETY: as above.
        let tensor = unsafe { place.as_ref() };
        (tensor, MAJOR_VERSION)
    };
    if version != MAJOR_VERSION {
        return Err(LogitsError::new_err(format!(
            "the tensor is of DLPack {version}, {MAJOR_VERSION} is read"
        )));
    }
    let dtype = dtype(&found.dtype)?;
    let ndim = usize::try_from(found.ndim).unwrap_or(0);
    let shape: Vec<usize> = numbers(found.shape, ndim).map(|n| usize::try_from(n).unwrap_or(0)).collect();
    let strides = if found.strides.is_null() {
        packed(&shape)
    } else {
        numbers(found.strides, ndim).map(|n| isize::try_from(n).unwrap_or(-1)).collect()
    };
    let data = found.data.wrapping_add(usize::try_from(found.byte_offset).unwrap_or(0));
    Ok(Lent { data, dtype, shape, strides, capsule })
}

/// An error that says what can be done, for a tensor in the memory of a device.
fn check_device(tensor: &Bound<'_, PyAny>) -> PyResult<()> {
    let (kind, number): (i32, i32) = tensor
        .call_method0("__dlpack_device__")
        .map_err(|error| cannot_be_read(tensor.py(), error))?
        .extract()?;
    if HOST.contains(&kind) {
        return Ok(());
    }
    let name = match kind {
        2 | 13 => "CUDA",
        7 => "Vulkan",
        8 => "Metal",
        10 => "ROCm",
        14 => "oneAPI",
        _ => "other",
    };
    Err(LogitsError::new_err(format!(
        "the logits are in the memory of a {name} device (number {number}), and the host's is read: pass logits.cpu(), or \
         whatever copies them to it. Logits in a buffer of wgpu are read in place by the Rust library's Sampler"
    )))
}

/// The capsule, of the newest version that the tensor's library knows.
fn export<'py>(tensor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    let words = PyDict::new(py);
    words.set_item("max_version", PyTuple::new(py, [MAJOR_VERSION, 1])?)?;
    let exported = match tensor.call_method("__dlpack__", (), Some(&words)) {
        Err(error) if error.is_instance_of::<PyTypeError>(py) => tensor.call_method0("__dlpack__"),
        exported => exported,
    };
    exported.map_err(|error| cannot_be_read(py, error))
}

/// Ours for what a tensor's library raises where it cannot lend one; others of its errors stay.
fn cannot_be_read(py: Python<'_>, error: PyErr) -> PyErr {
    let is_told = error.is_instance_of::<PyBufferError>(py)
        || error.is_instance_of::<PyRuntimeError>(py)
        || error.is_instance_of::<PyValueError>(py);
    if !is_told {
        return error;
    }
    let refused = LogitsError::new_err(format!("the tensor cannot be read: {}", error.value(py)));
    refused.set_cause(py, Some(error));
    refused
}

/// The type of the elements; `None` for f64.
fn dtype(found: &DataType) -> PyResult<Option<Dtype>> {
    Ok(match (found.code, found.bits, found.lanes) {
        (2, 32, 1) => Some(Dtype::F32),
        (2, 16, 1) => Some(Dtype::F16),
        (4, 16, 1) => Some(Dtype::Bf16),
        (2, 64, 1) => None,
        (code, bits, lanes) => {
            return Err(PyTypeError::new_err(format!(
                "logits of DLPack's type (code {code}, {bits} bits, {lanes} lanes) are not read: pass float32, float16, \
                 bfloat16 or float64"
            )));
        }
    })
}

/// Strides of rows that lie one after the other.
fn packed(shape: &[usize]) -> Vec<isize> {
    let mut strides: Vec<isize> = shape
        .iter()
        .rev()
        .scan(1isize, |stride, &size| Some(std::mem::replace(stride, *stride * size as isize)))
        .collect();
    strides.reverse();
    strides
}

fn numbers(list: *const i64, count: usize) -> impl Iterator<Item = i64> {
    #[expect(unsafe_code, reason = "DLPack is an interface of C")]
    // SAFETY: shape and strides of a tensor have a number for each dimension.
    (0..count).map(move |i| unsafe { *list.add(i) })
}
