"""Logits [rows][vocab] from a fixed seed, as .npy files that every program reads.

A row depends on (seed, row, vocab) alone, so a file of few rows is the head of a file of many.
"""

from pathlib import Path

import numpy as np

DTYPES = ("f32", "f16", "bf16")
KINDS = ("normal", "peaked", "tied")
SEED = 20261121

ELEMENT_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


def values(kind: str, rows: int, vocab: int) -> np.ndarray:
    """[rows][vocab] f32: normal(0, 3); the same with a few likely tokens; or rounded to bf16, so that values tie."""
    return np.stack([row_values(kind, row, vocab) for row in range(rows)])


def row_values(kind: str, row: int, vocab: int) -> np.ndarray:
    rng = np.random.default_rng([SEED, row, vocab])
    out = rng.standard_normal(vocab, dtype=np.float32) * np.float32(3)
    if kind == "peaked":
        likely = rng.choice(vocab, size=min(8, vocab), replace=False)
        out[likely] = 16 + 8 * rng.random(likely.size, dtype=np.float32)
    elif kind == "tied":
        out = widen(to_bf16(out))
    elif kind != "normal":
        raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
    return out


def to_bf16(array: np.ndarray) -> np.ndarray:
    """Finite f32 to the nearest bf16, ties to even, as u16."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """f32 values as the elements of a file: f32, f16, or the two bytes of bf16 as u16."""
    return {"f32": lambda: array, "f16": lambda: array.astype(np.float16), "bf16": lambda: to_bf16(array)}[dtype]()


def widen(array: np.ndarray) -> np.ndarray:
    """Elements of a file as f32, exactly."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32, copy=False)


def write(path: Path, elements: np.ndarray) -> None:
    """A .npy file; bf16 as two raw bytes, as ml_dtypes does: `sortilege` reads it with `--dtype bf16`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    with open(beside, "wb") as file:
        np.save(file, elements.view("V2") if elements.dtype == np.uint16 else elements)
    beside.rename(path)


def read(path: Path) -> np.ndarray:
    """The elements of a file of `write`, in memory; bf16 as u16."""
    elements = np.load(path)
    return elements.view(np.uint16) if elements.dtype.kind == "V" else elements


def make(folder: Path, kind: str, rows: int, vocab: int, dtypes: tuple[str, ...]) -> dict[str, Path]:
    """A file per dtype, made where it is not there yet."""
    paths = {dtype: folder / f"{kind}-{rows}x{vocab}-{dtype}.npy" for dtype in dtypes}
    missing = [dtype for dtype, path in paths.items() if not path.exists()]
    if missing:
        array = values(kind, rows, vocab)
        for dtype in missing:
            write(paths[dtype], stored(array, dtype))
    return paths


def targets(rows: int, vocab: int) -> list[int]:
    """A token of each row whose logprob and rank are asked."""
    return [(row * 7919 + 17) % vocab for row in range(rows)]
