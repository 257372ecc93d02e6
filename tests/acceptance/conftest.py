"""The installed command as a process, in a workspace of its own."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "treadle"


@dataclass
class Shell:
    """Runs `treadle` in one folder."""

    folder: Path

    def run(self, *arguments, code=0, **options):
        done = subprocess.run(
            [COMMAND, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, timeout=240, **options
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options).stdout)

    def refused(self, *arguments, code=2, **options):
        """Run something that must fail with one clear message; returns it."""
        done = self.run(*arguments, code=code, **options)
        assert done.stdout == ""
        assert 0 < len(done.stderr.splitlines()) <= 12
        return done.stderr

    def make(self, name, *files):
        """Make a model that trains in seconds, and feed it."""
        self.run("new", name, "--size", "nano", "--tokenizer", "char", *TINY)
        self.run("feed", name, *files)

    def start(self, *arguments):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([COMMAND, *map(str, arguments)], cwd=self.folder, **pipes)


@pytest.fixture
def shell(tmp_path):
    folder = tmp_path / "lab"
    Shell(tmp_path).run("init", folder)
    return Shell(folder)


@pytest.fixture
def here(tmp_path, monkeypatch, capfd):
    """Runs `treadle` in this process, in a workspace of its own; returns what it printed, or its JSON."""
    from treadle.cli.main import main
    from treadle.operations.api import Workspace

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Workspace.create(".")

    def call(*arguments, code=0):
        ended = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            ended = end.code or 0
        shown = capfd.readouterr()
        assert ended == code, shown.out + shown.err
        return json.loads(shown.out) if "--json" in arguments and code == 0 else shown.out + shown.err

    return call


TINY = ("family.layers=2", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4")
"""Flags that make the size nano even smaller: seconds, not minutes."""


@pytest.fixture
def text(tmp_path):
    """Sixty kilobytes of Shakespeare."""
    return written_text(tmp_path)


def written_text(folder):
    from treadle.data.bundled.texts import bundled_text

    path = folder / "play.txt"
    path.write_text(bundled_text("shakespeare").read_text(encoding="utf-8")[:60_000], encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def fed_once(tmp_path_factory):
    """A workspace with a fed model `bard`, of which tests get copies: making one takes three processes."""
    folder = tmp_path_factory.mktemp("fed")
    Shell(folder).run("init", "lab")
    shell = Shell(folder / "lab")
    shell.make("bard", written_text(folder))
    at_rest(shell)
    return shell.folder


@pytest.fixture(scope="session")
def trained_once(fed_once, tmp_path_factory):
    """The same after six steps of training."""
    shell = Shell(copied(fed_once, tmp_path_factory.mktemp("trained")))
    shell.run("train", "bard", "--steps", 6, "training.sample_every=0")
    at_rest(shell)
    return shell.folder


def at_rest(shell):
    """End the workspace's processes, so that its folder is still."""
    shell.run("worker", "stop")
    deadline = time.monotonic() + 60
    while shell.json("worker", "status")["workers"] and time.monotonic() < deadline:
        time.sleep(0.05)


def copied(lab, folder):
    return Path(shutil.copytree(lab, folder / "lab", symlinks=True, ignore=shutil.ignore_patterns(".worker")))


@pytest.fixture
def fed(fed_once, tmp_path):
    """A shell with a fed model `bard` that was never trained."""
    return Shell(copied(fed_once, tmp_path))


@pytest.fixture
def trained(trained_once, tmp_path):
    """A shell with a model `bard` that has made six steps."""
    return Shell(copied(trained_once, tmp_path))
