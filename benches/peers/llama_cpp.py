"""llama.cpp's sampler for a draw from the whole distribution, through the C interface of its library."""

import ctypes
import os
from pathlib import Path

import numpy as np

from data import widen

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates(ctypes.Structure):
    """`llama_token_data_array`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    ]


def path() -> Path | None:
    """The library that `run` unpacked, if it is there."""
    target = Path(os.environ.get("PEERS_TARGET", "target/peers"))
    return next((target / "llama/package/bins/linux-x64").glob("libllama.v*.so"), None)


def library() -> ctypes.CDLL:
    library = path()
    if library is None:
        raise FileNotFoundError("llama.cpp's library is not there: `run` fetches it with npm")
    llama = ctypes.CDLL(str(library))
    llama.llama_sampler_init_dist.restype = ctypes.c_void_p
    llama.llama_sampler_init_dist.argtypes = [ctypes.c_uint32]
    llama.llama_sampler_apply.restype = None
    llama.llama_sampler_apply.argtypes = [ctypes.c_void_p, ctypes.POINTER(Candidates)]
    return llama


class Sampler:
    """One sampler, and the candidates of one row, filled anew for each draw as llama.cpp does."""

    def __init__(self, elements: np.ndarray) -> None:
        self.elements = elements
        self.llama = library()
        self.sampler = self.llama.llama_sampler_init_dist(1)
        self.tokens = np.arange(elements.shape[1], dtype=np.int32)
        self.candidates = np.empty(elements.shape[1], CANDIDATE)

    def draw(self) -> list[int]:
        """One token per row."""
        return [self.draw_row(row) for row in self.elements]

    def draw_row(self, row: np.ndarray) -> int:
        self.candidates["id"] = self.tokens
        self.candidates["logit"] = widen(row)
        self.candidates["p"] = 0
        given = Candidates(self.candidates.ctypes.data, self.candidates.size, -1, False)
        self.llama.llama_sampler_apply(self.sampler, ctypes.byref(given))
        return int(self.candidates["id"][given.selected])
