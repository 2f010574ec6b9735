//! `sortilege.SamplingParams` of Python as parameters of the library: field by field, by their names.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use sortilege::{Dry, Mirostat, Order, SamplingParams, SamplingStep};

use crate::errors::{ParamsError, raised};

/// Takes the fields of these names from an object of Python.
macro_rules! take {
    ($params:ident from $object:ident: $($name:ident)*) => {
        $($params.$name = field($object, stringify!($name))?;)*
    };
}

/// The parameters that an object of these fields says.
pub(crate) fn params(object: &Bound<'_, PyAny>) -> PyResult<SamplingParams> {
    let mut params = SamplingParams::default();
    take!(params from object:
        temperature dynatemp_range dynatemp_exponent top_k top_p min_p typical_p top_n_sigma p_less top_h top_a
        epsilon_cutoff eta_cutoff xtc_threshold xtc_probability xtc_exempt_token_ids repetition_penalty presence_penalty
        frequency_penalty penalty_last_n penalty_exempt_token_ids no_repeat_ngram_size no_repeat_ngram_window bad_words
        min_tokens max_tokens stop_token_ids allowed_token_ids seed stream n raw_logprobs processed_logprobs
        logprob_token_ids entropy
    );
    let bias: std::collections::BTreeMap<u32, f32> = field(object, "logit_bias")?;
    params.logit_bias = bias.into_iter().collect();
    params.order = order(&object.getattr("order")?)?;
    if let Some(mirostat) = inner(object, "mirostat", "Mirostat")? {
        params.mirostat = Some(Mirostat { tau: field(&mirostat, "tau")?, eta: field(&mirostat, "eta")? });
    }
    if let Some(fields) = inner(object, "dry", "Dry")? {
        let fields = &fields;
        let mut dry = Dry::default();
        take!(dry from fields: multiplier base allowed_length last_n sequence_breakers);
        params.dry = Some(dry);
    }
    Ok(params)
}

/// The parameters of what anybody gives for them: ours, those of vLLM or Transformers, a mapping, or nothing.
pub(crate) fn any_params(object: &Bound<'_, PyAny>) -> PyResult<SamplingParams> {
    params(&module(object.py())?.call_method1("as_params", (object,))?)
}

/// The parameters of one request: who asks for several sequences is told to make several.
pub(crate) fn params_of_request(object: &Bound<'_, PyAny>) -> PyResult<SamplingParams> {
    params(&module(object.py())?.call_method1("params_of_request", (object,))?)
}

/// Where the classes of parameters are.
fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("sortilege._params")
}

/// The parameters of this class in the field of this name, if there are any.
fn inner<'py>(object: &Bound<'py, PyAny>, name: &str, class: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let value: Option<Bound<'py, PyAny>> = field(object, name)?;
    match value {
        Some(value) if !value.is_instance(&module(object.py())?.getattr(class)?)? => {
            Err(PyTypeError::new_err(format!("{name}={value}: pass sortilege.{class}, or None")))
        }
        value => Ok(value),
    }
}

fn field<'py, T: for<'a> FromPyObject<'a, 'py>>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<T> {
    let value = object.getattr(name)?;
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        let cause = error.value(object.py());
        // A whole number that is negative or too large is of the right type.
        if error.is_instance_of::<PyOverflowError>(object.py()) {
            ParamsError::new_err(format!(
                "{name}={value} is out of range ({cause}): tokens and counts are 0 or more and below 2**32; seed, \
                 min_tokens and max_tokens are below 2**64"
            ))
        } else {
            PyTypeError::new_err(format!("{name}={value}: {cause}"))
        }
    })
}

/// A number of tokens to list.
pub(crate) fn count(object: &Bound<'_, PyAny>) -> PyResult<u32> {
    in_range(object, || format!("{object} tokens cannot be listed: pass 0 or more, at most 2**20"))
}

/// The whole number in an argument of this name.
pub(crate) fn whole<'py, T>(name: &str, object: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let (py, bits) = (object.py(), 8 * size_of::<T>());
    let number =
        in_range(object, || format!("{name} {object} is out of range: pass 0 or more, below 2**{bits}"));
    number.map_err(|error| {
        if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(format!("{name}={object}: {}", error.value(py)))
        } else {
            error
        }
    })
}

/// A whole number: one that is negative or too large is of the right type, and out of range as any other parameter.
fn in_range<'py, T>(object: &Bound<'py, PyAny>, message: impl FnOnce() -> String) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    object.extract::<T>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(object.py()) {
            ParamsError::new_err(message())
        } else {
            error
        }
    })
}

/// `"vllm"`, `"llama"`, or a list of steps by their names.
fn order(value: &Bound<'_, PyAny>) -> PyResult<Order> {
    if let Ok(name) = value.extract::<String>() {
        return match &name[..] {
            "vllm" => Ok(Order::Vllm),
            "llama" => Ok(Order::Llama),
            _ => Err(ParamsError::new_err(format!(
                "order {name:?} is neither \"vllm\" nor \"llama\": pass one of them, or a list of steps"
            ))),
        };
    }
    let step =
        |name: String| name.parse::<SamplingStep>().map_err(|error| ParamsError::new_err(error.to_string()));
    let names: Vec<String> = value.extract()?;
    Ok(Order::List(names.into_iter().map(step).collect::<PyResult<_>>()?))
}

/// Nothing, if every field is in its range.
#[pyfunction]
pub(crate) fn validate_params(object: &Bound<'_, PyAny>) -> PyResult<()> {
    params(object)?.validate().map_err(raised)
}
