"""Each example runs as a person would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_something(path, tmp_path):
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


def test_every_example_stands_in_the_index():
    index = (EXAMPLES[0].parent / "README.md").read_text()
    assert all(f"({path.name})" in index for path in EXAMPLES)
