"""Our program, as the campaign on a GPU asks it."""

import json
import subprocess
from pathlib import Path

import check


def log(program: str, path: Path, dtype: str, targets: list[int], top: int, device: str) -> list[dict]:
    """The records of `sortilege log`, a dict per row. A mismatch of its own stays one; any other failure ends this program."""
    command = [program, "log", path, "--dtype", dtype, "--tokens", ",".join(map(str, targets))]
    command += ["--top", str(top), "--device", device, "--format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        failed = f"`sortilege log {path}` failed with {done.returncode}: {done.stderr.strip()}"
        raise check.Mismatch(failed) if done.returncode == 3 else SystemExit(failed)
    return [json.loads(line) for line in done.stdout.splitlines()]
