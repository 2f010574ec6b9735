"""`python3 gpu_test.py`: the report joins only what is the same, and a mismatch keeps its exit code."""

import json
import stat
import tempfile
import unittest
from pathlib import Path

import torch

import check
import data
import gpu_report
import gpu_steps
import torch_cuda

VOCAB = 1000
OURS = {
    "op": "log",
    "top": 20,
    "rows": 1,
    "vocab": VOCAB,
    "dtype": "f32",
    "kernels": "floats",
    "cache": "warm",
    "gpu_us": 10.0,
    "wall_us": 80.0,
    # A read of these logits in 1 µs.
    "ceiling_gb_per_s": 4.0,
}
COLD = {**OURS, "cache": "cold", "gpu_us": 20.0, "ceiling_gb_per_s": 2.0}
TORCH = {
    "program": "torch lean",
    **{name: OURS[name] for name in ("op", "top", "rows", "vocab", "dtype")},
    "cold_us": 30.0,
    "rotating_us": 40.0,
    "warm_us": 50.0,
    "wall_us": 160.0,
}


def lines(ours: list[dict], torch: list[dict]) -> list[dict[str, str]]:
    """The lines of the table, each by the heads of its columns; one that is there twice has its number: `of ceiling 2`."""
    text = gpu_report.table(gpu_report.ours(ours), torch).splitlines()
    heads = []
    for head in cut(text[0]):
        seen = sum(other.split(" #")[0] == head for other in heads)
        heads.append(f"{head} #{seen + 1}" if seen else head)
    return [dict(zip(heads, cut(line), strict=True)) for line in text[2:]]


def cut(line: str) -> list[str]:
    return [part.strip() for part in line.split("|")[1:-1]]


class Table(unittest.TestCase):
    def test_each_time_has_the_base_of_its_cache(self) -> None:
        ours, peer = lines([OURS, COLD], [TORCH])
        self.assertEqual((ours["of ceiling"], ours["of ceiling #2"], ours["of ceiling #3"]), ("10 %", "", "10 %"))
        self.assertEqual((peer["of ceiling"], peer["of ceiling #2"], peer["of ceiling #3"]), ("7 %", "5 %", "2 %"))
        ratios = (peer["over ours: cold"], peer["rotating over cold"], peer["warm"], peer["wall"])
        self.assertEqual(ratios, ("1.50x", "2.00x", "5.00x", "2.00x"))

    def test_without_our_cold_cell_nothing_cold_is_compared(self) -> None:
        _, peer = lines([OURS], [TORCH])
        self.assertEqual((peer["of ceiling"], peer["of ceiling #2"]), ("", ""))
        self.assertEqual((peer["over ours: cold"], peer["rotating over cold"], peer["warm"]), ("", "", "5.00x"))

    def test_a_filtered_draw_is_compared_with_nothing(self) -> None:
        plain = {"op": "sample", "top": 0}
        filtered = {**TORCH, "op": torch_cuda.FILTERED, "program": "flashinfer top-k top-p draw"}
        for top in (0, 20):
            with self.subTest(top=top):
                *_, peer = lines([{**OURS, **plain}, {**COLD, **plain}], [{**filtered, "top": top}])
                self.assertEqual(peer["op"], torch_cuda.FILTERED)
                self.assertTrue(peer["GPU µs, warm"])
                self.assertEqual({peer[name] for name in ("over ours: cold", "rotating over cold", "warm", "wall")}, {""})

    def test_both_kernels_have_a_line_and_peers_are_held_against_the_faster(self) -> None:
        integers = {**OURS, "kernels": "integers", "gpu_us": 25.0}
        first, second, peer = lines([integers, OURS], [TORCH])
        self.assertEqual((first["kernels"], second["kernels"], peer["kernels"]), ("floats", "integers", ""))
        self.assertEqual((second["warm"], peer["warm"]), ("2.50x", "5.00x"))

    def test_integer_kernels_are_the_base_where_there_are_no_others(self) -> None:
        _, peer = lines([{**OURS, "kernels": "integers", "gpu_us": 25.0}], [TORCH])
        self.assertEqual(peer["warm"], "2.00x")

    def test_an_older_program_that_names_no_kernels(self) -> None:
        older = {name: value for name, value in OURS.items() if name != "kernels"}
        ours, peer = lines([older], [TORCH])
        self.assertEqual((ours["kernels"], peer["warm"]), ("", "5.00x"))


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_cut_line_is_left_out(self) -> None:
        text = json.dumps(OURS) + "\n" + json.dumps(COLD)
        (self.folder / "ours-core.jsonl").write_text(text[:-9])
        self.assertEqual(gpu_report.lines(self.folder, "ours-*.jsonl"), [OURS])

    def test_a_report_names_what_was_left_out(self) -> None:
        about = {"adapter": "adapter", "date": "2000-01-01", "dry_run": False}
        (self.folder / "about.json").write_text(json.dumps(about))
        (self.folder / "steps.tsv").write_text("core\t0\t1\n")
        (self.folder / "ours-core.jsonl").write_text(json.dumps(OURS) + "\n")
        (self.folder / "notes.txt").write_text("- a note\n")
        self.assertEqual(gpu_report.main([str(self.folder), str(self.folder / "report")]), 0)
        self.assertIn("What was not measured:\n\n- a note\n", (self.folder / "report.md").read_text())

    def assert_both_raise(self, kind: type[BaseException], code: int) -> None:
        """Both checks that ask our program, beside one that only exits with this code."""
        program = self.folder / "sortilege"
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        path = data.make(self.folder, "normal", 2, VOCAB, ("f32",))["f32"]
        with self.assertRaises(kind):
            torch_cuda.check_outputs(path, str(program), "cpu", 5, torch_cuda.Device("cpu"))
        with self.assertRaises(kind):
            gpu_steps.bits(str(program), "cpu", str(path), "f32", str(self.folder / "bits.json"))

    def test_a_mismatch_of_ours_stays_one(self) -> None:
        self.assert_both_raise(check.Mismatch, 3)

    def test_any_other_failure_of_ours_is_no_mismatch(self) -> None:
        self.assert_both_raise(SystemExit, 1)


class Counted(torch_cuda.Device):
    """A device that notes how many inputs each graph was given, instead of timing it."""

    def __init__(self, l2_bytes: int) -> None:
        super().__init__("cpu")
        self.l2_bytes, self.graphs = l2_bytes, []

    def graph_us(self, recipe: torch_cuda.Recipe, inputs: list[torch.Tensor]) -> float:
        self.graphs.append(len({tensor.data_ptr() for tensor in inputs}))
        return float(len(self.graphs))


class Graphs(unittest.TestCase):
    def measure(self, l2_bytes: int) -> tuple[torch_cuda.Cell, list[int]]:
        device = Counted(l2_bytes)
        cell = torch_cuda.Cell("torch lean", "log", 1, VOCAB, "f32", 20)
        torch_cuda.graphs(cell, lambda logits: None, torch.zeros(1, VOCAB), device, lambda what, call: call())
        return cell, device.graphs

    def test_a_small_input_takes_turns_with_copies_and_is_repeated(self) -> None:
        cell, inputs = self.measure(25 * VOCAB * 4)
        self.assertEqual((inputs, cell.rotating_us, cell.warm_us), ([100, 1], 1.0, 2.0))

    def test_copies_fill_whole_graphs(self) -> None:
        self.assertEqual(self.measure(VOCAB * 4)[1], [torch_cuda.GRAPH_CALLS, 1])

    def test_an_input_beyond_the_cache_is_measured_once(self) -> None:
        cell, inputs = self.measure(VOCAB)
        self.assertEqual((inputs, cell.rotating_us, cell.warm_us), ([1], 1.0, 1.0))


if __name__ == "__main__":
    unittest.main()
