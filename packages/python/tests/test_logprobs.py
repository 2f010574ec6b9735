"""`logprobs`, `log_softmax` and `top_k` beside the definition."""

import numpy as np
import pytest
from conftest import log_softmax, order

import sortilege

LIMIT = 1e-6  # nats


def agrees(found, logits, targets, top, temperature=1.0):
    """Whether a result is what the definition says."""
    expected = log_softmax(logits, temperature)
    for row, (values, logprobs) in enumerate(zip(logits.astype(np.float32), expected)):
        best = order(values)[:top]
        if found.top_tokens[row].tolist() != best.tolist():
            return False
        if np.abs(found.top_logprobs[row] - logprobs[best]).max() > LIMIT:
            return False
        if found.target_ranks[row] != 1 + (values > values[targets[row]]).sum():
            return False
        if abs(found.target_logprobs[row] - logprobs[targets[row]]) > LIMIT:
            return False
    return True


@pytest.mark.parametrize("temperature", [1.0, 0.7, 3.0])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_is_what_the_definition_says(logits, dtype, temperature):
    logits = logits.astype(dtype)
    targets = [0, 9000, 17, 4096, 4095, 3, 8191]
    found = sortilege.logprobs(logits, targets, top=33, temperature=temperature)
    assert agrees(found, logits, targets, 33, temperature)
    # The check sees a wrong row, a wrong target and a wrong temperature.
    assert not agrees(found, logits[::-1], targets, 33, temperature)
    assert not agrees(found, logits, targets[::-1], 33, temperature)
    assert not agrees(found, logits, targets, 33, temperature * 1.001)


def test_arrays_have_the_shape_of_the_rows(logits):
    for shape, targets in [((), 5), ((7,), [5] * 7), ((7, 1), [[5]] * 7), ((1, 7, 1), [[[5]] * 7])]:
        rows = (logits[3] if shape == () else logits).reshape(*shape, 9001)
        found = sortilege.logprobs(rows, targets, top=4, token_ids=[8, 0, 8], entropy=True)
        for name in ["status", "max", "logsumexp", "entropy", "target_tokens", "target_logprobs", "target_ranks"]:
            assert getattr(found, name).shape == shape, name
        for name in ["top_tokens", "top_logits", "top_logprobs"]:
            assert getattr(found, name).shape == (*shape, 4), name
        for name in ["token_logprobs", "token_ranks", "token_set_logprobs"]:
            assert getattr(found, name).shape == (*shape, 3), name
        assert sortilege.log_softmax(rows).shape == rows.shape
    assert sortilege.logprobs(logits[:0], top=4).top_tokens.shape == (0, 4)
    assert len(sortilege.logprobs(logits)) == 7


def test_tokens_that_are_asked_for(logits):
    expected = log_softmax(logits)
    asked = np.arange(21).reshape(7, 3) * 400
    found = sortilege.logprobs(logits, token_ids=asked, entropy=True)
    assert np.abs(found.token_logprobs - np.take_along_axis(expected, asked, 1)).max() < LIMIT
    among = found.token_logprobs - np.log(np.exp(found.token_logprobs).sum(axis=1, keepdims=True))
    assert np.abs(found.token_set_logprobs - among).max() < 1e-12
    larger = (logits[:, None, :] > np.take_along_axis(logits, asked, 1)[:, :, None]).sum(axis=2)
    assert (found.token_ranks == 1 + larger).all()
    assert np.abs(found.entropy + (np.exp(expected) * expected).sum(axis=1)).max() < LIMIT
    assert np.isnan(sortilege.logprobs(logits).entropy).all()


def test_of_equal_logits_the_smaller_token_comes_first():
    values, tokens = sortilege.top_k(np.float32([[3, 5, 5, -np.inf, 5]]), 5)
    assert tokens.tolist() == [[1, 2, 4, 0, -1]] and values[0, 4] == -np.inf
    assert sortilege.logprobs(np.zeros(50, np.float16), top=3).top_tokens.tolist() == [0, 1, 2]


def test_a_row_that_is_none_says_so():
    logits = np.zeros((4, 5), np.float32)
    logits[1, 2], logits[2, 4], logits[3] = np.nan, np.inf, -np.inf
    found = sortilege.logprobs(logits, targets=[1, 1, 1, -100], top=2)
    S = sortilege.Status
    assert found.status.tolist() == [S.OK, S.NAN, S.POSITIVE_INFINITY, S.NOTHING_FINITE]
    assert np.isnan(found.logsumexp).tolist() == [False, True, True, True]
    assert found.target_ranks.tolist() == [1, 0, 0, 0] and found.target_tokens.tolist() == [1, 1, 1, -1]
    assert found.top_tokens.tolist() == [[0, 1], [-1, -1], [-1, -1], [-1, -1]]
    for lists in [found.top_logprobs, found.top_logits]:
        assert np.isnan(lists).tolist() == [[False] * 2, *[[True] * 2] * 3]
    alone = sortilege.logprobs(np.float32([1, -np.inf]), top=2)
    assert alone.top_logprobs.tolist() == [0, -np.inf] and alone.top_logits.tolist() == [1, -np.inf]
    drawn = sortilege.sample(logits, {"raw_logprobs": 2, "processed_logprobs": 1})
    for lists in [drawn.top_logprobs, drawn.raw_top_logprobs]:
        assert np.isnan(lists).all(axis=1).tolist() == np.isnan(lists).any(axis=1).tolist() == [False, True, True, True]
    assert np.isnan(sortilege.log_softmax(logits)[1]).all()


def test_log_softmax_and_divergence(logits):
    expected = log_softmax(logits)
    assert np.abs(sortilege.log_softmax(logits) - expected)[expected > np.log(1e-9)].max() < 3e-6
    other = (logits * 0.9).astype(np.float16)
    q = log_softmax(other)
    kl, reverse_kl, js = sortilege.divergence(logits, other)
    assert np.abs(kl - (np.exp(expected) * (expected - q)).sum(axis=1)).max() < 2e-6
    assert np.abs(reverse_kl - (np.exp(q) * (q - expected)).sum(axis=1)).max() < 2e-6
    assert (sortilege.divergence(logits, logits)[0] == 0).all() and (js > 0).all()


def test_the_bits_are_those_of_one_row_at_a_time(logits):
    together = sortilege.logprobs(logits, top=9)
    for row in range(7):
        alone = sortilege.logprobs(logits[row], top=9)
        assert together.logsumexp[row].tobytes() == alone.logsumexp.tobytes()
        assert together.top_logprobs[row].tobytes() == alone.top_logprobs.tobytes()


@pytest.mark.parametrize(
    "words, call",
    [
        ("top_logprobs 1048577 is over", lambda x: sortilege.logprobs(x, top=2**20 + 1)),
        ("temperature 0 is outside", lambda x: sortilege.logprobs(x, temperature=0)),
        ("temperature NaN", lambda x: sortilege.logprobs(x[:0], temperature=np.nan)),
        ("9001", lambda x: sortilege.logprobs(x, targets=[9001] * 7)),
        ("targets hold -7 for row 2, which is no token id", lambda x: sortilege.logprobs(x, targets=[1, -1, -7, 4, 5, 6, 7])),
        ("token_ids hold -7 for row 1, which is no token id", lambda x: sortilege.logprobs(x[:2], token_ids=[[1, 2], [3, -7]])),
        (r"targets of shape \[3\] do not fit logits of shape \[7\]", lambda x: sortilege.logprobs(x, targets=[1, 2, 3])),
        (r"token_ids of shape \[2, 2\]", lambda x: sortilege.logprobs(x, token_ids=[[1, 2], [3, 4]])),
        ("1024", lambda x: sortilege.logprobs(x, token_ids=range(1025))),
        (r"the first logits have shape \[7, 9001\], the second \[6, 9001\]", lambda x: sortilege.divergence(x, x[1:])),
    ],
)
def test_what_is_out_of_range_is_an_error(logits, words, call):
    with pytest.raises(sortilege.ParamsError, match=words) as raised:
        call(logits)
    assert isinstance(raised.value, ValueError) and isinstance(raised.value, sortilege.Error)
