"""`sortilege.logprobs` beside torch's recipes in one process, outputs checked first; call overhead; memory.

It needs torch and the recipes of benches/peers of the repository: `python benches/peers.py --help`. Rounds go over all programs, so
that what disturbs the machine disturbs all, and OpenMP's threads are told to sleep when they are done, as otherwise torch's spin into whoever
comes next; a figure is the median of a program's rounds, a ratio the median of the rounds' ratios,
with the lowest and the highest of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benches/peers"))


def bench(dtype, rows, vocab, top, threads, rounds):
    """Checks, then times: microseconds of each round by program."""
    os.environ["OMP_WAIT_POLICY"] = "passive"  # is read when torch is loaded
    import check
    import data
    import torch
    import torch_cpu

    import sortilege

    torch.set_num_threads(threads)
    sortilege.set_num_threads(threads)
    values = data.values("normal", rows, vocab)
    elements = data.stored(values, dtype)
    widened, logits = data.widen(elements), torch_cpu.tensor(elements)
    targets = data.targets(rows, vocab)
    columns = torch.tensor(targets)[:, None]

    def ours():
        found = sortilege.logprobs(logits, targets, top=top, device="cpu")
        # The arrays are made when they are asked for.
        return found.top_tokens, found.top_logprobs, found.target_logprobs, found.target_ranks

    programs = {
        "sortilege": ours,
        "torch eager": lambda: torch_cpu.eager(logits, columns, top),
        "torch lean": lambda: torch_cpu.lean(logits, columns, top),
    }
    tokens, logprobs, target_logprobs, ranks = (array.tolist() for array in ours())
    records = [
        {"top": [{"token": token, "logprob": logprob} for token, logprob in zip(*row)], "logprob": logprob, "rank": rank}
        for *row, logprob, rank in zip(tokens, logprobs, target_logprobs, ranks)
    ]
    for name in ["torch eager", "torch lean"]:
        check.found(name, torch_cpu.found(programs[name]()), records, widened, targets)
    took = {name: [] for name in programs}
    for number in range(rounds + 2):
        for name, run in programs.items():
            start = time.perf_counter_ns()
            run()
            if number >= 2:  # the first warm up
                took[name].append((time.perf_counter_ns() - start) / 1e3)
    return took


def overhead():
    """Microseconds of a call about [1][1000]: the best of many runs of a hundred."""
    import sortilege

    logits = np.random.default_rng(1).normal(size=(1, 1000)).astype(np.float32)

    def run():
        start = time.perf_counter_ns()
        for _ in range(100):
            sortilege.logprobs(logits, top=20)
        return (time.perf_counter_ns() - start) / 1e5

    runs = [run() for _ in range(50)]
    return min(runs), statistics.median(runs)


def memory(program, rows, vocab, top):
    """MiB by which the process grows in a call, in a process of its own: that of the logits is in it before."""
    code = f"import peers; peers.grown({program!r}, {rows}, {vocab}, {top})"
    folder = Path(__file__).resolve().parent
    return float(subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout)


def grown(program, rows, vocab, top):
    logits = np.random.default_rng(1).standard_normal((rows, vocab), dtype=np.float32)
    if program == "sortilege":
        import sortilege

        run = lambda rows: sortilege.logprobs(logits[:rows], np.zeros(rows, int), top=top, device="cpu").top_logprobs
    else:
        import torch
        import torch_cpu

        run = lambda rows: getattr(torch_cpu, program)(torch.from_numpy(logits[:rows]), torch.zeros(rows, 1, dtype=int), top)
    run(2)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is what there is now
    before = peak()
    run(rows)
    print((peak() - before) / 1024)


def peak():
    """KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    shape = f"[{args.rows}][{args.vocab}]"
    print(f"| {shape}, {args.threads} threads | program | ms | times sortilege |\n|---|---|---|---|")
    for dtype in ["f32", "bf16"]:
        took = bench(dtype, args.rows, args.vocab, args.top, args.threads, args.rounds)
        for name, samples in took.items():
            ratios = [theirs / ours for theirs, ours in zip(samples, took["sortilege"])]
            range_ = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"| {dtype} | {name} | {statistics.median(samples) / 1e3:.2f} | {range_} |", flush=True)
    best, median = overhead()
    print(f"\na call about [1][1000] f32: {best:.1f} µs, median {median:.1f} µs")
    grew = {name: memory(name, args.rows, args.vocab, args.top) for name in ["sortilege", "eager", "lean"]}
    size = args.rows * args.vocab * 4 / 2**20
    print(f"a call about {size:.0f} MiB of f32 grows the process by, MiB: {grew}")


if __name__ == "__main__":
    main()
