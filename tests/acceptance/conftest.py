"""The command line in a workspace of its own: in this process or, where that is the point, as the installed command."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "treadle"


@dataclass
class Shell:
    """Runs `treadle` in one folder."""

    folder: Path
    installed: bool = False
    """Whether each command is a process of its own, which costs half a second; what it leaves behind always is."""

    def run(self, *arguments, code=0, **options):
        words = [*map(str, arguments)]
        if self.installed or "env" in options:
            done = subprocess.run(
                [COMMAND, *words], cwd=self.folder, capture_output=True, text=True, timeout=240, **options
            )
        else:
            done = called(words, self.folder, **options)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options).stdout)

    def said(self, *arguments, code=0):
        """What it printed, or its JSON."""
        done = self.run(*arguments, code=code)
        answered = "--json" in arguments and (code == 0 or not done.stderr)
        return json.loads(done.stdout) if answered else done.stdout + done.stderr

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


def called(words, folder, input=""):  # noqa: A002 - as subprocess.run has it
    """The command in this process."""
    from treadle.cli.main import main

    code, output, errors, stdin = 0, io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(input.encode()))
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main(words)
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdin = stdin
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


@pytest.fixture
def installed():
    """Whether the tests of a file run the installed command; those that want it say so with a fixture of this name."""
    return False


@pytest.fixture
def shell_without_workspace(tmp_path, installed):
    return Shell(tmp_path, installed)


@pytest.fixture
def shell(shell_without_workspace):
    folder = shell_without_workspace.folder / "lab"
    shell_without_workspace.run("init", folder)
    return replace(shell_without_workspace, folder=folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Runs `treadle` in a workspace in the current folder; returns what it printed, or its JSON."""
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path)
    shell.run("init", ".")
    return shell.said


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
def fed(fed_once, tmp_path, installed):
    """A shell with a fed model `bard` that was never trained."""
    return Shell(copied(fed_once, tmp_path), installed)


@pytest.fixture
def trained(trained_once, tmp_path, installed):
    """A shell with a model `bard` that has made six steps."""
    return Shell(copied(trained_once, tmp_path), installed)
