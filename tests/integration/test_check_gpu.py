"""What `scripts/check-gpu` runs, on the processor: the checks themselves are right, and a results file appears."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_the_checks_run_where_there_is_no_card_and_are_written_down(tmp_path):
    results = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--quick", "--only", "16", "--results", results]
    done = subprocess.run([sys.executable, PROGRAM, *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert set(found["checks"]) == {"bf16 near fp32", "fp16 with a scaled loss near fp32"}
    assert all(check["ok"] and 0 < check["largest_difference"] < 0.05 for check in found["checks"].values())
    assert found["machine"]["torch"]
    assert f"Written: {results}" in done.stdout
