"""Times sortilege's CPU engine beside its peers: the same bytes, pinned cores, outputs checked first, rounds interleaved.

Started by `run`, which makes the environment. Exit codes: 0 ok, 1 failed, 2 usage, 3 an output is wrong.
"""

import argparse
import datetime
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import check
import data
import llama_cpp

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("PEERS_TARGET", ROOT / "target/peers"))
RUST_MANIFEST = HERE / "rust/Cargo.toml"

# What is done: a record (the top tokens with logprobs, logprob and rank of a target), a draw from the whole
# distribution, what a peer's draw takes before it samples, and a sum of all words.
RECORD, DRAW, FILL, READ = TASKS = "record", "draw", "fill", "read"


class Failure(Exception):
    """A program did not run; the message is for people."""


@dataclass
class Cell:
    """One program on one file with so many threads."""

    task: str
    name: str
    kind: str
    dtype: str
    threads: int
    rounds_us: list[float] = field(default_factory=list)
    runs: int = 0

    def add(self, report: dict) -> None:
        """A round."""
        self.rounds_us.append(statistics.median(report["us"]))
        self.runs += report.get("calls") or len(report["us"])

    @property
    def us(self) -> float:
        return statistics.median(self.rounds_us)


@dataclass
class File:
    """Logits that every program reads."""

    path: Path
    kind: str
    dtype: str
    rows: int
    vocab: int

    @property
    def targets(self) -> list[int]:
        return data.targets(self.rows, self.vocab)


def run(command: list[str | Path], threads: int | None = None, **environment: str) -> str:
    """What a command printed; on the first `threads` cores if that is given."""

    def pin() -> None:
        if threads is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, CORES[:threads])

    command = [str(part) for part in command]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **environment}, preexec_fn=pin
        )
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        kind = check.Mismatch if done.returncode == 3 else Failure
        raise kind(f"`{' '.join(command)}` failed with {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


class Worker:
    """The Python peers in a process of their own, with so many threads on as many cores."""

    def __init__(self, threads: int) -> None:
        counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, HERE / "worker.py", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **counts},
            preexec_fn=(lambda: os.sched_setaffinity(0, CORES[:threads])) if platform.system() == "Linux" else None,
        )

    def ask(self, peer: str, file: File, top: int, runs: int) -> dict:
        request = {"peer": peer, "file": str(file.path), "top": top, "targets": file.targets, "runs": runs}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{peer} on {file.path.name} broke down; see above")
        return json.loads(line)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


class Programs:
    """Every program behind one call: a report with `us` of each run, or for 0 runs with what was `found` or `drawn`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.top = arguments.top
        self.sortilege = arguments.sortilege
        self.rust = TARGET / "rust/release/peers"
        self.workers = {threads: Worker(threads) for threads in arguments.threads}

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def names(self, file: File, threads: int) -> list[tuple[str, str]]:
        """(task, program), ours first; numpy and llama.cpp have one thread whatever they are given, llama.cpp f32 alone."""
        single = threads == 1
        llama = [(DRAW, "llama.cpp"), (FILL, "llama.cpp, its fill")]
        return [
            (RECORD, "sortilege"),
            (RECORD, "torch lean"),
            (RECORD, "torch eager"),
            (RECORD, "obvious Rust"),
            *([(RECORD, "numpy")] if single else []),
            (DRAW, "sortilege"),
            (DRAW, "torch draw"),
            (DRAW, "candle"),
            *(llama if single and file.dtype == "f32" and llama_cpp.path() else []),
            (READ, "plain read"),
        ]

    def report(self, task: str, name: str, file: File, threads: int, runs: int) -> dict:
        rust = {"obvious Rust": "obvious", "candle": "candle-draw", "plain read": "read"}.get(name)
        if rust:
            return self.run_rust(self.rust, rust, file, threads, runs)
        if name == "sortilege":
            return self.bench(task, file, threads, runs) if runs else self.records(task, file)
        return self.workers[threads].ask(name, file, self.top, runs)

    def run_rust(self, program: Path, peer: str, file: File, threads: int, runs: int) -> dict:
        targets = ",".join(map(str, file.targets))
        command = [program, peer, file.path, file.dtype, file.rows, file.vocab, self.top, runs, targets]
        return json.loads(run(command, threads, RAYON_NUM_THREADS=str(threads)))

    def bench(self, task: str, file: File, threads: int | None, runs: int, device: str = "cpu") -> dict:
        """The median of `sortilege bench` over so many runs; with a warm cache, as the peers have it."""
        op, top = {RECORD: ("log", self.top), DRAW: ("sample", 0)}[task]
        command = [self.sortilege, "bench", "--device", device, "--input", file.path, "--dtype", file.dtype]
        command += ["--op", op, "--top", top, "--repeat", runs, "--seconds", 60, "--format", "jsonl"]
        command += ["--allow-software"] if threads is None else ["--threads", threads]
        cells = [json.loads(line) for line in run(command, threads).splitlines()]
        cells = [cell for cell in cells if cell["cache"] != "cold" and cell["wall_us"]]
        if len(cells) != 1:
            raise Failure(f"`{' '.join(map(str, command))}` gave {len(cells)} cells with a warm cache, 1 expected")
        return {"us": [cells[0]["wall_us"]], "calls": cells[0].get("calls")}

    def records(self, task: str, file: File) -> dict:
        """What `log` or `sample` writes, in the shape of the peers' reports."""
        if task == DRAW:
            return {"drawn": [sum(columns, []) for columns in zip(*map(functools.partial(self.sample, file), range(4)))]}
        found = [
            {**row, "tokens": [e["token"] for e in row["top"]], "logprobs": [e["logprob"] for e in row["top"]]}
            for row in self.log(file)
        ]
        return {"found": found}

    def sample(self, file: File, seed: int) -> list[list[int]]:
        """Tokens [rows][16]."""
        command = [self.sortilege, "sample", file.path, "--dtype", file.dtype, "--seed", seed, "--draws", 16]
        lines = run([*command, "--device", "cpu", "--format", "tokens"]).splitlines()
        return [[int(token) for token in line.split()] for line in lines]

    def log(self, file: File, device: str = "cpu") -> list[dict]:
        targets = ",".join(map(str, file.targets))
        command = [self.sortilege, "log", file.path, "--dtype", file.dtype, "--tokens", targets, "--top", self.top]
        return [json.loads(line) for line in run([*command, "--device", device, "--format", "jsonl"]).splitlines()]


def build(arguments: argparse.Namespace) -> None:
    """Our program, unless one was named, and the peers in Rust."""
    if arguments.sortilege is None:
        run(["cargo", "build", "--quiet", "--release", "--package", "sortilege-cli", "--manifest-path", ROOT / "Cargo.toml"])
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        arguments.sortilege = target / "release/sortilege"
    cargo = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", RUST_MANIFEST]
    run([*cargo, "--target-dir", TARGET / "rust"])
    if arguments.burn:
        run([*cargo, "--features", "burn", "--target-dir", TARGET / "rust-burn"])


def check_all(programs: Programs, files: list[File], threads: list[int]) -> None:
    for file in files:
        logits = data.widen(data.read(file.path))
        ours = programs.log(file)
        for count in threads:
            for task, name in programs.names(file, count):
                if task == RECORD:
                    report = programs.report(task, name, file, count, 0)
                    check.found(f"{name} on {file.path.name}", report["found"], ours, logits, file.targets)
                elif task == DRAW:
                    report = programs.report(task, name, file, count, 0)
                    check.drawn(f"{name} on {file.path.name}", report["drawn"], logits)


def time_all(programs: Programs, files: list[File], arguments: argparse.Namespace) -> list[Cell]:
    """Rounds over all programs, so that what disturbs the machine disturbs them alike."""
    cells: dict[tuple, Cell] = {}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for file in files:
            for threads in arguments.threads:
                for task, name in programs.names(file, threads):
                    key = (task, name, file.kind, file.dtype, threads)
                    cells.setdefault(key, Cell(*key)).add(programs.report(task, name, file, threads, arguments.runs))
    return list(cells.values())


def burn(programs: Programs, arguments: argparse.Namespace) -> list[Cell]:
    """Burn on wgpu and our kernels on the same software adapter, checked, then timed in rounds."""
    peers, threads = TARGET / "rust-burn/release/peers", max(arguments.threads)
    kind, rows, vocab = arguments.kinds[0], arguments.rows, arguments.burn_vocab
    path = data.make(TARGET / "data", kind, rows, vocab, ("f32",))["f32"]
    file = File(path, kind, "f32", rows, vocab)
    logits = data.widen(data.read(file.path))
    found = programs.run_rust(peers, "burn", file, threads, 0)["found"]
    check.found("burn", found, programs.log(file, arguments.adapter), logits, file.targets)
    ours = Cell(RECORD, f"sortilege on {arguments.adapter}", file.kind, file.dtype, threads)
    theirs = Cell(RECORD, "burn on wgpu", file.kind, file.dtype, threads)
    for _ in range(arguments.rounds):
        ours.add(programs.bench(RECORD, file, None, arguments.runs, arguments.adapter))
        theirs.add(programs.run_rust(peers, "burn", file, threads, arguments.runs))
    return [ours, theirs]


def table(cells: list[Cell], rows: int, vocab: int) -> str:
    """Markdown: a line per cell, with the ratio to ours, and the time of a plain read of the same bytes over it."""
    of = {(c.task, c.kind, c.dtype, c.threads): c for c in cells if c.name.startswith("sortilege")}
    reads = {(c.kind, c.dtype, c.threads): c for c in cells if c.task == READ}
    lines = [
        "| task | data | dtype | threads | program | ms | rounds, ms | ns per logit | over ours | best round over ours | of a plain read |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in sorted(cells, key=lambda c: (TASKS.index(c.task), c.kind, data.DTYPES.index(c.dtype), c.threads)):
        ours = of.get((cell.task, cell.kind, cell.dtype, cell.threads))
        read = reads.get((cell.kind, cell.dtype, cell.threads))
        lines.append(
            f"| {cell.task} | {cell.kind} | {cell.dtype} | {cell.threads} | {cell.name} | {cell.us / 1e3:.3g} "
            f"| {min(cell.rounds_us) / 1e3:.3g} to {max(cell.rounds_us) / 1e3:.3g} "
            f"| {cell.us * 1e3 / (rows * vocab):.3g} "
            f"| {f'{cell.us / ours.us:.2f}x' if ours else ''} "
            f"| {f'{min(cell.rounds_us) / min(ours.rounds_us):.2f}x' if ours else ''} "
            f"| {f'{read.us / cell.us:.1%}' if read else ''} |"
        )
    return "\n".join(lines)


def machine() -> dict[str, str | int]:
    """What the figures belong to."""
    import numpy
    import torch

    processor = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor)
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit.strip(),
        "processor": processor,
        "simd": torch.backends.cpu.get_cpu_capability(),
        "cores": len(CORES),
        "load": f"{os.getloadavg()[0]:.1f}",
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = lambda allowed: lambda text: [choice(allowed, name) for name in text.split(",")]
    parser.add_argument("--rows", type=positive, default=16)
    parser.add_argument("--vocab", type=positive, default=128_256)
    parser.add_argument("--dtypes", type=names(data.DTYPES), default=list(data.DTYPES), help="f32,f16,bf16")
    parser.add_argument("--kinds", type=names(data.KINDS), default=["normal"], help="of data: normal,peaked,tied")
    parser.add_argument("--top", type=positive, default=20)
    parser.add_argument("--threads", type=lambda text: [positive(n) for n in text.split(",")], default=None, help="1,2")
    parser.add_argument("--rounds", type=positive, default=5, help="over all programs")
    parser.add_argument("--runs", type=positive, default=8, help="per program and round")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 3 runs, f32: shows that it works, no more")
    parser.add_argument("--burn", action="store_true", help="Burn on wgpu too; its build takes many minutes")
    parser.add_argument(
        "--burn-vocab",
        type=positive,
        default=32_768,
        help="vocabulary for Burn: Mesa before version 25 cuts loops after 65535\niterations, and Burn's topk then misses tokens of a longer row",
    )
    parser.add_argument("--adapter", default="lavapipe", help="on which our kernels run beside Burn")
    parser.add_argument("--sortilege", type=Path, help="this program, instead of building it")
    parser.add_argument("-o", "--output", type=Path, help="write all figures as JSON")
    out = parser.parse_args(arguments)
    out.threads = out.threads or [count for count in (1, 2) if count <= len(CORES)]
    if max(out.threads) > len(CORES):
        parser.error(f"--threads {max(out.threads)}: this process may use {len(CORES)} cores")
    if out.top > out.vocab:
        parser.error(f"--top {out.top}: the vocabulary has {out.vocab} tokens")
    if out.quick:
        out.rounds, out.runs, out.dtypes = 2, 3, out.dtypes[:1]
    return out


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def choice(allowed: tuple[str, ...], name: str) -> str:
    if name not in allowed:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(allowed)}")
    return name


def main() -> int:
    arguments = parse(sys.argv[1:])
    shape = (arguments.rows, arguments.vocab)
    try:
        build(arguments)
        files = [
            File(path, kind, dtype, *shape)
            for kind in arguments.kinds
            for dtype, path in data.make(TARGET / "data", kind, *shape, tuple(arguments.dtypes)).items()
        ]
        programs = Programs(arguments)
        try:
            check_all(programs, files, arguments.threads)
            print("outputs checked", file=sys.stderr)
            cells = time_all(programs, files, arguments)
            software = burn(programs, arguments) if arguments.burn else []
        finally:
            programs.close()
    except check.Mismatch as mismatch:
        print(f"mismatch: {mismatch}", file=sys.stderr)
        return 3
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    about = machine()
    print(f"[{shape[0]}][{shape[1]}], top {arguments.top}; " + ", ".join(f"{k} {v}" for k, v in about.items()) + "\n")
    print(table(cells, *shape))
    if software:
        rows, vocab = arguments.rows, arguments.burn_vocab
        print(f"\n[{rows}][{vocab}] on {arguments.adapter}; a software adapter says nothing about a GPU:\n")
        print(table(software, rows, vocab))
    if llama_cpp.path() is None:
        print("\nllama.cpp is missing: its library is a package of npm for Linux on x86-64.")
    if arguments.output:
        figures = [{**vars(cell), "us": cell.us} for cell in cells + software]
        report = {**about, "rows": shape[0], "vocab": shape[1], "top": arguments.top, "cells": figures}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
