"""The definition in float64, and logits of every kind."""

import numpy as np
import pytest


def log_softmax(logits, temperature=1.0):
    """The definition in float64."""
    scaled = np.asarray(logits).astype(np.float64) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def order(row):
    """All tokens: logit descending, then token ascending."""
    return np.lexsort((np.arange(row.size), -row.astype(np.float64)))


@pytest.fixture
def logits():
    """Rows with ties: rounded to sixteenths."""
    drawn = np.random.default_rng(11).normal(0, 3, size=(7, 9001))
    return (np.round(drawn * 16) / 16).astype(np.float32)
