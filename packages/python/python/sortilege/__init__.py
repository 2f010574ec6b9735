"""Token probabilities and draws from logits, the same bits on every device: arrays in, tables out.

>>> import numpy as np, sortilege
>>> logits = np.random.default_rng(1).normal(size=(4, 32000)).astype(np.float32)
>>> found = sortilege.logprobs(logits, targets=[1, 2, 3, 4], top=5)
>>> found.top_tokens.shape, found.target_ranks.dtype.name
((4, 5), 'int32')
>>> sortilege.sample(logits, sortilege.SamplingParams(top_p=0.95, seed=7)).tokens.tolist()
[20813, 28493, 3495, 4602]
"""

from enum import IntEnum as _IntEnum

from ._core import (
    AuditReport,
    Comparison,
    Logprobs,
    Request,
    Samples,
    Score,
    ShardStats,
    audit,
    compare,
    compare_logs,
    cut_vocab,
    devices,
    divergence,
    get_num_threads,
    log_softmax,
    logprobs,
    sample,
    score,
    set_num_threads,
    shard_keys,
    shard_stats,
    top_k,
    write_log,
)
from ._errors import DeviceError, Error, LogError, LogFileError, LogitsError, ParamsError
from ._html import HeatMap
from ._params import Dry, Mirostat, SamplingParams, as_params


class Status(_IntEnum):
    """Whether a row is a distribution, and if not why."""

    OK = 0
    """At least one finite logit, no NaN and no +infinity."""
    NAN = 1
    """The row holds a NaN."""
    POSITIVE_INFINITY = 2
    """The row holds +infinity, and no NaN."""
    NOTHING_FINITE = 3
    """Every logit is -infinity: no token is possible."""
    FINISHED = 4
    """The request had finished before the row, which nobody looked at."""


__all__ = [
    "AuditReport",
    "Comparison",
    "DeviceError",
    "Dry",
    "Error",
    "HeatMap",
    "LogError",
    "LogFileError",
    "LogitsError",
    "Logprobs",
    "Mirostat",
    "ParamsError",
    "Request",
    "Samples",
    "SamplingParams",
    "Score",
    "ShardStats",
    "Status",
    "as_params",
    "audit",
    "compare",
    "compare_logs",
    "cut_vocab",
    "devices",
    "divergence",
    "get_num_threads",
    "log_softmax",
    "logprobs",
    "sample",
    "score",
    "set_num_threads",
    "shard_keys",
    "shard_stats",
    "top_k",
    "write_log",
]
