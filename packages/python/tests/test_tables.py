"""Results as tables by Arrow's interface, and as logs."""

import errno
import json
from pathlib import Path

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

import sortilege
from sortilege import SamplingParams


def found(logits):
    logits = logits.copy()
    logits[2, 5] = np.nan
    return sortilege.logprobs(logits, [1, -1, 3, 4, 5, 6, 7], top=3, token_ids=[9, 2], entropy=True)


def test_a_table_says_what_the_arrays_say(logits):
    result = found(logits)
    table = result.to_arrow()
    assert table.column("position").to_pylist() == list(range(7)) and table.column("request").to_pylist() == [0] * 7
    assert table.column("status").to_pylist()[1:3] == ["ok", "nan"]
    assert table.column("token").to_pylist() == [1, None, 3, 4, 5, 6, 7]
    assert table.column("rank").to_pylist()[0] == result.target_ranks[0] and table.column("rank")[1].as_py() is None
    assert table.column("entropy")[3].as_py() == result.entropy[3] and table.column("entropy")[2].as_py() is None
    assert [len(row) for row in table.column("top").to_pylist()] == [3, 3, 0, 3, 3, 3, 3]
    assert table.column("top")[6].as_py()[1] == {"token": result.top_tokens[6, 1], "logprob": result.top_logprobs[6, 1]}
    given = table.column("token_logprobs")[4].as_py()
    assert [one["set_logprob"] for one in given] == result.token_set_logprobs[4].tolist()
    assert pyarrow.table(result).equals(table)


def test_tables_of_others(logits):
    result = found(logits)
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame["logprob"][0] == result.target_logprobs[0]
    frame = result.to_polars()
    assert isinstance(frame, polars.DataFrame) and frame["top"].list.len().to_list() == [3, 3, 0, 3, 3, 3, 3]
    assert frame.height == 7 and sortilege.logprobs(logits[:0]).to_polars().height == 0


def test_a_table_of_samples(logits):
    samples = sortilege.sample(logits, SamplingParams(seed=2, n=2, raw_logprobs=1, processed_logprobs=2))
    table = samples.to_arrow()
    assert table.column("seed").to_pylist() == [2] * 7 and table.column("position").to_pylist() == list(range(7))
    assert [[one["token"] for one in row] for row in table.column("draws").to_pylist()] == samples.draws.tolist()
    assert table.column("raw")[3].as_py()["top"][0]["token"] == samples.raw_top_tokens[3, 0]
    plain = sortilege.sample(logits, SamplingParams(seed=2)).to_arrow()
    assert plain.column("raw").to_pylist() == [None] * 7 and plain.schema == table.schema
    ended = sortilege.sample(logits, SamplingParams(seed=2, max_tokens=6)).to_arrow()
    assert ended.column("finish_reason").to_pylist() == [None] * 5 + ["length"] * 2 and ended.schema == table.schema
    assert ended.column("status").to_pylist()[5:] == ["ok", "finished"] and ended.column("draws").to_pylist()[6] == []
    assert sortilege.sample(logits, SamplingParams(seed=2)).to_polars().height == 7


def test_a_log_of_parquet_is_the_table(logits, tmp_path):
    for number, result in enumerate([found(logits), sortilege.sample(logits, SamplingParams(seed=3, raw_logprobs=2, max_tokens=5))]):
        path = tmp_path / f"{number}.parquet"
        sortilege.write_log(path, result)
        read = pyarrow.parquet.read_table(path)
        table = result.to_arrow()
        assert read.column_names[:3] == table.column_names[:3]
        for name in ["position", "status", *(["logprob", "rank"] if number == 0 else ["seed", "kept_mass", "finish_reason"])]:
            assert read.column(name).to_pylist() == table.column(name).to_pylist(), name
        lists = "top" if number == 0 else "draws"
        for of_log, of_table in zip(read.column(lists).to_pylist(), table.column(lists).to_pylist()):
            assert [{key: one[key] for key in other} for one, other in zip(of_log, of_table)] == of_table


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_log_follows_from_its_logits(logits, tmp_path, ending):
    path = tmp_path / f"log.{ending}"
    texts = [f"<{token}>".encode() for token in range(9001)]
    for derive in [
        lambda x: sortilege.logprobs(x, [1] * 7, top=4, token_ids=[3, 2], entropy=True),
        lambda x: sortilege.sample(x, SamplingParams(seed=7, top_p=0.9, raw_logprobs=2, max_tokens=6)),
    ]:
        sortilege.write_log(path, derive(logits), token_bytes=texts)
        report = sortilege.audit(path, derive(logits), token_bytes=texts)
        assert report.follows and report.records == 7 and report.differing == 0 and report.first is None
        other = logits.copy()
        other[4, other[4].argmax()] += 1
        report = sortilege.audit(path, derive(other))
        assert not report.follows and report.differing == 1 and report.first.startswith("record 4 ")
    with pytest.raises(sortilege.LogError, match="no log"):
        (tmp_path / "none").write_text("hello")
        sortilege.audit(tmp_path / "none", derive(logits))


def test_places_of_a_log(logits, tmp_path):
    path = tmp_path / "log.jsonl"
    sortilege.write_log(path, sortilege.logprobs(logits[:6].reshape(2, 3, 9001), top=1))
    places = [(one["request"], one["position"]) for one in map(json.loads, path.read_text().splitlines())]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    sortilege.write_log(path, sortilege.sample(logits[:2], [None, None], positions=[5, 9]))
    places = [(one["request"], one["position"]) for one in map(json.loads, path.read_text().splitlines())]
    assert places == [(0, 5), (1, 9)]


def test_formats(logits, tmp_path):
    result = sortilege.logprobs(logits, [1] * 7, top=2)
    sortilege.write_log(tmp_path / "log", result, format="vllm")
    assert json.loads((tmp_path / "log").read_text())
    with pytest.raises(sortilege.LogError, match="no format 'xml'|no format \"xml\""):
        sortilege.write_log(tmp_path / "log.xml", result)
    path = tmp_path / "whole.jsonl"
    result = sortilege.logprobs(logits, top=1)
    sortilege.write_log(path, result)
    before = path.read_bytes()
    with pytest.raises(sortilege.LogError, match="not of one log"):
        sortilege.write_log(path, [result, sortilege.sample(logits)])
    assert path.read_bytes() == before and [one.name for one in tmp_path.glob(".*")] == []
    with pytest.raises(sortilege.LogError, match="nowhere"):
        sortilege.write_log(tmp_path / "nowhere" / "log.csv", result)


def test_what_the_system_says_of_a_file_is_an_os_error(logits, tmp_path):
    """With its number and its path; what is wrong with a log is none."""
    missing, result = tmp_path / "missing.jsonl", sortilege.logprobs(logits, top=1)
    sortilege.write_log(tmp_path / "log.jsonl", result)
    for work in [
        lambda: sortilege.audit(missing, result),
        lambda: sortilege.write_log(missing / "log.csv", result),
        lambda: sortilege.compare_logs(missing, tmp_path / "log.jsonl"),
    ]:
        with pytest.raises(OSError, match=r"^\[Errno 2\] No such file or directory: .*missing.jsonl") as caught:
            work()
        assert isinstance(caught.value, sortilege.LogError) and isinstance(caught.value, ValueError)
        assert caught.value.errno == errno.ENOENT and Path(caught.value.filename) in [missing, missing / "log.csv"]
    with pytest.raises(OSError) as caught:
        sortilege.audit(tmp_path, result)
    assert caught.value.errno == errno.EISDIR
    (tmp_path / "none").write_text("hello")
    with pytest.raises(sortilege.LogError, match="no log") as caught:
        sortilege.audit(tmp_path / "none", result)
    assert not isinstance(caught.value, OSError)
