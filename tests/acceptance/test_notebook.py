"""The notebook is executed as a person would, with fewer steps; its pictures are there."""

import base64
import os
import tempfile
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

import nbformat  # noqa: E402

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebooks" / "workflow.ipynb"


@pytest.mark.filterwarnings("ignore")  # of the notebook's own machinery
def test_the_workflow_from_data_to_comparison_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, "NOTEBOOK_STEPS": "20", "IPYTHONDIR": str(tmp_path / "ipython")})
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3  # the curve, the inspected text, the comparison
    assert all(len(base64.b64decode(picture)) > 5_000 for picture in pictures)
    said = "".join(output.get("text", "") for output in outputs)
    assert "20 steps, held out" in said
    assert "bits per byte" in said
    tables = "".join(output["data"].get("text/markdown", "") for output in outputs if "data" in output)
    assert "| temperature | names |" in tables
    assert "optimizer=muon" in tables


def test_the_notebook_is_shown_executed_and_names_no_folder_of_its_maker():
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert tempfile.gettempdir() not in text
    assert len(text) < 600_000
