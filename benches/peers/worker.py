"""Runs the Python peers in a process of its own: a JSON request per line on standard input, a JSON report per line back.

`worker.py THREADS`. A request has `peer`, `file`, `top`, `targets`, `runs`; a report has `us`, and for 0 runs what was
found (`found`) or drawn (`drawn`, 64 tokens per row) instead.
"""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import data
import llama_cpp
import numpy_cpu
import timing
import torch_cpu

DRAWS = 64

read = functools.lru_cache(maxsize=8)(data.read)
sampler = functools.lru_cache(maxsize=8)(lambda file: llama_cpp.Sampler(read(file)))


def calls(request: dict) -> tuple[Callable[[], object], Callable[[], dict]]:
    """What is timed, and what is checked."""
    peer, top = request["peer"], request["top"]
    elements = read(Path(request["file"]))
    if peer == "numpy":
        run = lambda: numpy_cpu.record(elements, np.array(request["targets"]), top)
        return run, lambda: {"found": run()}
    if peer.startswith("llama.cpp"):
        llama = sampler(Path(request["file"]))
        if peer == "llama.cpp, its fill":
            return llama.fill, dict
        return llama.draw, lambda: {"drawn": np.transpose([llama.draw() for _ in range(DRAWS)]).tolist()}
    logits = torch_cpu.tensor(elements)
    if peer == "torch draw":
        return lambda: torch_cpu.draw(logits), lambda: {"drawn": torch_cpu.draw(logits, DRAWS).tolist()}
    recipe = {"torch eager": torch_cpu.eager, "torch lean": torch_cpu.lean}[peer]
    targets = torch.tensor(request["targets"])[:, None]
    run = lambda: recipe(logits, targets, top)
    return run, lambda: {"found": torch_cpu.found(run())}


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(1)
    for line in sys.stdin:
        request = json.loads(line)
        run, check = calls(request)
        report = {"us": timing.samples(run, request["runs"])} if request["runs"] else check()
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
