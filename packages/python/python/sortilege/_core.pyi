"""Types of the compiled half. What things mean is in their docstrings: `help(sortilege.logprobs)`."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt
import pandas
import polars
import pyarrow

from ._params import SamplingParams

class SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

Logits: TypeAlias = npt.ArrayLike | SupportsDLPack
Tokens: TypeAlias = npt.ArrayLike
Params: TypeAlias = SamplingParams | Mapping[str, Any] | Any | None
TokenBytes: TypeAlias = Sequence[bytes | None]
Path: TypeAlias = str | PathLike[str]

U8: TypeAlias = npt.NDArray[np.uint8]
I32: TypeAlias = npt.NDArray[np.int32]
U64: TypeAlias = npt.NDArray[np.uint64]
F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]

class Adapter(TypedDict):
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
    status: U8
    max: F32
    logsumexp: F64
    entropy: F64
    target_tokens: I32
    target_logprobs: F64
    target_ranks: I32
    top_tokens: I32
    top_logits: F32
    top_logprobs: F64
    token_logprobs: F64
    token_ranks: I32
    token_set_logprobs: F64

@final
class Samples(_Table):
    device: str
    places: list[tuple[int, int]]
    status: U8
    tokens: I32
    logprobs: F64
    ranks: I32
    raw_logprobs: F64
    raw_ranks: I32
    draws: I32
    draw_logprobs: F64
    seed: U64
    temperature: F64
    kept: I32
    kept_mass: F64
    entropy: F64
    top_tokens: I32
    top_logprobs: F64
    raw_top_tokens: I32
    raw_top_logprobs: F64
    def __getitem__(self, row: int) -> Samples: ...
    def __iter__(self) -> Iterator[Samples]: ...

@final
class Request:
    params: Any
    seed: int
    output: list[int]
    position: int
    mu: float
    def __init__(self, params: Params = None, prompt: Tokens | None = None) -> None: ...
    def accept(self, samples: Samples) -> None: ...
    def accept_token(self, token: int) -> None: ...
    def set_params(self, params: Params) -> None: ...

@final
class Comparison:
    device: str
    kld: F64
    reverse_kld: F64
    jsd: F64
    overlap: F64
    entropy: F64
    choices: I32
    target_logprobs: F64
    def report(self) -> dict[str, float]: ...
    def __getitem__(self, name: str) -> float: ...

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

_Parts: TypeAlias = Logprobs | Samples | Sequence[Logprobs] | Sequence[Samples]

def logprobs(
    logits: Logits,
    targets: Tokens | None = None,
    top: int = 20,
    token_ids: Tokens | None = None,
    temperature: float = 1.0,
    device: str = "auto",
    *,
    entropy: bool = False,
    progress: bool = False,
) -> Logprobs: ...
def sample(
    logits: Logits,
    params: Params | Request | Sequence[Params | Request] = None,
    *,
    positions: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Samples: ...
def log_softmax(logits: Logits, device: str = "auto", *, progress: bool = False) -> F32: ...
def top_k(logits: Logits, k: int, device: str = "auto", *, progress: bool = False) -> tuple[F32, I32]: ...
def divergence(first: Logits, second: Logits, device: str = "auto", *, progress: bool = False) -> tuple[F64, F64, F64]: ...
def compare(
    first: Logits,
    second: Logits,
    targets: Tokens | None = None,
    top: int = 10,
    device: str = "auto",
    *,
    progress: bool = False,
) -> Comparison: ...
def score(logits: Logits, tokens: Tokens, temperature: float = 1.0, device: str = "auto") -> Score: ...
def write_log(path: Path, result: _Parts, format: str | None = None, token_bytes: TokenBytes | None = None) -> None: ...
def audit(path: Path, result: _Parts, token_bytes: TokenBytes | None = None) -> AuditReport: ...
def devices(gl: bool = False) -> list[Adapter]: ...
def get_num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def validate_params(object: object) -> None: ...
