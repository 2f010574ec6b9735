//! `Table`: what every result has that is a row for each row of logits.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The base of `Logprobs` and `Samples`: both are streams of Arrow's C interface.
#[pyclass(frozen, subclass, name = "_Table", module = "sortilege")]
pub(crate) struct Table;

#[pymethods]
impl Table {
    /// The tokens by their ids, coloured by how much they surprise: `HeatMap` has their texts too.
    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let map = slf.py().import("sortilege._html")?.getattr("HeatMap")?.call1((slf,))?;
        map.call_method0("_repr_html_")
    }

    /// The rows as a `pyarrow.Table`.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        import(slf.py(), "pyarrow", "to_arrow()")?.call_method1("table", (slf,))
    }

    /// The rows as a `pandas.DataFrame`.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        import(slf.py(), "pandas", "to_pandas()")?;
        Self::to_arrow(slf)?.call_method0("to_pandas")
    }

    /// The rows as a `polars.DataFrame`.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        import(slf.py(), "polars", "to_polars()")?.call_method1("DataFrame", (slf,))
    }
}

fn import<'py>(py: Python<'py>, name: &str, wanted_by: &str) -> PyResult<Bound<'py, PyModule>> {
    py.import(name).map_err(|error| {
        let told = PyImportError::new_err(format!("{wanted_by} needs {name}: pip install {name} ({error})"));
        told.set_cause(py, Some(error));
        told
    })
}

/// A class of Python that is a table.
macro_rules! is_table {
    ($class:ty) => {
        impl<'py> IntoPyObject<'py> for $class {
            type Target = Self;
            type Output = Bound<'py, Self>;
            type Error = PyErr;

            fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, Self>> {
                Bound::new(py, (self, $crate::table::Table))
            }
        }
    };
}
pub(crate) use is_table;
