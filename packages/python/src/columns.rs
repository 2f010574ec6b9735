//! Rows of results as arrays: one for each field, made when it is first asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use numpy::{Element, PyArray, PyArrayMethods};
use pyo3::prelude::*;
use sortilege::{NO_TOKEN, Status, TargetLogprob};

/// The rows of a result, and the arrays that were made of them.
pub(crate) struct Columns<R> {
    pub(crate) rows: Vec<R>,
    /// The dimensions before the vocabulary.
    pub(crate) shape: Vec<usize>,
    made: Mutex<BTreeMap<&'static str, Py<PyAny>>>,
}

impl<R> Columns<R> {
    pub(crate) fn new(rows: Vec<R>, shape: Vec<usize>) -> Self {
        Self { rows, shape, made: Mutex::default() }
    }

    /// The array of this name, with one number for each row.
    pub(crate) fn each<T: Element>(
        &self,
        py: Python<'_>,
        name: &'static str,
        number: impl Fn(&R) -> T,
    ) -> PyResult<Py<PyAny>> {
        self.column(py, name, &[], |row, out| out.push(number(row)))
    }

    /// The array of this name, with a list for each row; a shorter one is filled up with what the row says.
    pub(crate) fn lists<T: Element + Clone>(
        &self,
        py: Python<'_>,
        name: &'static str,
        width: usize,
        filling: impl Fn(&R) -> T,
        put: impl Fn(&R, &mut Vec<T>),
    ) -> PyResult<Py<PyAny>> {
        self.column(py, name, &[width], |row, out| {
            let end = out.len() + width;
            put(row, out);
            out.resize(end, filling(row));
        })
    }

    fn column<T: Element>(
        &self,
        py: Python<'_>,
        name: &'static str,
        inner: &[usize],
        put: impl Fn(&R, &mut Vec<T>),
    ) -> PyResult<Py<PyAny>> {
        // Not held while Python's memory is asked for: that may let another thread run, which would wait for it.
        let known = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(array) = known().get(name) {
            return Ok(array.clone_ref(py));
        }
        let mut numbers = Vec::with_capacity(self.rows.len() * inner.iter().product::<usize>());
        self.rows.iter().for_each(|row| put(row, &mut numbers));
        let array = shaped(py, numbers, &[&self.shape, inner].concat())?;
        // Everybody who asks gets this one.
        array.call_method1(py, pyo3::intern!(py, "setflags"), (false,))?;
        Ok(known().entry(name).or_insert(array).clone_ref(py))
    }

    /// Request and position of each row: the last dimension before the vocabulary is the position.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u64, u64)> {
        let positions = self.shape.last().copied().unwrap_or(1).max(1);
        (0..self.rows.len()).map(move |row| ((row / positions) as u64, (row % positions) as u64))
    }
}

/// Numbers as an array of this shape, without a copy.
pub(crate) fn shaped<T: Element>(py: Python<'_>, numbers: Vec<T>, shape: &[usize]) -> PyResult<Py<PyAny>> {
    Ok(PyArray::from_vec(py, numbers).reshape(shape)?.into_any().unbind())
}

/// A token as an array has it: -1 for none.
pub(crate) fn id(token: u32) -> i32 {
    const _: () = assert!(NO_TOKEN.cast_signed() == -1);
    token.cast_signed()
}

/// The logprob, and the logit, where a distribution has no further token; NaN where a row is no distribution.
pub(crate) fn of_no_token(status: Option<Status>) -> f32 {
    if status == Some(Status::Ok) { f32::NEG_INFINITY } else { f32::NAN }
}

/// Places of `sortilege.Status`.
pub(crate) fn status_code(status: Status) -> u8 {
    match status {
        Status::Ok => 0,
        Status::Nan => 1,
        Status::PositiveInfinity => 2,
        Status::NothingFinite => 3,
        Status::Finished => 4,
        _ => u8::MAX, // that of a lost history: there are none in Python
    }
}

/// The rank of a token as an array has it.
pub(crate) fn rank(target: &TargetLogprob) -> i32 {
    target.rank().cast_signed()
}
