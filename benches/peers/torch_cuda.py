"""torch's recipes on a CUDA device, or with --device cpu to try this out, on files that `data.py` made.

A JSON line per cell, written as soon as it is measured: GPU time with a cold cache, GPU time as a CUDA graph over rotating
inputs and over one input, wall time to pinned host memory, launches, peak bytes; null where it does not apply, `notes` say
why. Exit codes: 0 ok, 1 failed, 2 usage, 3 torch disagrees with `sortilege log`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

try:
    import numpy as np
    import torch
except ImportError as error:
    sys.exit(f"{error}: run this with a Python that has torch and numpy (PYTHON=… scripts/gpu-bench), or install them")

import check
import data
import program
import torch_cpu

try:
    import flashinfer
except ImportError:
    flashinfer = None

Outputs = torch.Tensor | tuple[torch.Tensor, ...]
Recipe = Callable[[torch.Tensor, torch.Tensor, int], Outputs]

GRAPH_CALLS = 20
# More than any GPU's L2 cache.
FLUSH_BYTES = 256 << 20
TOP_P = 0.95
# A draw that `sortilege bench` has no op for: its own filters nothing.
FILTERED = "sample top-k top-p"


@dataclass
class Cell:
    """One recipe on one file. Times are medians in microseconds."""

    program: str
    op: str
    rows: int
    vocab: int
    dtype: str
    # As `sortilege bench` has it: 0 for a draw without logprobs, null where the op has none.
    top: int | None
    cold_us: float | None = None
    rotating_us: float | None = None
    warm_us: float | None = None
    wall_us: float | None = None
    p95_us: float | None = None
    launches: int | None = None
    peak_bytes: int | None = None
    same_bits_alone: bool | None = None
    notes: list[str] = field(default_factory=list)


def recipes() -> dict[str, tuple[str, Recipe]]:
    """Name to the op of `sortilege bench` that does the same (or `FILTERED`), and the code."""
    out: dict[str, tuple[str, Recipe]] = {
        "torch lean": ("log", torch_cpu.lean),
        "torch eager": ("log", torch_cpu.eager),
        "torch draw": ("sample", lambda logits, targets, top: torch_cpu.draw(logits)),
        "torch race": ("sample", race),
        "torch log_softmax": ("log-softmax", lambda logits, targets, top: torch.log_softmax(logits, -1, dtype=torch.float32)),
        "torch topk": ("top-k", lambda logits, targets, top: logits.topk(top)),
    }
    if flashinfer is not None:
        out["flashinfer"] = ("log", flashinfer_record)
        out["flashinfer top-k top-p draw"] = (FILTERED, flashinfer_draw)
    return out


def race(logits: torch.Tensor, targets: torch.Tensor, top: int) -> torch.Tensor:
    """A draw as the winner of an exponential race, p / e, which never waits for the device."""
    weights = torch.softmax(logits, -1, dtype=torch.float32)
    return weights.div_(torch.empty_like(weights).exponential_()).argmax(-1)


def flashinfer_record(logits: torch.Tensor, targets: torch.Tensor, top: int) -> Outputs:
    best, tokens = flashinfer.top_k(logits, top, sorted=True, deterministic=True)
    logsumexp = logits.float().logsumexp(-1, keepdim=True)
    return tokens, best.float() - logsumexp, logits.gather(-1, targets).float() - logsumexp


def flashinfer_draw(logits: torch.Tensor, targets: torch.Tensor, top: int) -> Outputs:
    return flashinfer.sampling.top_k_top_p_sampling_from_logits(
        logits.float(), top, TOP_P, filter_apply_order="top_k_first", deterministic=True
    )


class Device:
    """How time is taken on a device."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cuda = name == "cuda"
        self.flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=name) if self.cuda else None
        self.l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size if self.cuda else 0

    def synchronize(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def cold_us(self, run: Callable[[], object]) -> float | None:
        """GPU time with a cold cache: triton's `do_bench`, or the same by hand."""
        if not self.cuda:
            return None
        try:
            from triton.testing import do_bench
        except ImportError:
            self.events_us(run, 50)
            return self.events_us(run, 200)
        return do_bench(run, warmup=100, rep=500, return_mode="median") * 1e3

    def events_us(self, run: Callable[[], object], runs: int) -> float:
        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(runs)]
        for start, end in pairs:
            self.flush.zero_()
            start.record()
            run()
            end.record()
        torch.cuda.synchronize()
        return statistics.median(start.elapsed_time(end) * 1e3 for start, end in pairs)

    def copies(self, logits: torch.Tensor) -> int:
        """Inputs that together exceed four L2 caches, in whole graphs; 1 where the input alone does."""
        copies = max(1, -(-4 * self.l2_bytes // logits.nbytes))
        return -(-copies // GRAPH_CALLS) * GRAPH_CALLS if copies > 1 else 1

    def graph_us(self, recipe: Callable[[torch.Tensor], object], inputs: list[torch.Tensor]) -> float | None:
        """GPU time of a call in CUDA graphs of 20 calls each, which take turns with the inputs: no launch gaps."""
        if not self.cuda:
            return None
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                recipe(inputs[0])
        torch.cuda.current_stream().wait_stream(side)
        graphs = []
        for first in range(0, len(inputs), GRAPH_CALLS):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=graphs[0].pool() if graphs else None):
                for call in range(GRAPH_CALLS):
                    recipe(inputs[(first + call) % len(inputs)])
            graphs.append(graph)
        for graph in graphs:
            graph.replay()
        times = []
        for _ in range(max(3, 30 // len(graphs))):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for graph in graphs:
                graph.replay()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) * 1e3 / (GRAPH_CALLS * len(graphs)))
        return statistics.median(times)

    def wall_us(self, run: Callable[[], Outputs], copy_back: bool, runs: int) -> list[float]:
        """From the call to its outputs in pinned host memory; outputs as large as the logits stay on the device."""
        outputs = as_tuple(run()) if copy_back else ()
        hosts = [torch.empty(o.shape, dtype=o.dtype, pin_memory=self.cuda) for o in outputs]
        times = []
        for number in range(runs + 5):
            self.synchronize()
            start = time.perf_counter_ns()
            outputs = as_tuple(run())
            for host, output in zip(hosts, outputs):
                host.copy_(output, non_blocking=True)
            self.synchronize()
            if number >= 5:
                times.append((time.perf_counter_ns() - start) / 1e3)
        return sorted(times)

    def launches(self, run: Callable[[], object]) -> int | None:
        """Kernels of one call."""
        if not self.cuda:
            return None
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            run()
            torch.cuda.synchronize()
        names = [event.name for event in seen.events() if "CUDA" in str(event.device_type)]
        return sum(not name.startswith(("Memcpy", "Memset")) and "Synchronize" not in name for name in names)

    def peak_bytes(self, run: Callable[[], object]) -> int | None:
        """Memory that one call takes beside its input."""
        if not self.cuda:
            return None
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before


def as_tuple(outputs: Outputs) -> tuple[torch.Tensor, ...]:
    return (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)


def as_bytes(output: torch.Tensor) -> torch.Tensor:
    return output.contiguous().view(torch.uint8)


def same_bits_alone(recipe: Recipe, logits: torch.Tensor, targets: torch.Tensor, top: int) -> bool:
    """Whether some rows have the same bits alone as among all rows."""
    together = as_tuple(recipe(logits, targets, top))
    for row in {0, 17 % len(logits), len(logits) // 2, len(logits) - 1}:
        alone = as_tuple(recipe(logits[row : row + 1].contiguous(), targets[row : row + 1], top))
        if not all(torch.equal(as_bytes(a), as_bytes(t[row : row + 1])) for a, t in zip(alone, together)):
            return False
    return True


def measure(cell: Cell, recipe: Recipe, top: int, logits: torch.Tensor, device: Device, full: bool) -> None:
    """Fills a cell in; what does not work leaves a note. `full` adds graphs, launches and bits to the times."""
    rows, vocab = logits.shape
    targets = torch.tensor(data.targets(rows, vocab), device=device.name)[:, None]
    run = lambda: recipe(logits, targets, top)

    def attempt(what: str, call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception as error:  # any failure of a peer is a finding, and must not end the campaign
            cell.notes.append(f"{what}: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
            return None

    if attempt("run", run) is None:
        return
    cell.peak_bytes = attempt("peak", lambda: device.peak_bytes(run))
    cell.cold_us = attempt("cold", lambda: device.cold_us(run))
    wall = attempt("wall", lambda: device.wall_us(run, cell.op != "log-softmax", 30 if full else 5))
    if wall:
        cell.wall_us, cell.p95_us = statistics.median(wall), wall[int(len(wall) * 0.95)]
    if full:
        if cell.program == "torch draw":
            cell.notes.append("graph: multinomial may wait for the device, which no graph can hold; see torch race")
        else:
            graphs(cell, lambda x: recipe(x, targets, top), logits, device, attempt)
        cell.launches = attempt("launches", lambda: device.launches(run))
        if cell.op not in ("sample", FILTERED) and rows > 1:
            cell.same_bits_alone = attempt("bits", lambda: same_bits_alone(recipe, logits, targets, top))


def graphs(
    cell: Cell, recipe: Callable[[torch.Tensor], object], logits: torch.Tensor, device: Device, attempt: Callable
) -> None:
    """Times by CUDA graphs, of an input that is in no cache and of one that stays there; an input larger than the cache is
    both."""
    copies = device.copies(logits)
    fresh = lambda: [logits] if copies == 1 else [logits.clone() for _ in range(copies)]
    cell.rotating_us = attempt("rotating graph", lambda: device.graph_us(recipe, fresh()))
    cell.warm_us = cell.rotating_us if copies == 1 else attempt("graph", lambda: device.graph_us(recipe, [logits]))


def check_outputs(path: Path, sortilege: str, ours_on: str, top: int, device: Device) -> None:
    """torch's records of a file equal those of `sortilege log`."""
    elements, dtype = data.read(path), path.stem.rsplit("-", 1)[1]
    targets = data.targets(*elements.shape)
    ours = program.log(sortilege, path, dtype, targets, top, ours_on)
    logits = torch_cpu.tensor(elements).to(device.name)
    for name, recipe in (("torch eager", torch_cpu.eager), ("torch lean", torch_cpu.lean)):
        found = torch_cpu.found(recipe(logits, torch.tensor(targets, device=device.name)[:, None], top))
        check.found(f"{name} on {path.name}", found, ours, data.widen(elements), targets)


def cells(arguments: argparse.Namespace, device: Device) -> Iterator[Cell]:
    """Every cell, the plain recipes of all files first, since compiling takes long."""
    chosen = recipes()
    if arguments.recipes:
        chosen = {name: chosen[name] for name in arguments.recipes if name in chosen}
    for compiled in (False, True):
        for path in arguments.compile if compiled else arguments.files:
            elements = data.read(path)
            dtype = path.stem.rsplit("-", 1)[1]
            logits = torch_cpu.tensor(elements).to(device.name)
            here = {"torch compiled": ("log", torch.compile(torch_cpu.lean, dynamic=False))} if compiled else chosen
            for name, (op, recipe) in here.items():
                top = {"sample": 0, "log-softmax": None}.get(op, arguments.top)
                cell = Cell(name, op, *elements.shape, dtype, top)
                if time.monotonic() < arguments.deadline:
                    measure(cell, recipe, arguments.top, logits, device, not arguments.large)
                else:
                    cell.notes.append(f"skipped: {arguments.seconds:.0f} s were over")
                yield cell
            del logits
            if device.cuda:
                torch.cuda.empty_cache()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", help="of data.py: KIND-ROWSxVOCAB-DTYPE.npy")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--recipes", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--compile", type=Path, nargs="*", default=[], help="files for torch.compile as well")
    parser.add_argument("--large", action="store_true", help="few runs, no graphs")
    parser.add_argument("--check", metavar="SORTILEGE", help="compare torch's records with those of this program first")
    parser.add_argument("--check-device", default="gpu", help="where that program runs")
    parser.add_argument("--seconds", type=float, default=600, help="cells after this time are skipped")
    parser.add_argument("-o", "--output", type=Path, required=True)
    out = parser.parse_args()
    out.deadline = time.monotonic() + out.seconds
    return out


def main() -> int:
    arguments = parse()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(f"torch {torch.__version__} sees no CUDA device: is its CUDA build installed, and nvidia-smi happy?", file=sys.stderr)
        return 1
    torch.manual_seed(1)
    device = Device(arguments.device)
    try:
        for path in arguments.files if arguments.check else []:
            check_outputs(path, arguments.check, arguments.check_device, arguments.top, device)
    except check.Mismatch as mismatch:
        print(f"mismatch: {mismatch}", file=sys.stderr)
        return 3
    with open(arguments.output, "w") as out, torch.inference_mode():
        for cell in cells(arguments, device):
            out.write(json.dumps(asdict(cell)) + "\n")
            out.flush()
            print(f"{cell.program} [{cell.rows}][{cell.vocab}] {cell.dtype} {'; '.join(cell.notes)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
