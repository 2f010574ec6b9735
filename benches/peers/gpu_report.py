"""Joins what `scripts/gpu-bench` measured into one .json and one .md: `gpu_report.py FOLDER OUT_STEM`.

FOLDER holds `about.json`, `steps.tsv` (name, exit code, seconds), `ours-*.jsonl` of `sortilege bench`, `torch-*.jsonl` of
`torch_cuda.py`, `bits.json`, and `notes.txt` where a step was left out. Both files are written beside their names, then
renamed.
"""

import json
import statistics
import sys
from pathlib import Path

Cell = dict[str, object]
Key = tuple[str, int, int, str, int]

# In the order of the table.
OPS = ("log", "sample", "log-softmax", "top-k", "sample top-k top-p")
# The only pass that reads all logits.
FIRST_PASS = "tile_stats"
OUT_OF_TIME = "124"
RESULTS = {"0": "ok", "3": "mismatch", OUT_OF_TIME: "out of time"}
HEADER = (
    "| op | top | rows | vocab | dtype | program | kernels | GPU µs, cold | of ceiling | GPU µs, graph, rotating | of ceiling "
    "| GPU µs, warm | of ceiling | wall µs | wall µs, ring | launches | MB beside the logits | same bits alone "
    "| over ours: cold | rotating over cold | warm | wall |"
)
# A time, and what of ours has the same cache: the ceiling's name, and our time that a ratio is taken with.
TIMES = {"cold_us": "cold", "rotating_us": "cold", "warm_us": "warm"}
EXPLAINED = """\
Cold: a write of 256 MiB before each call; where a call of torch is many launches, the gaps between them count. Rotating: a CUDA
graph of 20 calls over copies of the input that exceed four L2 caches, so that its input is never cached; it stands beside our
cold time and the cold ceiling. Warm: ours repeats a call on the same logits, torch's graph does; an input larger than four L2
caches is measured once for both. Ceiling: a plain read of the same buffer by our own kernel in the same run, with the same
cache, against one read of the logits. Wall: to results in host memory. torch lean, torch compiled and flashinfer give no rank;
a draw from the top k and top p has nothing of ours beside it."""


def lines(folder: Path, pattern: str) -> list[Cell]:
    """The objects of all files; the last line of a program that was stopped may be cut."""
    out = []
    for path in sorted(folder.glob(pattern)):
        for line in path.read_text().splitlines():
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError:
                print(f"{path.name}: a cut line is left out", file=sys.stderr)
    return out


def key(cell: Cell) -> Key:
    """What two programs have in common that do the same; -1 for an op without a `top`."""
    top = cell["top"]
    return (str(cell["op"]), int(cell["vocab"]), int(cell["rows"]), str(cell["dtype"]), -1 if top is None else int(top))


def ours(cells: list[Cell]) -> dict[Key, list[Cell]]:
    """A line of the table per cell and kernels of ours, cold and warm side by side; the first is what a
    peer is held against, the kernels by integers alone only where there are no others."""
    lines: dict[tuple[Key, object], Cell] = {}
    for cell in cells:
        kernels = cell.get("kernels")
        line = lines.setdefault((key(cell), kernels), {"program": "sortilege", "kernels": kernels, "notes": []})
        cache = "cold" if cell.get("cache") == "cold" else "warm"
        line[f"{cache}_us"] = cell.get("gpu_us")
        line[f"{cache}_ceiling"] = cell.get("ceiling_gb_per_s")
        line[f"{cache}_us_percent"] = percent(cell, cell.get("gpu_us"), cell.get("ceiling_gb_per_s"))
        line["launches"] = cell.get("dispatches")
        if cache == "warm":
            line["wall_us"], line["ring_us"] = cell.get("wall_us"), cell.get("wall_ring_us")
        if cell.get("error"):
            line["notes"].append(cell["error"])
    out: dict[Key, list[Cell]] = {}
    for (place, _), line in sorted(lines.items(), key=lambda item: item[0][1] == "integers"):
        out.setdefault(place, []).append(line)
    return out


def percent(cell: Cell, us: object, ceiling: object) -> float | None:
    """One read of the logits in this time, of the rate of a plain read."""
    element = 4 if cell["dtype"] == "f32" else 2
    bytes_once = int(cell["rows"]) * int(cell["vocab"]) * element
    return bytes_once / (float(us) * 1e3) / float(ceiling) * 100 if us and ceiling else None


def table(ours_by: dict[Key, list[Cell]], torch: list[Cell]) -> str:
    peers: dict[Key, list[Cell]] = {}
    for cell in torch:
        peers.setdefault(key(cell), []).append(cell)
    rows = [HEADER, "|" + "---|" * HEADER.count(" |")]
    for place in sorted(ours_by.keys() | peers.keys(), key=lambda k: (OPS.index(k[0]), *k[1:])):
        mine = ours_by.get(place, [])
        our = mine[0] if mine else {}
        rows += [row(place, cell, our) for cell in mine]
        rows += [row(place, {**peer, **shares(peer, our)}, our) for peer in peers.get(place, [])]
    return "\n".join(rows)


def shares(peer: Cell, our: Cell) -> Cell:
    """What a peer's times have of the ceilings that were measured beside ours."""
    return {f"{us}_percent": percent(peer, peer.get(us), our.get(f"{cache}_ceiling")) for us, cache in TIMES.items()}


def row(place: Key, cell: Cell, our: Cell) -> str:
    op, vocab, rows, dtype, top = place
    same, peak = cell.get("same_bits_alone"), cell.get("peak_bytes")
    parts = [op, top if top >= 0 else None, rows, vocab, dtype, cell["program"], cell.get("kernels")]
    parts += [text for us in TIMES for text in (number(cell.get(us)), share(cell.get(f"{us}_percent")))]
    parts += [number(cell.get("wall_us")), number(cell.get("ring_us")), cell.get("launches")]
    parts += [number(float(peak) / 1e6) if peak is not None else None, None if same is None else "yes" if same else "no"]
    parts += [ratio(cell.get(us), our.get(f"{cache}_us")) for us, cache in TIMES.items()]
    parts += [ratio(cell.get("wall_us"), our.get("wall_us"))]
    return "| " + " | ".join("" if part is None else str(part) for part in parts) + " |"


def number(value: object) -> str | None:
    return None if value is None else f"{float(value):.3g}" if float(value) < 1000 else f"{float(value):.0f}"


def share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f} %"


def ratio(value: object, base: object) -> str | None:
    return f"{float(value) / float(base):.2f}x" if value and base else None


def passes(cells: list[Cell]) -> str:
    """Where the time of ours goes: each pass, and what the first has of the ceiling, since it reads all logits."""
    names = sorted({name for cell in cells for name in cell.get("pass_us") or {}}, key=lambda n: (n != FIRST_PASS, n))
    rows = [f"| op | top | rows | vocab | dtype | kernels | cache | {' | '.join(names)} | {FIRST_PASS} of ceiling | GPU µs | p95 |"]
    rows.append("|" + "---|" * rows[0].count(" |"))
    for cell in sorted((c for c in cells if c.get("pass_us")), key=lambda c: (OPS.index(str(c["op"])), *key(c)[1:])):
        us = dict(cell["pass_us"])
        parts = [cell["op"], cell["top"], cell["rows"], cell["vocab"], cell["dtype"], cell.get("kernels"), cell["cache"]]
        parts += [number(us.get(name)) for name in names]
        parts += [share(percent(cell, us.get(FIRST_PASS), cell.get("ceiling_gb_per_s")))]
        parts += [number(cell.get("gpu_us")), number(cell.get("p95_us"))]
        rows.append("| " + " | ".join("" if part is None else str(part) for part in parts) + " |")
    return "\n".join(rows)


def link(cells: list[Cell]) -> list[str]:
    """What any call pays beside its kernels, the median over all cells."""
    names = {"empty_submit_us": "an empty submit", "map_us": "a copy of 4 KiB and its map", "gap_us": "between dependent dispatches"}
    found = {text: [float(c[name]) for c in cells if c.get(name)] for name, text in names.items()}
    said = [f"{text} {statistics.median(values):.3g} µs" for text, values in found.items() if values]
    return ["", "Measured beside: " + ", ".join(said) + "."] if said else []


def notes(ours_by: dict[Key, list[Cell]], torch: list[Cell]) -> list[str]:
    """What could not be measured and why, each reason once."""
    found: dict[str, list[str]] = {}
    cells = [(place, cell) for place, lines in ours_by.items() for cell in lines] + [(key(cell), cell) for cell in torch]
    for (op, vocab, rows, dtype, _), cell in cells:
        for note in cell.get("notes") or []:
            found.setdefault(f"{cell['program']}, {op}: {note}", []).append(f"[{rows}][{vocab}] {dtype}")
    return [f"- {note} ({', '.join(places)})" for note, places in found.items()]


def write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(text)
    beside.rename(path)


def main(arguments: list[str]) -> int:
    folder, stem = map(Path, arguments)
    about = json.loads((folder / "about.json").read_text())
    steps = [line.split("\t") for line in (folder / "steps.tsv").read_text().splitlines()]
    # The full validation takes what time is left; that it did not end is said in its line.
    failed = [name for name, code, _ in steps if code != "0" and (name, code) != ("validate all", OUT_OF_TIME)]
    our_cells, torch = lines(folder, "ours-*.jsonl"), lines(folder, "torch-*.jsonl")
    if not our_cells and not torch:
        print("no cell was measured: nothing is written", file=sys.stderr)
        return 1
    by_place = ours(our_cells)
    bits = json.loads((folder / "bits.json").read_text()) if (folder / "bits.json").exists() else None

    report = {**about, "complete": not failed, "steps": [{"name": n, "exit": int(c), "seconds": float(s)} for n, c, s in steps]}
    write(stem.with_name(stem.name + ".json"), json.dumps({**report, "bits": bits, "ours": our_cells, "torch": torch}, indent=1) + "\n")

    text = [f"# {about['adapter']}, {about['date']}", ""]
    if failed:
        text += [f"**Incomplete: these steps failed: {', '.join(failed)}.** What is below was measured before or beside them.", ""]
    if about["dry_run"]:
        text += ["A dry run on a software adapter, torch on the CPU: it shows that the campaign works; its times say nothing.", ""]
    text += [f"- {name}: {value}" for name, value in about.items()]
    text += ["", "| step | result | s |", "|---|---|---|"]
    text += [f"| {name} | {RESULTS.get(code, f'exit {code}')} | {seconds} |" for name, code, seconds in steps]
    if bits is not None:
        text += ["", f"Rows of ours that have the same bits alone as among {bits['among']}: {bits['same']} of {bits['rows']}."]
    text += ["", EXPLAINED, "", table(by_place, torch), ""]
    text += ["Our passes, µs:", "", passes(our_cells), *link(our_cells), ""]
    left_out = folder / "notes.txt"
    why = (left_out.read_text().splitlines() if left_out.exists() else []) + notes(by_place, torch)
    text += ["What was not measured:", "", *why, ""] if why else []
    write(stem.with_name(stem.name + ".md"), "\n".join(text))
    print(stem.with_name(stem.name + ".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
