//! Logits of Python's arrays and tensors, read where they lie.

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use sortilege::{Dtype, Logits};

use crate::dlpack;
use crate::errors::{LogitsError, raised};

/// Logits `(..., vocab)` of a Python object, which is kept alive. Its memory is read while other threads run: whoever
/// writes to it meanwhile gets the numbers of neither, as everywhere in NumPy.
pub(crate) struct LogitsInput<'py> {
    _owner: Bound<'py, PyAny>,
    data: *const u8,
    dtype: Dtype,
    /// The dimensions before the vocabulary.
    pub(crate) shape: Vec<usize>,
    vocab: usize,
    row_stride: usize,
}

impl<'py> LogitsInput<'py> {
    /// The logits of a NumPy array, of a tensor that speaks DLPack, or of what `numpy.asarray` takes. Floats of other
    /// types than f32, f16 and bf16 are rounded to f32, in a copy.
    pub(crate) fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if is_masked(object)? {
            return Err(LogitsError::new_err(
                "logits of a numpy.ma.MaskedArray, whose mask would be lost: pass logits.filled(-numpy.inf)",
            ));
        }
        if let Ok(array) = object.cast::<PyUntypedArray>() {
            return Self::of_array(array);
        }
        if object.hasattr(pyo3::intern!(object.py(), "__dlpack__"))? {
            let lent = dlpack::borrow(object)?;
            return match lent.dtype {
                Some(dtype) => Self::at(lent.capsule, lent.data, dtype, &lent.shape, &lent.strides),
                None => Self::converted(&numpy(object.py())?.call_method1("from_dlpack", (object,))?),
            };
        }
        let array = numpy(object.py())?.call_method1("asarray", (object,))?;
        Self::of_array(array.cast::<PyUntypedArray>()?)
    }

    fn of_array(array: &Bound<'py, PyUntypedArray>) -> PyResult<Self> {
        let dtype = array.dtype();
        let is_native = dtype.is_native_byteorder() != Some(false);
        let found = match (dtype.kind(), dtype.itemsize()) {
            (b'f', 4) if is_native => Dtype::F32,
            (b'f', 2) if is_native => Dtype::F16,
            (b'f', _) => return Self::converted(array),
            // A type of ml_dtypes is one of NumPy by its name alone.
            (b'V', 2) if dtype.str()? == "bfloat16" => Dtype::Bf16,
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "logits of type {} are not read: pass float32, float16, bfloat16 (ml_dtypes) or float64",
                    dtype.str()?
                )));
            }
        };
        let bytes = dtype.itemsize() as isize;
        if let Some(stride) = array.strides().iter().find(|stride| *stride % bytes != 0) {
            return Err(LogitsError::new_err(format!(
                "a stride of {stride} bytes is no whole number of elements of {bytes}: pass numpy.ascontiguousarray(logits), \
                 which copies"
            )));
        }
        let strides: Vec<isize> = array.strides().iter().map(|stride| stride / bytes).collect();
        #[expect(unsafe_code, reason = "NumPy's array is a struct of C")]
        // SAFETY: the pointer is that of a living array.
        let data = unsafe { (*array.as_array_ptr()).fields.data };
        Self::at(array.clone().into_any(), data.cast_const().cast(), found, array.shape(), &strides)
    }

    /// A copy, rounded to f32.
    fn converted(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        let array = array.call_method1(pyo3::intern!(array.py(), "astype"), ("float32", "C"))?;
        Self::of_array(array.cast::<PyUntypedArray>()?)
    }

    fn at(
        owner: Bound<'py, PyAny>,
        data: *const u8,
        dtype: Dtype,
        shape: &[usize],
        strides: &[isize],
    ) -> PyResult<Self> {
        let (Some((&vocab, rows)), Some((&last, outer))) = (shape.split_last(), strides.split_last()) else {
            return Err(LogitsError::new_err("logits without a dimension: the last one is the vocabulary"));
        };
        // Where there are no rows, or no second token, NumPy's strides say nothing.
        let is_row = last == 1 || vocab <= 1 || rows.contains(&0);
        let row_stride = if is_row { row_stride(rows, outer, vocab) } else { None };
        let Some(row_stride) = row_stride else {
            return Err(LogitsError::new_err(format!(
                "logits of shape {shape:?} have strides of {strides:?} elements: the tokens of a row must lie side by side, and \
                 the rows equally far apart. Pass numpy.ascontiguousarray(logits), which copies"
            )));
        };
        Ok(Self { _owner: owner, data, dtype, shape: rows.to_vec(), vocab, row_stride })
    }

    /// Rows of all dimensions before the vocabulary.
    pub(crate) fn rows(&self) -> usize {
        self.shape.iter().product()
    }

    /// All dimensions.
    pub(crate) fn full_shape(&self) -> Vec<usize> {
        [&self.shape[..], &[self.vocab]].concat()
    }

    /// The batch, `[rows][vocab]`.
    pub(crate) fn logits(&self) -> PyResult<Logits<'_>> {
        let elements = match (self.rows(), self.vocab) {
            (0, _) | (_, 0) => 0,
            (rows, vocab) => (rows - 1) * self.row_stride + vocab,
        };
        if elements > 0 && self.data.is_null() {
            return Err(LogitsError::new_err(format!(
                "logits of shape {:?} have no memory: pass a tensor that holds its numbers",
                self.full_shape()
            )));
        }
        let bytes: &[u8] = if elements == 0 {
            &[]
        } else {
            #[expect(unsafe_code, reason = "the memory is Python's")]
            // SAFETY: by its shape and strides the object has that many elements from here on, and it is kept alive. That
            // nobody writes to them is asked of the caller, as by every function of NumPy that lets go of the interpreter.
            unsafe {
                std::slice::from_raw_parts(self.data, elements * self.dtype.bytes())
            }
        };
        Logits::strided(bytes, self.dtype, self.rows(), self.vocab, self.row_stride).map_err(raised)
    }
}

/// Elements from row to row, if they are equally far apart and go forwards. A dimension of one says nothing.
fn row_stride(shape: &[usize], strides: &[isize], vocab: usize) -> Option<usize> {
    if shape.contains(&0) {
        return Some(vocab);
    }
    let mut rows: Option<(usize, usize)> = None; // stride of a row, rows so far
    for (&size, &stride) in shape.iter().zip(strides).rev().filter(|(size, _)| **size > 1) {
        let stride = usize::try_from(stride).ok()?;
        rows = match rows {
            None => Some((stride, size)),
            Some((row_stride, count)) if stride == row_stride * count => Some((row_stride, count * size)),
            Some(_) => return None,
        };
    }
    Some(rows.map_or(vocab, |(stride, _)| stride))
}

/// Whether some numbers of an array may be hidden.
pub(crate) fn is_masked(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static MASKED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let class = MASKED
        .get_or_try_init(py, || py.import("numpy.ma")?.getattr("MaskedArray").map(|class| class.unbind()))?;
    object.is_instance(class.bind(py))
}

/// The module `numpy`.
pub(crate) fn numpy(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static NUMPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let module = NUMPY.get_or_try_init(py, || py.import("numpy").map(|module| module.into_any().unbind()))?;
    Ok(module.bind(py))
}
