"""Each import contract is shown to fail when it is broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "lint-imports"
BREACHES = {
    "a lower room imports a higher one": (
        "base/units.py",
        "import treadle.cli.main",
        "treadle.base.units -> treadle.cli.main",
    ),
    "rooms of one row import each other": (
        "generation/engine.py",
        "import treadle.training.loop",
        "treadle.generation.engine -> treadle.training.loop",
    ),
    "a room that no layer names": ("helpers.py", "import treadle.base.units", "- treadle.helpers\n"),
    "an import inside a function": (
        "data/words.py",
        "def f():\n    import treadle.models.family",
        "treadle.data.words -> treadle.models.family",
    ),
    "the control plane imports numpy": ("jobs/runs.py", "import numpy", "treadle.jobs.runs -> numpy"),
    "an operation imports torch": ("operations/models.py", "import torch", "treadle.operations.models -> torch"),
    "someone else imports Hydra": ("recipes/train.py", "import hydra", "treadle.recipes.train -> hydra"),
    "someone else speaks SSH": ("remote/local.py", "def f():\n    import asyncssh", "treadle.remote.local -> asyncssh"),
    "someone else speaks SQL": (
        "jobs/ledger_work.py",
        "def f():\n    import sqlite3",
        "treadle.jobs.ledger_work -> sqlite3",
    ),
    "a door asks the server itself": ("cli/main.py", "import psycopg", "treadle.cli.main -> psycopg"),
    "a cycle of modules": (
        "data/loader.py",
        "import treadle.data.token_data",
        "No cycles are allowed in treadle.data.",
    ),
}
"""File, line that is added to it, and what must be said of it."""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What is said of a copy with all breaches; `scripts/check` says that the original has none."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.txt", "*.cpp"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, line, _ in BREACHES.values():
        path = folder / "src" / "treadle" / file
        path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    done = subprocess.run(
        [COMMAND, "--no-cache"], cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": "src"}
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(told, breach):
    assert BREACHES[breach][2] in told
