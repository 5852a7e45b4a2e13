"""The notebook runs from a clean clone, and what is committed of it was run."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples/drift_analysis.ipynb"
FIGURES = 4


def shown(notebook, kind):
    """Give what its cells show of one kind."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


# Jupyter's own, at its end: it closes neither its loop nor its sockets.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_makes_its_own_buffer_and_shows_what_moved(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fresh = nbformat.read(NOTEBOOK, as_version=4)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(fresh, timeout=100, resources=folder).execute()
    assert len(shown(fresh, "image/png")) == FIGURES
    newest, policies = shown(fresh, "text/plain")[0], shown(fresh, "text/plain")[-1]
    assert "high" in newest
    assert "temp" in newest
    assert "psi" in policies


def test_it_was_run_before_it_was_committed(committed):
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(shown(committed, "image/png")) == FIGURES
    outputs = [output for cell in code for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}


def test_it_is_small_and_names_nobodys_folders(committed):
    assert NOTEBOOK.stat().st_size < 300_000
    text = nbformat.writes(committed)
    assert not [name for name in ("/home/", "/root/", "/Users/", "/tmp") if name in text]  # noqa: S108  # names alone
