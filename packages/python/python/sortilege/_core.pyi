"""Types of the compiled half. What things mean is in their docstrings: `help(sortilege.logprobs)`."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt
import pandas
import polars
import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]

from ._params import SamplingParams

__all__ = [
    "AuditReport",
    "Comparison",
    "Logprobs",
    "Request",
    "Samples",
    "Score",
    "ShardStats",
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
    "validate_params",
    "write_log",
]

class _SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

_Logits: TypeAlias = npt.ArrayLike | _SupportsDLPack
_Tokens: TypeAlias = npt.ArrayLike
_Params: TypeAlias = SamplingParams | Mapping[str, Any] | Any | None
_TokenBytes: TypeAlias = Sequence[bytes | None]
_Path: TypeAlias = str | PathLike[str]

_U8: TypeAlias = npt.NDArray[np.uint8]
_I32: TypeAlias = npt.NDArray[np.int32]
_U64: TypeAlias = npt.NDArray[np.uint64]
_F32: TypeAlias = npt.NDArray[np.float32]
_F64: TypeAlias = npt.NDArray[np.float64]

class _Adapter(TypedDict):
    id: str
    name: str
    backend: str
    driver: str
    is_software: bool
    unfit: str | None

class _Table:
    def __len__(self) -> int: ...
    def _repr_html_(self) -> str: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def to_arrow(self) -> pyarrow.Table: ...
    def to_pandas(self) -> pandas.DataFrame: ...
    def to_polars(self) -> polars.DataFrame: ...

@final
class Logprobs(_Table):
    device: str
    temperature: float
    vocab: int
    status: _U8
    max: _F32
    logsumexp: _F64
    entropy: _F64
    target_tokens: _I32
    target_logprobs: _F64
    target_ranks: _I32
    top_tokens: _I32
    top_logits: _F32
    top_logprobs: _F64
    token_logprobs: _F64
    token_ranks: _I32
    token_set_logprobs: _F64

@final
class Samples(_Table):
    device: str
    places: list[tuple[int, int]]
    status: _U8
    finish_reason: npt.NDArray[np.object_]
    tokens: _I32
    logprobs: _F64
    ranks: _I32
    raw_logprobs: _F64
    raw_ranks: _I32
    draws: _I32
    draw_logprobs: _F64
    seed: _U64
    temperature: _F64
    kept: _I32
    kept_mass: _F64
    entropy: _F64
    top_tokens: _I32
    top_logprobs: _F64
    raw_top_tokens: _I32
    raw_top_logprobs: _F64
    def __getitem__(self, row: int, /) -> Samples: ...
    def __iter__(self) -> Iterator[Samples]: ...

@final
class Request:
    params: Any
    seed: int
    output: list[int]
    position: int
    finish_reason: Literal["stop", "length"] | None
    mu: float
    def __new__(cls, params: _Params = None, prompt: _Tokens | None = None) -> Request: ...
    def accept(self, samples: Samples) -> None: ...
    def accept_token(self, token: int) -> None: ...
    def set_params(self, params: _Params) -> None: ...

@final
class Comparison:
    device: str
    kld: _F64
    reverse_kld: _F64
    jsd: _F64
    overlap: _F64
    entropy: _F64
    choices: _I32
    target_logprobs: _F64
    def report(self) -> dict[str, float]: ...
    def __getitem__(self, name: str, /) -> float: ...

@final
class Score:
    total: float
    per_token: float
    perplexity: float
    is_greedy: bool | None
    least_likely: int | None
    logprobs: list[float]
    ranks: list[int]
    def per_byte(self, bytes: int) -> float: ...

@final
class AuditReport:
    follows: bool
    records: int
    differing: int
    first: str | None

@final
class ShardStats:
    is_whole: bool
    def merge(self, other: ShardStats) -> ShardStats: ...
    def logprobs(self) -> Logprobs: ...
    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, bytes: bytes) -> ShardStats: ...
    def __len__(self) -> int: ...

_Parts: TypeAlias = Logprobs | Samples | Sequence[Logprobs] | Sequence[Samples]

def logprobs(
    logits: _Logits,
    targets: _Tokens | None = None,
    top: int = 20,
    token_ids: _Tokens | None = None,
    temperature: float = 1.0,
    device: str = "auto",
    *,
    entropy: bool = False,
    progress: bool = False,
) -> Logprobs: ...
def sample(
    logits: _Logits,
    params: _Params | Request | Sequence[_Params | Request] = None,
    *,
    positions: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Samples: ...
def log_softmax(logits: _Logits, device: str = "auto", *, progress: bool = False) -> _F32: ...
def top_k(logits: _Logits, k: int, device: str = "auto", *, progress: bool = False) -> tuple[_F32, _I32]: ...
def divergence(first: _Logits, second: _Logits, device: str = "auto", *, progress: bool = False) -> tuple[_F64, _F64, _F64]: ...
def compare(
    first: _Logits,
    second: _Logits,
    targets: _Tokens | None = None,
    top: int = 10,
    device: str = "auto",
    *,
    progress: bool = False,
) -> Comparison: ...
def compare_logs(first: _Path, second: _Path, top: int = 10) -> Comparison: ...
def score(logits: _Logits, tokens: _Tokens, temperature: float = 1.0, device: str = "auto") -> Score: ...
def cut_vocab(vocab: int, shards: int) -> list[tuple[int, int]]: ...
def shard_keys(
    logits: _Logits,
    first_token: int,
    vocab: int,
    targets: _Tokens | None = None,
    token_ids: _Tokens | None = None,
) -> _I32: ...
def shard_stats(
    logits: _Logits,
    first_token: int,
    vocab: int,
    keys: npt.ArrayLike | None = None,
    targets: _Tokens | None = None,
    top: int = 20,
    token_ids: _Tokens | None = None,
    temperature: float = 1.0,
    *,
    entropy: bool = False,
) -> ShardStats: ...
def write_log(path: _Path, result: _Parts, format: str | None = None, token_bytes: _TokenBytes | None = None) -> None: ...
def audit(path: _Path, result: _Parts, token_bytes: _TokenBytes | None = None) -> AuditReport: ...
def devices(gl: bool = False) -> list[_Adapter]: ...
def get_num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def validate_params(object: object) -> None: ...
