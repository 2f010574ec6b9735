//! Parts of a vocabulary on several devices: what each says of its own tokens, and how it merges.

use std::ops::Range;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use sortilege::shard::{Shard, ShardQuery, ShardStats as Stats};
use sortilege::{Logits, LogprobsParams};

use crate::blocks::block_rows;
use crate::columns::shaped;
use crate::errors::{ParamsError, raised};
use crate::input::LogitsInput;
use crate::logprobs::Logprobs;
use crate::params::{count, whole};
use crate::threads::on_threads;
use crate::tokens::{AskedTokens, Whole};

/// Where each of so many shards begins and ends in a vocabulary, the end excluded: cut at multiples of 4096 tokens, as
/// `shard_stats` asks, as equal as these allow.
///
/// >>> import sortilege
/// >>> sortilege.cut_vocab(10000, 2)
/// [(0, 8192), (8192, 10000)]
#[pyfunction]
pub(crate) fn cut_vocab(
    vocab: &Bound<'_, PyAny>,
    shards: &Bound<'_, PyAny>,
) -> PyResult<Vec<(usize, usize)>> {
    let parts = Shard::cut(whole("vocab", vocab)?, whole("shards", shards)?).map_err(raised)?;
    Ok(parts.into_iter().map(|part| (part.start, part.end)).collect())
}

/// The logits of the tokens that are asked about as sortable int32, of one shard: the maximum over all shards, element by
/// element, is what `shard_stats` takes.
///
/// Parameters
/// ----------
/// logits : array of shape (..., tokens of the shard)
///     As `logprobs` takes them.
/// first_token, vocab : int
///     The shard has the tokens from `first_token` on, of `vocab`: `cut_vocab` says which.
/// targets, token_ids
///     As `logprobs` takes them, ids of the whole vocabulary. The same on every shard.
///
/// Returns
/// -------
/// array of shape (n,), int32
///     -2**31 for a token of another shard. `torch.distributed.all_reduce(keys, ReduceOp.MAX)` makes the maximum.
#[pyfunction]
#[pyo3(signature = (logits, first_token, vocab, targets = None, token_ids = None))]
pub(crate) fn shard_keys(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    first_token: &Bound<'_, PyAny>,
    vocab: &Bound<'_, PyAny>,
    targets: Option<&Bound<'_, PyAny>>,
    token_ids: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let input = LogitsInput::new(logits)?;
    let asked = AskedTokens::new(targets, token_ids, &input.shape)?;
    let shard = shard_of(input.logits()?, first_token, vocab)?;
    let lists = asked.lists_of(0..input.rows());
    let query = ShardQuery { targets: &asked.targets, token_ids: &lists, ..ShardQuery::default() };
    let keys = py.detach(|| shard.keys(&query)).map_err(raised)?;
    let length = keys.len();
    shaped(py, keys, &[length])
}

/// What one shard says of each row, in one read of its logits, by the CPU.
///
/// Parameters
/// ----------
/// logits, first_token, vocab, targets, token_ids
///     As `shard_keys` takes them.
/// keys : array of shape (n,), int32, optional
///     The maximum over all shards of what `shard_keys` gives; needed with targets or token ids.
/// top, temperature, entropy
///     As `logprobs` takes them. The same on every shard.
///
/// Returns
/// -------
/// ShardStats
///
/// Raises
/// ------
/// sortilege.ParamsError
///     The shard is not cut at multiples of 4096 tokens, or the keys are not those of the query.
///
/// Examples
/// --------
/// >>> import numpy as np, sortilege
/// >>> logits = np.random.default_rng(1).normal(0, 3, size=(2, 10000)).astype(np.float32)
/// >>> parts = [(logits[:, a:b], a, 10000) for a, b in sortilege.cut_vocab(10000, 2)]
/// >>> keys = np.maximum(*[sortilege.shard_keys(*part, targets=[5, 9999]) for part in parts])
/// >>> one, other = [sortilege.shard_stats(*part, keys, targets=[5, 9999]) for part in parts]
/// >>> found, whole = one.merge(other).logprobs(), sortilege.logprobs(logits, targets=[5, 9999])
/// >>> found.target_logprobs.tobytes() == whole.target_logprobs.tobytes()
/// True
#[pyfunction]
#[pyo3(signature = (logits, first_token, vocab, keys = None, targets = None, top = 20, token_ids = None, temperature = 1.0, *, entropy = false))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn shard_stats(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    first_token: &Bound<'_, PyAny>,
    vocab: &Bound<'_, PyAny>,
    keys: Option<&Bound<'_, PyAny>>,
    targets: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = count)] top: u32,
    token_ids: Option<&Bound<'_, PyAny>>,
    temperature: f32,
    entropy: bool,
) -> PyResult<ShardStats> {
    let input = LogitsInput::new(logits)?;
    let asked = AskedTokens::new(targets, token_ids, &input.shape)?;
    let logits = input.logits()?;
    let shard = shard_of(logits, first_token, vocab)?;
    let keys = keys.map_or(Ok(Vec::new()), own_keys)?;
    let params = LogprobsParams { top_logprobs: top, temperature, entropy };
    let lists = asked.lists_of(0..input.rows());
    let query = ShardQuery { params, targets: &asked.targets, token_ids: &lists };
    let (rows, block) = (input.rows(), block_rows(&logits));
    let of = |rows: Range<usize>| {
        let stats = py.detach(|| on_threads(|| shard.stats_of_rows(rows, &query, &keys)).flatten());
        stats.map_err(raised)
    };
    let mut stats = of(0..rows.min(block))?;
    for first in (block..rows).step_by(block) {
        py.check_signals()?;
        stats.append(of(first..rows.min(first + block))?).map_err(raised)?;
    }
    Ok(ShardStats { stats })
}

/// The shard of these logits.
fn shard_of<'a>(
    logits: Logits<'a>,
    first_token: &Bound<'_, PyAny>,
    vocab: &Bound<'_, PyAny>,
) -> PyResult<Shard<'a>> {
    Shard::new(logits, whole("first_token", first_token)?, whole("vocab", vocab)?).map_err(raised)
}

/// Keys as the library takes them.
fn own_keys(keys: &Bound<'_, PyAny>) -> PyResult<Vec<i32>> {
    let key = |&number: &i64| {
        i32::try_from(number).map_err(|_| {
            ParamsError::new_err(format!(
                "keys hold {number}: pass the maximum of what shard_keys gives, int32"
            ))
        })
    };
    Whole::new("keys", keys)?.numbers()?.iter().map(key).collect()
}

/// What the tokens of one shard, or of several that were merged, say of each row. It can be pickled.
#[pyclass(frozen, module = "sortilege")]
pub(crate) struct ShardStats {
    stats: Stats,
}

#[pymethods]
impl ShardStats {
    /// What both say together: in any order and any tree of shards the same bits.
    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        Ok(Self { stats: py.detach(|| self.stats.merge(&other.stats)).map_err(raised)? })
    }

    /// Whether every token of the vocabulary is here.
    #[getter]
    fn is_whole(&self) -> bool {
        self.stats.is_whole()
    }

    /// What each row of the whole vocabulary says, a `Logprobs` of shape (rows,): the bits that `logprobs` gives for it.
    fn logprobs(&self, py: Python<'_>) -> PyResult<Logprobs> {
        py.detach(|| Logprobs::of_shards(&self.stats)).map_err(raised)
    }

    /// As bytes, which `from_bytes` reads on any machine.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.stats.to_bytes()))
    }

    /// Out of these bytes.
    #[classmethod]
    fn from_bytes(class: &Bound<'_, PyType>, bytes: &[u8]) -> PyResult<Self> {
        Ok(Self { stats: class.py().detach(|| Stats::from_bytes(bytes)).map_err(raised)? })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py),)))
    }

    fn __len__(&self) -> usize {
        self.stats.rows()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.stats == other.stats
    }

    fn __repr__(&self) -> String {
        let Self { stats } = self;
        let extent = if stats.is_whole() { "all" } else { "some" };
        format!("<sortilege.ShardStats of {} rows, {extent} of vocab {}>", stats.rows(), stats.vocab())
    }
}
