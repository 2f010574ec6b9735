"""llama.cpp's sampler for a draw from the whole distribution, through the C interface of its library.

Its programs fill the candidates from f32 logits in one loop in C++; here numpy fills them, a field at a time, which takes longer.
So the fill is timed alone as well, and only f32 is given.
"""

import ctypes
import os
from pathlib import Path

import numpy as np

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
    """One sampler, and the candidates of one row, filled anew for each draw since the sampler changes them."""

    def __init__(self, elements: np.ndarray) -> None:
        if elements.dtype != np.float32:
            raise ValueError(f"llama.cpp takes f32 logits, these are {elements.dtype}")
        self.elements = elements
        self.llama = library()
        self.sampler = self.llama.llama_sampler_init_dist(1)
        self.tokens = np.arange(elements.shape[1], dtype=np.int32)
        self.candidates = np.empty(elements.shape[1], CANDIDATE)

    def draw(self) -> list[int]:
        """One token per row."""
        return [self.draw_row(row) for row in self.elements]

    def fill(self) -> None:
        """What `draw` does before it samples, for every row."""
        for row in self.elements:
            self.fill_row(row)

    def fill_row(self, row: np.ndarray) -> None:
        self.candidates["id"] = self.tokens
        self.candidates["logit"] = row
        self.candidates["p"] = 0

    def draw_row(self, row: np.ndarray) -> int:
        self.fill_row(row)
        given = Candidates(self.candidates.ctypes.data, self.candidates.size, -1, False)
        self.llama.llama_sampler_apply(self.sampler, ctypes.byref(given))
        return int(self.candidates["id"][given.selected])
