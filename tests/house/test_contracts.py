"""Each import contract is shown to fail when it is broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "lint-imports"
BREACHES = {
    "a lower room imports a higher one": ("base/units.py", "import treadle.cli.main", "Layers"),
    "rooms of one row import each other": ("generation/engine.py", "import treadle.training.loop", "Layers"),
    "a room that no layer names": ("helpers.py", "import treadle.base.units", "Layers"),
    "an import inside a function": ("data/words.py", "def f():\n    import treadle.models.family", "Layers"),
    "the control plane imports numpy": ("jobs/runs.py", "import numpy", "The control plane"),
    "an operation imports torch": ("operations/models.py", "import torch", "The control plane"),
    "someone else imports Hydra": ("recipes/train.py", "import hydra", "Only config.hydra_reading knows Hydra"),
    "someone else speaks SSH": ("remote/local.py", "def f():\n    import asyncssh", "Only remote.ssh speaks SSH"),
    "someone else speaks SQL": ("jobs/ledger_work.py", "def f():\n    import sqlite3", "SQL is spoken"),
    "a door asks the server itself": ("cli/main.py", "import psycopg", "SQL is spoken"),
    "a cycle of modules": ("data/loader.py", "import treadle.data.token_data", "No cycles"),
}


def contracts(folder):
    done = subprocess.run(
        [COMMAND, "--no-cache"], cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": "src"}
    )
    return done.returncode, done.stdout


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.txt", "*.cpp"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept(copy):
    code, output = contracts(copy)
    assert code == 0, output


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(copy, breach):
    file, line, contract = BREACHES[breach]
    path = copy / "src" / "treadle" / file
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    code, output = contracts(copy)
    assert code == 1
    assert any(row.startswith(contract) or contract in row for row in output.splitlines()), output
