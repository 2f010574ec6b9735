"""The examples of this folder on one machine: two workers of Ray, two processes of torch.distributed. `scripts/test-scale` runs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

import sortilege
from ray_logprobs import LogProbs, log

ROWS, VOCAB, TOP = 70, 9_000, 7


class Watched(LogProbs):
    """Says who computed each row, and takes its time, so that the other worker has its turn."""

    def __call__(self, batch):
        time.sleep(0.2)
        return super().__call__(batch) | {"process": np.full(len(batch["row"]), os.getpid())}


@pytest.fixture(scope="module")
def cluster():
    # Two workers hold a core each; reading and writing need others.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def data(tmp_path):
    """Rows in three files, with their logits and targets."""
    numbers = np.random.default_rng(17)
    logits = numbers.normal(0, 4, size=(ROWS, VOCAB)).astype(np.float32)
    logits[numbers.random(logits.shape) < 0.1] = -np.inf
    targets = numbers.integers(0, VOCAB, size=ROWS)
    folder = tmp_path / "logits"
    folder.mkdir()
    for part in np.array_split(np.arange(ROWS), 3):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(logits[part].ravel()), VOCAB)
        table = pa.table({"row": part, "logits": lists, "target": targets[part]})
        pq.write_table(table, folder / f"{part[0]}.parquet")
    return folder, logits, targets


def columns(table):
    """The columns of a table of rows in order, each as bytes, so that equal means every bit."""
    return {
        name: np.stack(table[name].to_numpy()).astype(dtype).tobytes()
        for name, dtype in [("row", "i8"), ("token", "i4"), ("logprob", "f8"), ("rank", "i4"), ("logsumexp", "f8"),
                            ("entropy", "f8"), ("top_tokens", "i4"), ("top_logprobs", "f8")]
    }


def test_two_workers_say_what_one_process_says(cluster, data, tmp_path):
    folder, logits, targets = data
    out = tmp_path / "logs"
    rows = ray.data.read_parquet(str(folder)).repartition(9)  # so small a table would be one block
    log(rows, workers=2, batch_size=4, worker=Watched, top=TOP).write_parquet(str(out))
    assert pl.scan_parquet(f"{out}/*.parquet").collect()["process"].n_unique() == 2

    whole = sortilege.logprobs(logits, targets, top=TOP, device="cpu", entropy=True)
    expected = {
        "row": np.arange(ROWS).tobytes(),
        "token": whole.target_tokens.tobytes(),
        "logprob": whole.target_logprobs.tobytes(),
        "rank": whole.target_ranks.tobytes(),
        "logsumexp": whole.logsumexp.tobytes(),
        "entropy": whole.entropy.tobytes(),
        "top_tokens": whole.top_tokens.tobytes(),
        "top_logprobs": whole.top_logprobs.tobytes(),
    }
    by_duckdb = duckdb.sql(f"SELECT * FROM '{out}/*.parquet' ORDER BY row").df()
    assert columns(by_duckdb) == expected
    by_polars = pl.scan_parquet(f"{out}/*.parquet").sort("row").collect()
    assert columns(by_polars) == expected
    # The comparison sees one bit of one number.
    by_duckdb.loc[3, "logprob"] = np.nextafter(by_duckdb.loc[3, "logprob"], 0)
    assert columns(by_duckdb) != expected


def test_two_processes_merge_to_one():
    example = Path(__file__).with_name("torch_gloo.py")
    said = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert "of 2 processes" in said.stdout and "bit for bit" in said.stdout
