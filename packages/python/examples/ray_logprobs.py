"""Logprobs of rows that lie in Parquet files, by Ray Data: `python ray_logprobs.py IN OUT`.

IN is a file or folder of Parquet with the columns `logits` (a list of float32 in each row), `target`, and `row`, a number that
names the row. OUT is a folder, to which each worker writes files of its own; DuckDB, Polars and Spark read them as one table.
Needs ray[data], and two cores.
"""

import sys

import numpy as np
import ray

import sortilege


class LogProbs:
    """What `map_batches` calls in each worker: a batch of rows in, a table of their logprobs out. It is pickled as its parameters."""

    def __init__(self, top=20, temperature=1.0):
        self.top, self.temperature = top, temperature

    def __call__(self, batch):
        logits = np.stack(batch["logits"]).astype(np.float32, copy=False)
        found = sortilege.logprobs(
            logits, batch["target"], top=self.top, temperature=self.temperature, device="cpu", entropy=True
        )
        return {
            "row": batch["row"],
            "token": found.target_tokens,
            "logprob": found.target_logprobs,
            "rank": found.target_ranks,
            "logsumexp": found.logsumexp,
            "entropy": found.entropy,
            "top_tokens": found.top_tokens,
            "top_logprobs": found.top_logprobs,
        }


def log(rows, workers, batch_size=16, worker=LogProbs, **params):
    """The logprobs of a data set, as another one. Each worker holds a core: leave one, or nothing is ever read."""
    return rows.map_batches(
        worker,
        fn_constructor_kwargs=params,
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: ray_logprobs.py IN OUT")
    ray.init()
    cores = int(ray.cluster_resources()["CPU"])
    log(ray.data.read_parquet(sys.argv[1]), workers=max(1, cores - 1)).write_parquet(sys.argv[2])
