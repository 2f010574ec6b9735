//! Results as tables: record batches in the schema of our Parquet logs, without texts, behind Arrow's C interface.

use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, ListArray, PrimitiveArray, RecordBatch, RecordBatchIterator, StringArray,
    StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use sortilege::{Distribution, Drawn, FinishReason, Logprobs, Sample, Status, TargetLogprob, TopLogprob};

use crate::columns::Columns;
use crate::errors::ParamsError;

/// A column: its name, its numbers, and whether any may be missing.
type Column = (&'static str, ArrayRef, bool);

/// The batch as a capsule that every reader of Arrow takes.
pub(crate) fn stream(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyAny>> {
    let schema = batch.schema();
    let batches = RecordBatchIterator::new([Ok::<_, ArrowError>(batch)], schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(batches));
    Ok(PyCapsule::new_with_value(py, stream, c"arrow_array_stream")?.into_any())
}

/// A row for each row of `logprobs`, with the token that was asked about.
pub(crate) fn logprobs(result: &Columns<Logprobs>, asked: &[Option<u32>]) -> PyResult<RecordBatch> {
    let rows = &result.rows;
    let of = || rows.iter().map(|row| &row.distribution);
    let targets = || rows.iter().map(|row| row.target.as_ref());
    let asked = (0..rows.len()).map(|row| asked.get(row).copied().flatten());
    let [request, position] = places(result.places());
    let columns: Vec<Column> = vec![
        ("request", request, false),
        ("position", position, false),
        ("status", statuses(of().map(|row| row.status)), false),
        ("token", numbers::<Int32Type>(asked.map(|token| token.map(u32::cast_signed))), true),
        ("logprob", numbers::<Float64Type>(targets().map(|target| Some(target?.logprob))), true),
        ("rank", numbers::<Int32Type>(targets().map(|target| Some(target?.rank().cast_signed()))), true),
        ("logsumexp", numbers::<Float64Type>(of().map(|row| number(row.logsumexp))), true),
        ("entropy", numbers::<Float64Type>(of().map(|row| number(row.entropy))), true),
        ("top", lists(of().map(|row| &row.top_logprobs[..]), &top)?, false),
        ("token_logprobs", given(of().map(Some))?, false),
    ];
    batch(columns)
}

/// A row for each row of `sample`, with its request and position.
pub(crate) fn samples(rows: &[Sample], requests: &[(u64, u64)]) -> PyResult<RecordBatch> {
    let rows = || rows.iter();
    let [request, position] = places(requests.iter().copied());
    let reasons = rows().map(|row| row.finish_reason.map(FinishReason::name));
    let columns: Vec<Column> = vec![
        ("request", request, false),
        ("position", position, false),
        ("status", statuses(rows().map(|row| row.status)), false),
        ("seed", numbers::<UInt64Type>(rows().map(|row| Some(row.seed))), false),
        ("stream", numbers::<Int64Type>(rows().map(|row| Some(row.stream.into()))), false),
        ("temperature", numbers::<Float64Type>(rows().map(|row| number(row.temperature))), true),
        ("kept", numbers::<Int32Type>(rows().map(|row| Some(row.kept.cast_signed()))), false),
        ("kept_mass", numbers::<Float64Type>(rows().map(|row| number(row.kept_mass))), true),
        ("draws", lists(rows().map(|row| &row.draws[..]), &draws)?, false),
        ("processed", distribution(rows().map(|row| Some(&row.processed)))?, false),
        ("raw", distribution(rows().map(|row| row.raw.as_ref()))?, true),
        ("finish_reason", Arc::new(StringArray::from_iter(reasons)), true),
    ];
    batch(columns)
}

fn batch(columns: Vec<Column>) -> PyResult<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(columns).map_err(failed)
}

fn places(places: impl Iterator<Item = (u64, u64)>) -> [ArrayRef; 2] {
    let (requests, positions): (Vec<u64>, Vec<u64>) = places.unzip();
    [requests, positions].map(|list| numbers::<Int64Type>(list.into_iter().map(|n| Some(n.cast_signed()))))
}

fn statuses(rows: impl Iterator<Item = Status>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.map(Status::name)))
}

/// A struct for each row that has such a distribution.
fn distribution<'a>(rows: impl Iterator<Item = Option<&'a Distribution>> + Clone) -> PyResult<ArrayRef> {
    let status = rows.clone().map(|row| row.map_or("", |row| row.status.name()));
    let columns = vec![
        ("status", Arc::new(StringArray::from_iter_values(status)) as ArrayRef, false),
        ("logsumexp", numbers::<Float64Type>(rows.clone().map(|row| number(row?.logsumexp))), true),
        ("entropy", numbers::<Float64Type>(rows.clone().map(|row| number(row?.entropy))), true),
        ("top", lists(rows.clone().map(|row| row.map_or(&[][..], |row| &row.top_logprobs)), &top)?, false),
        ("token_logprobs", given(rows.clone())?, false),
    ];
    structs(columns, Some(rows.map(|row| row.is_some()).collect()))
}

fn top(entries: &[&TopLogprob]) -> Vec<Column> {
    vec![
        ("token", numbers::<Int32Type>(entries.iter().map(|entry| Some(entry.token.cast_signed()))), false),
        ("logprob", numbers::<Float64Type>(entries.iter().map(|entry| Some(entry.logprob))), false),
    ]
}

fn draws(draws: &[&Drawn]) -> Vec<Column> {
    let raw = || draws.iter().map(|drawn| drawn.raw.as_ref());
    vec![
        ("token", numbers::<Int32Type>(draws.iter().map(|drawn| Some(drawn.token.cast_signed()))), false),
        ("logprob", numbers::<Float64Type>(draws.iter().map(|drawn| Some(drawn.logprob))), false),
        (
            "rank",
            numbers::<Int32Type>(draws.iter().map(|drawn| Some(drawn.processed.rank().cast_signed()))),
            false,
        ),
        ("raw_logprob", numbers::<Float64Type>(raw().map(|raw| Some(raw?.logprob))), true),
        ("raw_rank", numbers::<Int32Type>(raw().map(|raw| Some(raw?.rank().cast_signed()))), true),
    ]
}

/// Tokens that were asked for by their ids, with their logprobs among themselves.
fn given<'a>(rows: impl Iterator<Item = Option<&'a Distribution>>) -> PyResult<ArrayRef> {
    let pairs =
        |row: &Distribution| row.token_logprobs.iter().copied().zip(row.token_set_logprobs()).collect();
    let lists_of: Vec<Vec<(TargetLogprob, f64)>> = rows.map(|row| row.map_or_else(Vec::new, pairs)).collect();
    lists(lists_of.iter().map(Vec::as_slice), &|entries: &[&(TargetLogprob, f64)]| {
        let said = || entries.iter().map(|(token, _)| token);
        vec![
            ("token", numbers::<Int32Type>(said().map(|said| Some(said.token.cast_signed()))), false),
            ("logprob", numbers::<Float64Type>(said().map(|said| Some(said.logprob))), false),
            ("rank", numbers::<Int32Type>(said().map(|said| Some(said.rank().cast_signed()))), false),
            ("set_logprob", numbers::<Float64Type>(entries.iter().map(|(_, among)| Some(*among))), false),
        ]
    })
}

fn numbers<T: ArrowPrimitiveType>(numbers: impl Iterator<Item = Option<T::Native>>) -> ArrayRef {
    Arc::new(numbers.collect::<PrimitiveArray<T>>())
}

/// A list of structs for each row.
fn lists<'a, E: 'a>(
    rows: impl Iterator<Item = &'a [E]>,
    columns: &dyn Fn(&[&'a E]) -> Vec<Column>,
) -> PyResult<ArrayRef> {
    let mut lengths = Vec::new();
    let entries: Vec<&E> = rows.inspect(|row| lengths.push(row.len())).flatten().collect();
    let structs = structs(columns(&entries), None)?;
    let field = Arc::new(Field::new("element", structs.data_type().clone(), false));
    let offsets = OffsetBuffer::<i32>::try_from_lengths(lengths).map_err(|error| {
        ParamsError::new_err(format!(
            "{} entries are too many for one table ({error}): take fewer rows",
            entries.len()
        ))
    })?;
    Ok(Arc::new(ListArray::try_new(field, offsets, structs, None).map_err(failed)?))
}

fn structs(columns: Vec<Column>, nulls: Option<NullBuffer>) -> PyResult<ArrayRef> {
    let fields: Fields = columns
        .iter()
        .map(|(name, array, nullable)| Field::new(*name, DataType::clone(array.data_type()), *nullable))
        .collect();
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    Ok(Arc::new(StructArray::try_new(fields, arrays, nulls).map_err(failed)?))
}

/// What there is of a number that a row without a distribution has not.
fn number(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

fn failed(error: ArrowError) -> PyErr {
    ParamsError::new_err(error.to_string())
}
