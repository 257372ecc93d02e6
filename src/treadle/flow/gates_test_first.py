"""The test-first gate: new tests fail on the tree before their commit, and stay as they are after it.

Each commit that adds tests is tried in a work tree of its own: the code of its parent with the commit's own tests.
"""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, UsageError
from treadle.flow.guard_diff import BREACH, PathFinding, Tree, roles_before

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.flow.roles import Roles

_LONGEST = 1800
_TEST = "test"


def check_test_first(range_: str, command: str | None, folder: Path, file: Path | None) -> dict[str, Any]:
    """Check a range of commits; returns the new tests with their outcomes, and what is wrong."""
    tree = Tree.around(folder)
    base, commits = tree.commits(range_)
    roles = roles_before(tree, base, file)
    tests, findings = judge_test_first(tree, roles, commits, command or roles.test_command)
    return {
        "ok": not findings,
        "base": base,
        "commits": len(commits),
        "tests": tests,
        "exit_code": BREACH if findings else 0,
        "findings": [asdict(one) for one in findings],
    }


def judge_test_first(tree: Tree, roles: Roles, commits: list[str], command: str) -> tuple[list[str], list[PathFinding]]:
    """The new tests of some commits, each with its outcome before its commit; and the findings."""
    tests, findings = [], []
    for commit in commits:
        new = new_tests(tree, roles, commit)
        if not new:
            continue
        for (path, name), outcome in _outcomes_before(tree, roles, commit, new, command).items():
            tests.append(f"{path}::{name}: {outcome}")
            if outcome != "failed":
                reason = f"the new test {name} {outcome} on the tree before its commit; it must fail there"
                findings.append(PathFinding(path, reason, commit))
        findings += changed_later(tree, commit, commits[-1], new)
    return tests, findings


def new_tests(tree: Tree, roles: Roles, commit: str) -> dict[str, list[str]]:
    """Test functions that a commit adds, by path, as `function` or `Class::function`."""
    found = {}
    for change in tree.changes_of(commit):
        if change.kind == "removed" or not change.path.endswith(".py") or not roles.is_test(change.path):
            continue
        before = definitions(tree.file_at(f"{commit}^", change.path) or b"")
        names = [name for name in definitions(tree.file_at(commit, change.path) or b"") if _is_test(name)]
        added = [name for name in names if name not in before]
        if added:
            found[change.path] = added
    return found


def _is_test(name: str) -> bool:
    return name.rpartition("::")[2].startswith(_TEST)


def definitions(text: bytes) -> dict[str, str]:
    """What a test file defines: functions, methods as `Class::function`, and its other statements, without layout.

    Text that is not Python defines nothing; running it says what is wrong.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return {}
    return dict(_defined(body, ""))


def _defined(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", ast.dump(node)
        elif isinstance(node, ast.ClassDef):
            head = ast.ClassDef(node.name, node.bases, node.keywords, [], node.decorator_list)
            yield f"class {prefix}{node.name}", ast.dump(head)
            yield from _defined(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield f"{prefix}{', '.join(ast.unparse(target) for target in targets)} = ", ast.dump(node)


def changed_later(tree: Tree, commit: str, last: str, new: dict[str, list[str]]) -> list[PathFinding]:
    """What a commit's test files defined and what is different, or gone, at the end."""
    found = []
    supports = [path for folder in {Path(path).parent for path in new} for path in _conftests(folder)]
    for path in [*new, *dict.fromkeys(supports)]:
        then = tree.file_at(commit, path)
        if then is None:
            continue
        now = definitions(tree.file_at(last, path) or b"")
        for name, text in definitions(then).items():
            # Of tests only the new ones are held; what they rest on is held as a whole, but may be added to.
            if now.get(name) != text and (name in new.get(path, ()) or not _is_test(name)):
                what = "changed" if name in now else "is gone"
                found.append(
                    PathFinding(path, f"`{name.removesuffix(' = ')}` {what} after the commit of its tests", last)
                )
    return found


def _conftests(folder: Path) -> list[str]:
    return [str(one / "conftest.py") for one in (folder, *folder.parents)]


def _outcomes_before(
    tree: Tree, roles: Roles, commit: str, new: dict[str, list[str]], command: str
) -> dict[tuple[str, str], str]:
    """Run the test files of a commit on the code of its parent; returns the outcome of each new test."""
    with tempfile.TemporaryDirectory(prefix="treadle-test-first-", ignore_cleanup_errors=True) as name:
        place, report = Path(name) / "tree", Path(name) / "report.xml"
        tree.git("worktree", "prune")  # those that a killed gate left behind
        tree.git("worktree", "add", "--quiet", "--detach", str(place), f"{commit}^")
        try:
            _lay_over(tree, roles, commit, place)
            said = _run_tests(place, report, sorted(new), command)
            outcomes = _read_report(report, said)
        finally:
            tree.git("worktree", "remove", "--force", str(place))
    return {(path, test): _outcome(outcomes, path, test) for path, tests in new.items() for test in tests}


def _lay_over(tree: Tree, roles: Roles, commit: str, place: Path) -> None:
    for change in tree.changes_of(commit):
        target = place / change.path
        if not roles.is_test(change.path):
            continue
        if change.kind == "removed":
            target.unlink(missing_ok=True)
            continue
        if change.target is not None:
            raise UsageError(f"{change.path} is a link; the test-first gate takes files only.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(tree.file_at(commit, change.path) or b"")


def _run_tests(place: Path, report: Path, paths: list[str], command: str) -> str:
    """Run some test files in a tree; its own packages come before installed ones."""
    options = [
        "--continue-on-collection-errors",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        "-o",
        "junit_family=xunit2",
    ]
    own = os.pathsep.join([str(place / "src"), str(place), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": own, "PYTHONDONTWRITEBYTECODE": "1"}
    words = shlex.split(command)
    try:
        done = subprocess.run(
            [*words, *options, *paths],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError(f"The command of tests, `{command}`, cannot be started: {words[0]} was not found.") from error
    except subprocess.TimeoutExpired as error:
        raise NotReadyError(
            f"The new tests ran longer than {_LONGEST // 60} minutes on the tree before them."
        ) from error
    return (done.stdout + done.stderr)[-2000:]


def _read_report(report: Path, said: str) -> dict[tuple[str, str], set[str]]:
    """Outcomes by the dotted place and the name of each test; parametrised ones together."""
    if not report.exists():
        raise NotReadyError(f"The tests could not be run on the tree before them:\n{said.strip()}")
    found: dict[tuple[str, str], set[str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has just written it
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcome = "was skipped" if kinds == {"skipped"} else "failed" if kinds else "passed"
        key = (case.get("classname", ""), case.get("name", "").split("[")[0])
        found.setdefault(key, set()).add(outcome)
    return found


def _outcome(outcomes: dict[tuple[str, str], set[str]], path: str, test: str) -> str:
    module = path.removesuffix(".py").replace("/", ".")
    *classes, name = test.split("::")
    seen = outcomes.get((".".join([module, *classes]), name))
    if seen is None:
        # A file that cannot be imported, as when it asks for code that is not there yet, stands for all its tests.
        seen = outcomes.get(("", module), {"did not run"})
    return next((one for one in ("failed", "passed", "was skipped") if seen == {one}), " or ".join(sorted(seen)))
