"""Small steps of `scripts/gpu-bench`: `gpu_steps.py adapter|data|bits …`; each says in its function what it takes."""

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

import check
import data
import program

NO_GPU = """\
no hardware adapter was found by `sortilege info`. Vulkan needs
  1. the loader: `ldconfig -p | grep libvulkan.so.1` must print a line (Debian and Ubuntu: package libvulkan1)
  2. the driver's ICD: a file nvidia_icd.json in /usr/share/vulkan/icd.d or /etc/vulkan/icd.d, or elsewhere with
     VK_DRIVER_FILES=/path/to/nvidia_icd.json
  3. in a container: the driver's graphics libraries (NVIDIA_DRIVER_CAPABILITIES=all), not only its compute ones"""


def adapter(sortilege: str, device: str, dry_run: str, folder: str) -> int:
    """Writes what the figures belong to (`about.json`) and a name for them (`name`); 4 where there is no fit adapter."""
    info = json.loads(subprocess.run([sortilege, "info", "--json"], capture_output=True, check=True).stdout)
    fit = [a for a in info["adapters"] if a["unfit"] is None]
    found = [a for a in fit if (device in a["name"] if dry_run == "1" else not a["software"])]
    if not found:
        print(NO_GPU if dry_run != "1" else f"there is no adapter {device}: install Mesa's Vulkan driver", file=sys.stderr)
        for a in info["adapters"]:
            print(f"found {a['adapter']} ({a['kind']}): {a['unfit'] or 'a software adapter'}", file=sys.stderr)
        return 4
    import torch

    cuda = torch.cuda.is_available()
    about = {
        "date": datetime.date.today().isoformat(),
        "adapter": found[0]["adapter"],
        "driver": found[0]["driver"],
        "backend": found[0]["backend"],
        "version": info["version"],
        "torch": torch.__version__,
        "torch_device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "dry_run": dry_run == "1",
    }
    (Path(folder) / "about.json").write_text(json.dumps(about))
    slug = re.sub(r"[^a-z0-9]+", "-", about["adapter"].lower()).strip("-")
    (Path(folder) / "name").write_text(f"{about['date']}-{slug}{'-dry-run' if about['dry_run'] else ''}")
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    return 0


def make(folder: str, *shapes: str) -> int:
    """Files of normal logits, a shape being ROWSxVOCABxDTYPE; rows past 512 repeat, since no time depends on values."""
    for shape in shapes:
        rows, vocab, dtype = shape.split("x")
        path = Path(folder) / f"normal-{rows}x{vocab}-{dtype}.npy"
        distinct = min(int(rows), 512)
        elements = data.read(data.make(Path(folder), "normal", distinct, int(vocab), (dtype,))[dtype])
        if int(rows) > distinct:
            data.write(path, data.np.concatenate([elements] * -(-int(rows) // distinct))[: int(rows)])
    return 0


def bits(sortilege: str, device: str, file: str, dtype: str, out: str) -> int:
    """Whether rows of ours have the same bits alone as among all rows of the file; 3 where they have not."""
    elements = data.read(Path(file))
    rows, vocab = elements.shape
    targets = data.targets(rows, vocab)

    def log(path: Path, targets: list[int]) -> list[dict]:
        lines = program.log(sortilege, path, dtype, targets, 20, device)
        return [{name: value for name, value in line.items() if name not in ("request", "position")} for line in lines]

    together = log(Path(file), targets)
    chosen = sorted({0, 17 % rows, rows // 2, rows - 1})
    same = 0
    for row in chosen:
        alone = Path(out).with_name(f"row-{row}-{dtype}.npy")
        data.write(alone, elements[row : row + 1])
        same += log(alone, targets[row : row + 1]) == together[row : row + 1]
    Path(out).write_text(json.dumps({"among": rows, "dtype": dtype, "rows": len(chosen), "same": same}))
    if same != len(chosen):
        raise check.Mismatch(f"{len(chosen) - same} of {len(chosen)} rows have other bits alone")
    return 0


if __name__ == "__main__":
    step = {"adapter": adapter, "data": make, "bits": bits}[sys.argv[1]]
    try:
        sys.exit(step(*sys.argv[2:]))
    except check.Mismatch as mismatch:
        print(f"mismatch: {mismatch}", file=sys.stderr)
        sys.exit(3)
