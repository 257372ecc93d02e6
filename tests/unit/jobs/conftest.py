import os
import subprocess
import sys

import pytest

from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.ledger import Ledger
from treadle.store.opening import open_database
from treadle.store.workspace import create_workspace


class Ledgers:
    """A workspace with its ledger: opened as often as a test wants, in this process or, by environment, in another."""

    def __init__(self, workspace, environment):
        self.workspace = workspace
        self.environment = environment

    def open(self):
        return Ledger(*open_database(self.workspace, self.environment))

    def process_environment(self):
        return {**os.environ, **self.environment}


@pytest.fixture(params=["sqlite", "postgres"])
def ledgers(request, quick_folder):
    workspace = create_workspace(quick_folder / "lab")
    if request.param == "sqlite":
        return Ledgers(workspace, {})
    return Ledgers(workspace, {"TREADLE_DATABASE_URL": request.getfixturevalue("postgres_url")})


@pytest.fixture
def ledger(ledgers):
    with ledgers.open() as opened:
        yield opened


@pytest.fixture
def me():
    return WorkerIdentity.current()


@pytest.fixture
def other_process():
    """A living process that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()
