"""numpy: `argpartition`, a sort of the few, log-sum-exp."""

import numpy as np

from data import widen


def record(elements: np.ndarray, targets: np.ndarray, top: int) -> list[dict]:
    """Tokens, their logprobs, the target's logprob and rank, a dict per row."""
    return [row_record(widen(row), target, top) for row, target in zip(elements, targets)]


def row_record(row: np.ndarray, target: int, top: int) -> dict:
    tokens = np.argpartition(row, row.size - top)[row.size - top :]
    tokens = tokens[np.lexsort((tokens, -row[tokens]))]
    largest = row.max()
    logsumexp = float(largest) + float(np.log(np.exp(row - largest).sum(dtype=np.float64)))
    return {
        "tokens": tokens.tolist(),
        "logprobs": (row[tokens].astype(np.float64) - logsumexp).tolist(),
        "logprob": float(row[target]) - logsumexp,
        "rank": 1 + int(np.count_nonzero(row > row[target])),
    }
