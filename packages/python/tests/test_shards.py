"""A vocabulary in shards says what whole rows say, to the bit."""

import functools
import pickle

import numpy as np
import pytest

import sortilege

NAMES = [
    "status", "max", "logsumexp", "entropy", "target_tokens", "target_logprobs", "target_ranks", "top_tokens",
    "top_logits", "top_logprobs", "token_logprobs", "token_ranks", "token_set_logprobs",
]


def bits(found):
    """Every array of a result: its shape, and its bytes."""
    arrays = {name: getattr(found, name) for name in NAMES}
    return {name: (array.shape, array.tobytes()) for name, array in arrays.items()}


def merged(logits, shards, order, targets=None, token_ids=None, **asked):
    """What shards of the logits say, merged in this order."""
    vocab = logits.shape[-1]
    parts = [(logits[:, first:end], first, vocab) for first, end in sortilege.cut_vocab(vocab, shards)]
    keys = np.maximum.reduce([sortilege.shard_keys(*part, targets, token_ids) for part in parts])
    stats = [sortilege.shard_stats(*part, keys, targets, token_ids=token_ids, **asked) for part in parts]
    return functools.reduce(sortilege.ShardStats.merge, [stats[place] for place in order])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_shards_say_what_whole_rows_say(logits, dtype, order):
    logits = logits.astype(dtype)
    logits[2] = -np.inf
    logits[4, 5000] = np.nan
    targets, token_ids = [0, 9000, 8191, 8192, -1, 3, 4096], [4095, 17, 9000, 17]
    asked = {"top": 33, "temperature": 0.7, "entropy": True}
    stats = merged(logits, 3, order, targets, token_ids, **asked)
    whole = sortilege.logprobs(logits, targets, token_ids=token_ids, device="cpu", **asked)
    assert stats.is_whole and len(stats) == 7
    assert bits(stats.logprobs()) == bits(whole)
    logits[6, 8192] += 1  # the comparison sees another logit
    assert bits(stats.logprobs()) != bits(sortilege.logprobs(logits, targets, token_ids=token_ids, device="cpu", **asked))


@pytest.mark.parametrize("asked", [{}, {"top": 0}, {"token_ids": np.arange(9).reshape(3, 3) * 900, "top": 5000}])
def test_rows_that_are_none_and_lists_longer_than_a_tile(asked):
    logits = np.full((3, 8200), -np.inf, np.float32)
    for rows in [logits, np.where(np.arange(8200) % 3, logits, np.arange(8200, dtype=np.float32) / 64)]:
        assert bits(merged(rows, 2, [1, 0], **asked).logprobs()) == bits(sortilege.logprobs(rows, device="cpu", **asked))
    assert bits(merged(logits[:0], 2, [0, 1], top=4).logprobs()) == bits(sortilege.logprobs(logits[:0], top=4))


def test_statistics_travel(logits):
    stats = merged(logits, 2, [0, 1], targets=[5] * 7)
    assert pickle.loads(pickle.dumps(stats)) == stats
    assert sortilege.ShardStats.from_bytes(stats.to_bytes()) == stats
    assert stats != merged(logits, 2, [0, 1], targets=[6] * 7)
    for broken in [stats.to_bytes()[:-4], stats.to_bytes() + b"1234", b"", bytes(400)]:
        with pytest.raises(sortilege.ParamsError, match="no statistics of shards"):
            sortilege.ShardStats.from_bytes(broken)


def test_what_does_not_fit_is_refused(logits):
    with pytest.raises(sortilege.ParamsError, match="a cut at token 100 is no multiple of 4096"):
        sortilege.shard_stats(logits[:, 100:], 100, 9001)
    with pytest.raises(sortilege.ParamsError, match="cannot be cut into 4 shards"):
        sortilege.cut_vocab(9001, 4)
    first = sortilege.shard_stats(logits[:, :4096], 0, 9001)
    with pytest.raises(sortilege.ParamsError, match="from 4096 on are missing"):
        first.logprobs()
    with pytest.raises(sortilege.ParamsError, match="both have the tokens from 0 on"):
        first.merge(first)
    with pytest.raises(sortilege.ParamsError, match="ask every shard the same"):
        first.merge(sortilege.shard_stats(logits[:, 4096:], 4096, 9001, top=3))
    targets = [5] * 7
    keys = sortilege.shard_keys(logits[:, :4096], 0, 9001, targets)
    for wrong, message in [
        (None, "0 keys for 7 tokens"),
        (keys[:3], "3 keys for 7 tokens"),
        (keys.astype(np.int64) + 2**32, "keys hold"),
        (np.full(7, -(2**31)), "no shard knows the key of token 5"),
        (keys + 1, "take the maximum of keys"),
    ]:
        with pytest.raises(sortilege.ParamsError, match=message):
            sortilege.shard_stats(logits[:, :4096], 0, 9001, wrong, targets)
    with pytest.raises(sortilege.ParamsError, match="-1"):
        sortilege.shard_stats(logits[:, :4096], 0, 9001, top=-1)
