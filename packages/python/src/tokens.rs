//! Token ids of Python's arrays, lists and tensors.

use std::ops::Range;

use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::ParamsError;
use crate::input::{is_masked, numpy};

/// What stands for no token: ours, and the label that Transformers' losses leave out.
const NONE: [i64; 2] = [-1, -100];

/// Whole numbers of an array, in order, and its shape.
pub(crate) struct Whole<'py>(PyReadonlyArrayDyn<'py, i64>);

/// Nothing, if this is no array of which numpy would lose the mask.
pub(crate) fn refuse_masked(name: &str, filling: &str, object: &Bound<'_, PyAny>) -> PyResult<()> {
    if !is_masked(object)? {
        return Ok(());
    }
    Err(ParamsError::new_err(format!(
        "{name}: a numpy.ma.MaskedArray, whose mask would be lost: pass {name}.filled({filling}), or what stands for none"
    )))
}

impl<'py> Whole<'py> {
    /// The numbers of anything that `numpy.asarray` takes.
    pub(crate) fn new(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        refuse_masked(name, "-1", object)?;
        let array = numpy(object.py())?.call_method1(pyo3::intern!(object.py(), "asarray"), (object,))?;
        let array = array.cast::<PyUntypedArray>()?;
        if !matches!(array.dtype().kind(), b'i' | b'u') && array.len() > 0 {
            return Err(PyTypeError::new_err(format!(
                "{name} are of type {}: pass whole numbers",
                array.dtype().str()?
            )));
        }
        if (array.dtype().kind(), array.dtype().itemsize()) == (b'u', 8) && array.len() > 0 {
            let largest: u64 = array.call_method0("max")?.extract()?;
            if i64::try_from(largest).is_err() {
                return Err(ParamsError::new_err(format!("{name} hold {largest}, the most is {}", i64::MAX)));
            }
        }
        let whole = array.call_method1(pyo3::intern!(object.py(), "astype"), ("int64", "C"))?;
        Ok(Self(whole.cast::<PyArrayDyn<i64>>()?.readonly()))
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    pub(crate) fn numbers(&self) -> PyResult<&[i64]> {
        Ok(self.0.as_slice()?)
    }
}

/// The tokens that rows are asked about: a target of each, and given ones, of all rows the same or of each its own.
pub(crate) struct AskedTokens {
    /// Empty, or one for each row.
    pub(crate) targets: Vec<Option<u32>>,
    given: Vec<u32>,
    /// Given tokens of a row.
    pub(crate) width: usize,
}

impl AskedTokens {
    /// Those of rows of this shape.
    pub(crate) fn new(
        targets: Option<&Bound<'_, PyAny>>,
        token_ids: Option<&Bound<'_, PyAny>>,
        shape: &[usize],
    ) -> PyResult<Self> {
        let targets = per_row("targets", targets, shape)?;
        let (given, width) = lists("token_ids", token_ids, shape)?;
        Ok(Self { targets, given, width })
    }

    /// Nothing, if every token is in a vocabulary of so many.
    pub(crate) fn check(&self, vocab: usize) -> PyResult<()> {
        check_targets(&self.targets, vocab)?;
        match self.given.iter().position(|&token| token as usize >= vocab) {
            Some(place) => {
                let (token, row) = (self.given[place], place / self.width);
                Err(ParamsError::new_err(format!(
                    "token_ids hold {token} in list {row}, outside the vocabulary of {vocab}: remove it"
                )))
            }
            None => Ok(()),
        }
    }

    /// The targets of these rows, if there are any.
    pub(crate) fn targets_of(&self, rows: Range<usize>) -> &[Option<u32>] {
        self.targets.get(rows).unwrap_or(&[])
    }

    /// A list of given tokens for each of these rows, if there are any.
    pub(crate) fn lists_of(&self, rows: Range<usize>) -> Vec<&[u32]> {
        let Self { given, width, .. } = self;
        let of_row =
            |row: usize| if given.len() == *width { &given[..] } else { &given[row * width..][..*width] };
        if *width == 0 { Vec::new() } else { rows.map(of_row).collect() }
    }
}

/// A token for each row of logits of this shape, or none.
pub(crate) fn per_row(
    name: &str,
    object: Option<&Bound<'_, PyAny>>,
    shape: &[usize],
) -> PyResult<Vec<Option<u32>>> {
    let Some(object) = object else { return Ok(Vec::new()) };
    let whole = Whole::new(name, object)?;
    if whole.shape() != shape {
        return Err(ParamsError::new_err(format!(
            "{name} of shape {:?} do not fit logits of shape {shape:?} and a vocabulary: pass one for each row, -1 or -100 for \
             none",
            whole.shape()
        )));
    }
    let token = |(row, &number): (usize, &i64)| match NONE.contains(&number) {
        true => Ok(None),
        false => token(name, row, number).map(Some),
    };
    whole.numbers()?.iter().enumerate().map(token).collect()
}

/// Nothing, if every target is in a vocabulary of so many: known before any row is computed.
pub(crate) fn check_targets(targets: &[Option<u32>], vocab: usize) -> PyResult<()> {
    let is_outside = |target: &Option<u32>| target.is_some_and(|token| token as usize >= vocab);
    let Some(row) = targets.iter().position(is_outside) else { return Ok(()) };
    Err(ParamsError::new_err(format!(
        "target {} of row {row} is outside the vocabulary of {vocab}: pass -1 or -100 where it is unknown",
        targets[row].unwrap_or_default()
    )))
}

/// Lists of tokens, one of all rows or one of each, and their length.
fn lists(name: &str, object: Option<&Bound<'_, PyAny>>, shape: &[usize]) -> PyResult<(Vec<u32>, usize)> {
    let Some(object) = object else { return Ok((Vec::new(), 0)) };
    let whole = Whole::new(name, object)?;
    let fits = match whole.shape().split_last() {
        Some((_, outer)) => outer.is_empty() || outer == shape,
        None => false,
    };
    if !fits {
        let of_rows = match shape {
            [] => String::new(),
            _ => format!(" for all rows, or for each of {shape:?} one of the same length"),
        };
        return Err(ParamsError::new_err(format!(
            "{name} of shape {:?}: pass one flat list of token ids{of_rows}",
            whole.shape()
        )));
    }
    let width = whole.shape().last().copied().unwrap_or(0);
    let token = |(place, &number): (usize, &i64)| token(name, place / width, number);
    let tokens = whole.numbers()?.iter().enumerate().map(token).collect::<PyResult<_>>()?;
    Ok((tokens, width))
}

/// A list of tokens.
pub(crate) fn list(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    lists(name, Some(object), &[]).map(|(tokens, _)| tokens)
}

/// The token of this row, or of this list.
fn token(name: &str, row: usize, number: i64) -> PyResult<u32> {
    u32::try_from(number).map_err(|_| {
        ParamsError::new_err(format!("{name} hold {number} for row {row}, which is no token id"))
    })
}
