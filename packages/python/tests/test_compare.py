"""`compare` and `score` beside the definition."""

import numpy as np
import pytest
from conftest import log_softmax

import sortilege


def test_compare_is_what_the_definition_says(logits):
    other = (logits * 0.8).astype(np.float16)
    targets = [5, 100, 2, 3, 4, 9000, -100]
    found = sortilege.compare(logits, other, targets, top=5)
    p, q = log_softmax(logits), log_softmax(other)
    kld = (np.exp(p) * (p - q)).sum(axis=1)
    assert np.abs(found.kld - kld).max() < 2e-6 and abs(found["kld_mean"] - kld.mean()) < 2e-6
    assert found.reverse_kld.shape == found.jsd.shape == found.overlap.shape == (7,)
    assert (found.choices == np.stack([logits.argmax(axis=1), other.argmax(axis=1)], axis=1)).all()
    assert np.abs(found.target_logprobs[:6, 1] - q[range(6), targets[:6]]).max() < 1e-6
    assert np.isnan(found.target_logprobs[6]).all() and found.entropy.shape == (7, 2)
    ratio = np.exp((p - q)[range(6), targets[:6]].mean())
    report = found.report()
    assert abs(report["ppl_ratio"] - ratio) < 1e-5 and report["rows"] == 7 and report["targets"] == 6
    same = sortilege.compare(logits, logits)
    assert (same.kld == 0).all() and same["same_top"] == 1 and "ppl_ratio" not in same.report()
    with pytest.raises(KeyError):
        same["ppl"]
    with pytest.raises(sortilege.ParamsError, match="top 0"):
        sortilege.compare(logits, logits, top=0)


def test_score_is_a_sum_of_logprobs(logits):
    tokens = [17, int(logits[1].argmax()), 9000]
    score = sortilege.score(logits, tokens)
    expected = log_softmax(logits)[range(3), tokens]
    assert np.abs(np.array(score.logprobs) - expected).max() < 1e-6 and score.ranks[1] == 1
    assert abs(score.total - expected.sum()) < 3e-6 and score.is_greedy is False
    assert score.perplexity == np.exp(-score.per_token) and score.least_likely == expected.argmin()
    assert score.per_byte(10) == score.total / 10
    greedy = sortilege.score(logits, logits.argmax(axis=1))
    assert greedy.is_greedy is True and greedy.ranks == [1] * 7
    # Of equal logits the smaller token is greedy.
    assert sortilege.score(np.zeros((1, 3), np.float32), [1]).is_greedy is False
    assert sortilege.score(logits, []).total == 0


def test_what_cannot_be_scored_is_an_error(logits):
    with pytest.raises(sortilege.ParamsError, match="8 tokens need as many rows"):
        sortilege.score(logits, [0] * 8)
    with pytest.raises(sortilege.ParamsError, match="one sequence at a time"):
        sortilege.score(logits[None], [0])
    logits[1, 1] = np.nan
    with pytest.raises(sortilege.ParamsError, match="row 1 is no distribution"):
        sortilege.score(logits, [0, 0])


def logs(tmp_path, *results, endings=("jsonl", "jsonl")):
    paths = [tmp_path / f"{number}.{ending}" for number, ending in enumerate(endings)]
    for path, result in zip(paths, results, strict=True):
        sortilege.write_log(path, result)
    return paths


@pytest.mark.parametrize("endings", [("jsonl", "csv"), ("parquet", "jsonl")])
def test_two_logs_are_compared_by_what_both_hold(logits, tmp_path, endings):
    other, targets = (logits * 0.8).astype(np.float16), [5, 100, 2, 3, 4, 9000, 7]
    results = [sortilege.logprobs(one, targets, top=9001, entropy=True) for one in (logits, other)]
    whole = sortilege.compare(logits, other, targets, top=5)
    # Of lists of all tokens nothing is lost but what floats round.
    found = sortilege.compare_logs(*logs(tmp_path, *results, endings=endings), top=5)
    assert np.abs(found.kld - whole.kld).max() < 2e-6 and (found.overlap == whole.overlap).all()
    assert (found.target_logprobs == whole.target_logprobs).all() and (found.entropy == whole.entropy).all()
    assert found["ppl_ratio"] == whole["ppl_ratio"] and found.kld.shape == (7,) and found.device == "cpu"
    # Of short lists the divergence is a lower bound.
    results = [sortilege.logprobs(one, targets, top=20) for one in (logits, other)]
    short = sortilege.compare_logs(*logs(tmp_path, *results, endings=endings))
    assert (short.kld < whole.kld).all() and (short.kld > 0).all() and np.isnan(short.entropy).all()
    one = tmp_path / f"0.{endings[0]}"
    assert (sortilege.compare_logs(one, str(one)).kld == 0).all()


def test_logs_that_cannot_be_compared_say_why(logits, tmp_path):
    result = sortilege.logprobs(logits, [1] * 7)
    for other, message in [
        (sortilege.logprobs(logits[:6], [1] * 6), "0.jsonl has more records than the other log, which has 6"),
        (sortilege.logprobs(logits, [1] * 6 + [2]), "the target of request 0, position 6 is 1 in A and 2 in B"),
        (sortilege.sample(logits), "logs of drawn tokens"),
    ]:
        with pytest.raises(sortilege.ParamsError, match=message):
            sortilege.compare_logs(*logs(tmp_path, result, other))
    first, second = logs(tmp_path, result, result)
    with pytest.raises(sortilege.ParamsError, match="top 0"):
        sortilege.compare_logs(first, second, top=0)
    second.write_text("hello")
    with pytest.raises(sortilege.LogError, match="1.jsonl: .*no log"):
        sortilege.compare_logs(first, second)
    with pytest.raises(sortilege.LogError, match="nowhere"):
        sortilege.compare_logs(tmp_path / "nowhere", first)
