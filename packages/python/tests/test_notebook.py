"""The notebook of examples/, executed: every cell runs, and says what its text promises."""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = next(folder / "examples/notebook.ipynb" for folder in Path(__file__).parents if (folder / "examples/notebook.ipynb").exists())


def test_the_notebook_runs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the tree"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.get("text", "") for output in outputs)
    data = [output["data"] for output in outputs if "data" in output]
    assert "perplexity 46.393" in text
    assert sum("image/png" in one for one in data) == 2
    pages = [one["text/html"] for one in data if "rank " in one.get("text/html", "")]
    assert len(pages) == 3 and all(page.count("<span") == 192 for page in pages)
    assert re.search(r"192 records, all as they must be", str(data))
