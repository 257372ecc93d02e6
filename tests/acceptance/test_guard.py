"""Roles through the command line, as a person and a pipeline use them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.flow.guard_landlock import landlock_version

COMMAND = Path(sys.executable).parent / "treadle"
LAYERS = ["auto", "diff"]
UNMEASURED = ("env", "-u", "COVERAGE_PROCESS_CONFIG", "-u", "COVERAGE_PROCESS_START")
"""A guarded command cannot write the data of a coverage run, which lie outside its role."""


class Repository:
    """A git tree with the first set of roles, and `treadle flow guard` in it."""

    def __init__(self, folder):
        self.folder = folder
        self.git("init", "-q")
        self.git("config", "user.email", "someone@example.org")
        self.git("config", "user.name", "Someone")
        for name in ("docs/a.md", "src/app/__init__.py", "tests/test_app.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("")
        self.guard("init")
        self.commit()

    def git(self, *arguments):
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def guard(self, *arguments, code=0):
        command = [COMMAND, "flow", "guard", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if "--json" in arguments else done.stdout + done.stderr


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_a_first_set_of_roles_is_written_once_and_listed(repository):
    shown = repository.guard("list")
    assert "docs: Writes documentation and notes; no code." in shown
    assert "commits     through the guard" in shown
    assert json.loads(repository.guard("list", "--json"))["roles"][0]["name"] == "reader"
    assert "exists; edit it" in repository.guard("init", code=2)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_docs_role_writes_documentation_and_the_guard_commits_it(repository, layer):
    said = repository.guard(
        "run", "--role", "docs", "--layer", layer, "--commit", "Guide", "--", "sh", "-c", "echo b > docs/b.md"
    )
    assert "guard: 1 file changed, all within the role `docs`" in said
    assert ("not prevented" in said) == (layer == "diff" or "diff" in said)
    assert repository.git("show", "--name-only", "--format=%s").split() == ["Guide", "docs/b.md"]
    assert "kept to its own" in repository.guard("check", "--role", "docs", "--range", "HEAD~1..HEAD")


@pytest.mark.parametrize("layer", LAYERS)
def test_code_that_a_docs_role_writes_does_not_get_into_a_commit(repository, layer):
    script = "echo b > docs/b.md; echo x > src/app/x.py; git add -A; git commit -qm code; true"
    code = 3 if layer == "diff" or not landlock_version() else 0
    options = ("--layer", layer, "--commit", "no", "--json", "--output", "../said")
    answer = repository.guard("run", "--role", "docs", *options, "--", "sh", "-c", script, code=code)
    report = json.loads(answer)
    if report["layer"] == "diff":
        assert {finding["path"] for finding in report["findings"]} >= {"src/app/x.py"}
        assert report["commit"] is None
    else:
        assert repository.git("show", "--name-only", "--format=").split() == ["docs/b.md"]
        assert "Permission denied" in (repository.folder.parent / "said").read_text()


def test_a_pipeline_finds_commits_of_code_by_a_docs_role(repository):
    (repository.folder / "src/app/x.py").write_text("x = 1\n")
    (repository.folder / "docs/x.md").write_text("x\n")
    repository.commit()
    said = repository.guard("check", "--role", "docs", "--range", "HEAD~1..HEAD", code=3)
    assert "src/app/x.py: outside the paths of the role `docs` (commit " in said
    assert "docs/x.md" not in said
    report = json.loads(repository.guard("check", "--role", "docs", "--range", "HEAD", "--json", code=3))
    assert [finding["path"] for finding in report["findings"]] == ["src/app/x.py"]


def test_no_commit_widens_its_own_role(repository):
    roles = repository.folder / "flow/system/roles.toml"
    roles.write_text(roles.read_text().replace('writes = ["docs/**",', 'writes = ["src/**", "docs/**",'))
    repository.commit()
    (repository.folder / "src/app/x.py").write_text("x = 1\n")
    repository.commit()
    report = json.loads(repository.guard("check", "--role", "docs", "--range", "HEAD~2..HEAD", "--json", code=3))
    assert {finding["path"]: finding["reason"] for finding in report["findings"]} == {
        "flow/system/roles.toml": "no role may change the roles",
        "src/app/x.py": "outside the paths of the role `docs`",
    }


def test_the_exit_code_of_the_command_is_passed_on(repository):
    repository.guard("run", "--role", "docs", "--", "sh", "-c", "exit 7", code=7)
    said = repository.guard("run", "--role", "doc", "--", "true", code=2)
    assert "Did you mean `docs`?" in said


def test_tests_that_run_under_the_guard_may_not_mock(repository):
    (repository.folder / "tests/test_app.py").write_text(
        "def test_it():\n    mock = __import__('unittest' + '.mock').mock\n    assert mock\n"
    )
    repository.commit()
    command = (
        *UNMEASURED,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
    )
    said = repository.guard("run", "--role", "coder", "--", *command, code=1)
    assert "No-mock gate: tests/test_app.py imports unittest.mock" in said
    repository.guard("run", "--role", "docs", "--", *command)


def test_treadle_itself_offers_a_role_its_operations_only(repository):
    said = repository.guard("run", "--role", "docs", "--", *UNMEASURED, COMMAND, "init", "docs/lab", code=2)
    assert "The role `docs` is not offered `treadle init`." in said
    repository.guard("run", "--role", "docs", "--", *UNMEASURED, COMMAND, "flow", "guard", "list")
    assert "not offered" in repository.guard(
        "run", "--role", "reader", "--", *UNMEASURED, COMMAND, "flow", "add", "x", code=2
    )


def test_the_test_first_gate_through_the_command_line(repository):
    (repository.folder / "tests/test_app.py").write_text("def test_new():\n    from app import new\n    assert new\n")
    repository.commit()
    (repository.folder / "src/app/__init__.py").write_text("new = True\n")
    repository.commit()
    command = f"env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest"
    said = repository.guard("test-first", "--range", "HEAD~2..HEAD", "--command", command)
    assert "tests/test_app.py::test_new: failed" in said
    assert "each failed before its commit and stayed as it was" in said
    (repository.folder / "tests/test_app.py").write_text("def test_more():\n    pass\n")
    repository.commit()
    said = repository.guard("test-first", "--range", "HEAD~3..HEAD", "--command", command, code=3)
    assert "`test_new` is gone after the commit of its tests" in said
    assert "test_more passed on the tree before its commit" in said
