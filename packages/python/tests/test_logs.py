"""Logs of several results, and the files that they are written to; what is wrong with rows of a large batch."""

import json

import numpy as np
import pytest

import sortilege


def places(path):
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [(record["request"], record["position"]) for record in records]


def test_requests_of_several_results_follow_one_another(tmp_path):
    logits = np.random.default_rng(0).normal(size=(5, 2, 50)).astype(np.float32)
    path, whole = tmp_path / "log.jsonl", sortilege.logprobs(logits, targets=np.arange(10).reshape(5, 2))
    parts = [sortilege.logprobs(logits[rows], targets=np.arange(10).reshape(5, 2)[rows]) for rows in (slice(0, 2), slice(2, 5))]
    sortilege.write_log(path, parts)
    assert places(path) == [(request, position) for request in range(5) for position in range(2)]
    assert sortilege.audit(path, whole).follows and sortilege.audit(path, parts).follows
    assert not sortilege.audit(path, parts[::-1]).follows


def test_steps_of_requests_are_one_log_and_doubled_rows_are_none(tmp_path):
    path, logits = tmp_path / "log.jsonl", np.zeros((2, 9), np.float32)
    requests = [sortilege.Request({"seed": seed}) for seed in (1, 2)]
    steps = []
    for _ in range(2):
        steps.append(sortilege.sample(logits, requests))
        for request, token in zip(requests, steps[-1].tokens):
            request.accept_token(int(token))
    sortilege.write_log(path, steps)
    assert places(path) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    before = path.read_bytes()
    with pytest.raises(sortilege.ParamsError, match="two of the results have a row of request 0, position 0"):
        sortilege.write_log(path, [steps[0], steps[0]])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_log_keeps_the_mode_of_the_one_before(tmp_path):
    found = sortilege.logprobs(np.zeros((2, 9), np.float32))
    path = tmp_path / "log.csv"
    path.touch(mode=0o600)
    sortilege.write_log(path, found)
    assert path.stat().st_mode & 0o777 == 0o600 and path.read_text().startswith("request,")


def test_links_stay(tmp_path):
    found = sortilege.logprobs(np.zeros((2, 9), np.float32))
    (tmp_path / "folder").mkdir()
    there, missing, chain = (tmp_path / name for name in ("there.csv", "missing.csv", "chain.csv"))
    (tmp_path / "old.csv").write_text("old")
    there.symlink_to("old.csv")
    missing.symlink_to("folder/new.csv")
    chain.symlink_to("missing.csv")
    for link, target in [(there, "old.csv"), (missing, "folder/new.csv"), (chain, "folder/new.csv")]:
        sortilege.write_log(link, found)
        assert link.is_symlink() and (tmp_path / target).read_text().startswith("request,")
        (tmp_path / target).unlink()


def test_what_cannot_be_written_is_told_in_our_words(tmp_path):
    found, path = sortilege.logprobs(np.zeros((1, 2), np.float32)), tmp_path / "log.jsonl"
    sortilege.write_log(path, found, token_bytes=["a", b"b"])
    assert [one["text"] for one in json.loads(path.read_text())["top"]] == ["a", "b"]
    unordered = {"b": 1, "a": 0}
    wrong_ones = [(5, "no list"), ([b"a", 1.5], "that of token 1"), ("ab", "a text"), (unordered, "a dict"), (unordered.keys(), "keys")]
    for wrong, said in wrong_ones:
        with pytest.raises(TypeError, match=f"token_bytes: .*{said}.*pass a list"):
            sortilege.write_log(path, found, token_bytes=wrong)
    stopped = (1 // (1 - token) for token in range(2))
    with pytest.raises(ZeroDivisionError):
        sortilege.write_log(path, found, token_bytes=(b"%d" % number for number in stopped))
    for wrong in [5, None, [found, 5], "log"]:
        with pytest.raises(TypeError, match="result: pass what `logprobs` or `sample` gave"):
            sortilege.write_log(path, wrong)


def test_rows_are_numbered_in_the_whole_batch_and_known_before_the_work():
    logits = np.zeros((70, 2**19), np.float16)  # more than a block
    targets = np.zeros(70, int)
    targets[66] = 2**19
    for call in [
        lambda: sortilege.logprobs(logits, targets=targets, top=1),
        lambda: sortilege.compare(logits, logits, targets=targets),
        lambda: sortilege.score(logits, targets),
    ]:
        with pytest.raises(sortilege.ParamsError, match="target 524288 of row 66 .* of 524288: pass -1 or -100"):
            call()
    with pytest.raises(sortilege.ParamsError, match="token_ids hold 524288 in list 1, outside the vocabulary of 524288"):
        sortilege.logprobs(logits[:2], token_ids=[[0, 1], [2, 2**19]])
    params = [{"allowed_token_ids": [2**19 if row == 66 else 0]} for row in range(70)]
    with pytest.raises(sortilege.ParamsError, match=r"row 2: .*\(rows are counted from row 64\)"):
        sortilege.sample(logits, params)
