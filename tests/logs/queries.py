"""The queries of docs/logs.md on a log of assets/, against its JSON lines: called by scripts/test-logs."""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import polars as pl

ROOT = Path(__file__).resolve().parents[2]


def blocks(language):
    """Blocks of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/logs.md").read_text(), re.DOTALL)


def expected(lines):
    """What the three queries must say, from the definition."""
    given = [line for line in lines if line["logprob"] is not None]
    requests = sorted({line["request"] for line in given})
    perplexity = []
    for request in requests:
        logprobs = [line["logprob"] for line in given if line["request"] == request]
        perplexity.append((request, math.exp(-sum(logprobs) / len(logprobs)), len(logprobs)))
    order = sorted(given, key=lambda line: (line["logprob"], line["request"], line["position"]))
    least = [
        (line["request"], line["position"], line["text"], math.exp(line["logprob"]), line["rank"], line["entropy"])
        for line in order[:10]
    ]
    bins = {}
    for line in given:
        first = line["top"][0]
        probability = math.exp(first["logprob"])
        place = min(math.floor(probability * 10), 9) / 10
        bins.setdefault(place, []).append((probability, first["token"] == line["token"]))
    calibration = [
        (place, len(bins[place]), *(sum(column) / len(bins[place]) for column in zip(*bins[place])))
        for place in sorted(bins)
    ]
    return [perplexity, least, calibration]


def is_same(found, wanted):
    """Whether two tables are the same; floats may differ in how they were summed up."""
    return len(found) == len(wanted) and all(
        len(row) == len(other) and all(
            math.isclose(a, b, rel_tol=1e-12) if isinstance(b, float) else a == b for a, b in zip(row, other)
        )
        for row, other in zip(found, wanted)
    )


def check(what, found, wanted):
    found = [tuple(row) for row in found]
    if not is_same(found, wanted):
        sys.exit(f"{what} says {found} instead of {wanted}")
    if is_same(found[1:], wanted) or is_same([(*row[:-1], row[-1] + 1e-6) for row in found], wanted):
        sys.exit(f"{what}: the comparison finds no difference")
    print(f"{what}: {len(found)} rows")


def main(program):
    line = "log logits.npy --tokens tokens.npy --tokenizer tokenizer.json --device cpu"
    arguments = [f"{ROOT}/assets/{word}" if "." in word else word for word in line.split()]
    lines = subprocess.run([program, *arguments], check=True, capture_output=True).stdout.splitlines()
    wanted = expected([json.loads(line) for line in lines])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        said = subprocess.run([program, *arguments, "-o", "log.parquet"], check=True, capture_output=True, text=True)
        total = float(re.search(r"perplexity ([0-9.]+)", said.stderr)[1])
        tokens = sum(count for *_, count in wanted[0])
        mean = sum(count * math.log(perplexity) for _, perplexity, count in wanted[0]) / tokens
        check("the program", [(round(math.exp(mean), 6),)], [(total,)])
        for query, rows in zip(blocks("sql"), wanted, strict=True):
            check("DuckDB", duckdb.sql(query).fetchall(), rows)
        (code,) = blocks("python")
        names = {}
        exec(code, names)
        for name, rows in zip(["perplexity", "least_confident", "calibration"], wanted, strict=True):
            check(f"Polars, {name}", names[name].rows(), rows)
        metadata = duckdb.sql("SELECT decode(key), decode(value) FROM parquet_kv_metadata('log.parquet')").fetchall()
        meta = json.loads(dict(metadata)["sortilege.meta"])
        check("the metadata", [(meta["rows"] + 0.0,)], [(float(len(lines)),)])


if __name__ == "__main__":
    main(sys.argv[1])
