"""The guard as its operations call it: plain values in, plain values out."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.base.files import write_text
from treadle.flow.gates_reading import mocks_in, products_of
from treadle.flow.gates_test_first import judge_test_first
from treadle.flow.guard import GuardRequest, run_guarded
from treadle.flow.guard_diff import BREACH, PathFinding, Tree, check_changes, roles_before
from treadle.flow.roles import ROLES_FILE, TEMPLATE, Roles, parse_roles, read_roles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_roles(folder: Path) -> dict[str, Any]:
    """Write the first set of roles of the tree around `folder`; raises `UsageError` if there is one."""
    file = Tree.around(folder).root / ROLES_FILE
    if file.exists():
        raise UsageError(f"{file} exists; edit it, or move it away first.")
    write_text(file, TEMPLATE)
    return _listed(parse_roles(TEMPLATE.encode(), str(file)))


def list_roles(folder: Path, file: Path | None) -> dict[str, Any]:
    """All roles of a tree."""
    return _listed(read_roles(Tree.around(folder).root, file))


def _listed(roles: Roles) -> dict[str, Any]:
    return {"file": roles.source, "tests": list(roles.tests), "roles": [asdict(one) for one in roles.roles.values()]}


def run_as(role: str, file: Path | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command as a role and judge what it left behind."""
    tree = Tree.around(request["folder"])
    found = read_roles(tree.root, file).get(role)
    source = (file or tree.root / ROLES_FILE).absolute()
    outcome = run_guarded(found, tree, GuardRequest(**request, roles=source))
    code = BREACH if outcome.findings else outcome.exit_code
    return {**asdict(outcome), "ok": code == 0, "role": role, "exit_code": code}


def check_range(role: str, range_: str, folder: Path, file: Path | None) -> dict[str, Any]:
    """Check the commits of a range against the paths of a role, and their tests against its gates."""
    tree = Tree.around(folder)
    base, commits = tree.commits(range_)
    roles = roles_before(tree, base, file)
    found = roles.get(role)
    findings = [one for commit in commits for one in check_changes(found, tree.changes_of(commit))]
    if "no-mocks" in found.gates and commits:
        findings += _mocks(tree, roles, commits)
    if "test-first" in found.gates:
        findings += judge_test_first(tree, roles, commits, roles.test_command)[1]
    return {
        "ok": not findings,
        "role": role,
        "roles": roles.source,
        "base": base,
        "commits": len(commits),
        "exit_code": BREACH if findings else 0,
        "findings": [asdict(one) for one in findings],
    }


def _mocks(tree: Tree, roles: Roles, commits: list[str]) -> list[PathFinding]:
    """Mocks in the tests that the range touched, as they are at its end."""
    last = commits[-1]
    touched = {change.path for commit in commits for change in tree.changes_of(commit)}
    listed = tree.git("ls-tree", "-r", "-z", "--name-only", last).split(b"\0")
    products = products_of(os.fsdecode(path) for path in listed)
    found = []
    for path in sorted(path for path in touched if path.endswith(".py") and roles.is_test(path)):
        text = tree.file_at(last, path)
        found += (
            []
            if text is None
            else [PathFinding(f"{path}:{line}", reason, last) for line, reason in mocks_in(text, products)]
        )
    return found
