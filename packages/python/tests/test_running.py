"""Threads, processes, devices, signals, progress, documentation."""

import ast
import dataclasses
import doctest
import multiprocessing
import os
import pickle
import re
import signal
import threading
import time
from pathlib import Path

import child
import numpy as np
import pytest

import sortilege
from sortilege import SamplingParams


@pytest.fixture
def many():
    """Rows of several blocks, a second's work or so."""
    return np.random.default_rng(3).normal(size=(4096, 16384)).astype(np.float32)


@pytest.mark.parametrize("work", [
    lambda many: sortilege.logprobs(many, top=16384),
    lambda many: sortilege.shard_stats(many, 0, 16384, top=16384),
])
def test_ctrl_c_is_heard_between_blocks(many, work):
    started = time.monotonic()
    work(many)
    whole = time.monotonic() - started
    timer = threading.Timer(whole / 10, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work(many)
    assert time.monotonic() - started < 0.8 * whole  # otherwise it was heard behind the last block


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_ctrl_c_is_heard_between_records(tmp_path, ending):
    """The log that was there stays; a log that is read is let go of too."""
    found = sortilege.logprobs(np.zeros((20000, 8), np.float32), np.zeros(20000, int), top=8)
    path = tmp_path / f"log.{ending}"
    sortilege.write_log(path, found)
    before = path.read_bytes()
    parts = [found] * 500
    for work in [lambda: sortilege.write_log(path, parts), lambda: sortilege.audit(path, parts)]:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        started = time.monotonic()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            work()
        assert time.monotonic() - started < 5
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_other_threads_run_meanwhile(many):
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    started = time.monotonic()
    sortilege.logprobs(many[:1024], top=4096)
    took = time.monotonic() - started
    done.set()
    thread.join()
    assert counted[0] > took * 1000 / 20, (counted, took)


def test_a_request_that_is_being_sampled_cannot_change(many):
    request = sortilege.Request(SamplingParams(seed=1))
    thread = threading.Thread(target=sortilege.sample, args=(many, request))
    thread.start()
    refused = 0
    while thread.is_alive():
        try:
            request.accept_token(0)
        except RuntimeError:
            refused += 1
        time.sleep(0.001)
    thread.join()
    assert refused > 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_computes_too(logits, method):
    expected = sortilege.logprobs(logits, top=3).top_tokens.tolist()
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=child.top_tokens, args=(logits, answers))
    process.start()
    assert answers.get(timeout=60) == expected
    process.join(10)
    assert process.exitcode == 0


def test_a_forked_child_opens_the_devices_of_its_parent(logits):
    """None of the parent's threads live on in it, neither those of the CPU engine, which checks devices, nor a driver's."""
    ids = [one["id"] for one in sortilege.devices() if one["unfit"] is None]
    assert ids, "an adapter is needed: scripts/test installs a software driver"
    expected = sortilege.logprobs(logits, top=3, device="cpu").top_tokens.tolist()
    context = multiprocessing.get_context("fork")
    for opened_before in [None, ids[0]]:
        if opened_before:
            sortilege.logprobs(logits, top=3, device=opened_before)
        answers = context.Queue()
        process = context.Process(target=child.top_tokens, args=(logits, answers, ids[0]))
        process.start()
        assert answers.get(timeout=60) == expected
        process.join(10)
        assert process.exitcode == 0


def test_the_number_of_threads_changes_nothing(logits):
    bits = []
    for threads in [1, 3, 2]:
        sortilege.set_num_threads(threads)
        assert sortilege.get_num_threads() == threads
        bits.append(sortilege.logprobs(logits, top=7).top_logprobs.tobytes())
    assert len(set(bits)) == 1


def test_devices(logits):
    ids = [one["id"] for one in sortilege.devices()]
    expected = sortilege.logprobs(logits, top=5, device="cpu")
    assert expected.device == "cpu"
    for one in sortilege.devices():
        if one["unfit"] is None:
            found = sortilege.logprobs(logits, top=5, device=one["id"])
            assert found.device == one["name"] and found.top_logprobs.tobytes() == expected.top_logprobs.tobytes()
            drawn = [sortilege.sample(logits, SamplingParams(seed=1), device=name).tokens for name in ("cpu", one["id"])]
            assert (drawn[0] == drawn[1]).all()
    with pytest.raises(sortilege.DeviceError, match="no adapters fit"):
        sortilege.logprobs(logits, device=f"{ids} and none of them")


def test_progress_is_told(many, capsys):
    sortilege.logprobs(many, top=1, progress=True)
    assert "4096/4096" in capsys.readouterr().err


def test_parameters_are_values():
    params = SamplingParams(top_p=0.5, dry=sortilege.Dry(sequence_breakers=(1, 2)), logit_bias={3: 0.5})
    assert pickle.loads(pickle.dumps(params)) == params != SamplingParams()


def test_no_parameter_is_forgotten():
    """The fields are those of the library, and each is handed on."""
    package = Path(__file__).resolve().parents[1]
    struct = (package.parents[1] / "src/params/sampling.rs").read_text().split("pub struct SamplingParams {")[1].split("\n}")[0]
    names = re.findall(r"^    pub (\w+):", struct, re.MULTILINE)
    assert len(names) > 30 and sorted(names) == sorted(one.name for one in dataclasses.fields(SamplingParams))
    handed_on = (package / "src/params.rs").read_text()
    assert [name for name in names if not re.search(rf"\b{name}\b", handed_on)] == []


def test_arrays_that_are_kept_cannot_be_written_to(logits):
    assert not sortilege.logprobs(logits).top_tokens.flags.writeable and not sortilege.sample(logits).tokens.flags.writeable


def test_what_cannot_be_set_is_so_in_the_stubs():
    """A checker of types says what Python would: attributes of results are read alone."""
    stubs = (Path(__file__).resolve().parents[1] / "python/sortilege/_core.pyi").read_text()
    found = sortilege.logprobs(np.zeros((1, 3), np.float32))
    with pytest.raises(AttributeError):
        found.status = 1
    for one in ast.parse(stubs).body:
        if isinstance(one, ast.ClassDef) and one.name != "_Adapter":
            assert not [inner for inner in one.body if isinstance(inner, ast.AnnAssign)], one.name


def test_the_readme(tmp_path, monkeypatch):
    """Its lines, in a folder that has the assets of the repository."""
    package = Path(__file__).resolve().parents[1]
    (tmp_path / "assets").symlink_to(package.parents[1] / "assets")
    monkeypatch.chdir(tmp_path)
    failed, examples = doctest.testfile(str(package / "README.md"), module_relative=False)
    assert failed == 0 and examples >= 9
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 192


def test_the_examples_of_the_documentation():
    """Of every name, the compiled ones too."""
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    objects = {name: getattr(sortilege, name) for name in sortilege.__all__} | {"sortilege": sortilege}
    examples = 0
    for name, one in objects.items():
        assert one.__doc__, name
        for test in finder.find(one, name, globs={**vars(sortilege), "sortilege": sortilege}):
            if name != "sortilege" or test.name == "sortilege":
                examples += len(test.examples)
                runner.run(test)
    assert runner.failures == 0 and examples > 30
