"""Operations of the guard: flow guard init, list, run, check, test-first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.operations.operation import operation
from treadle.registry.catalogue import load

_FOLDER = "a folder of the tree; the command works there"
_ROLES = "file of roles; none = flow/system/roles.toml at the top of the tree"


@dataclass(frozen=True, slots=True)
class RoleList:
    """The roles of a tree, as its file has them."""

    file: str
    tests: list[str]
    """Patterns of the paths of tests."""
    roles: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class GuardedRun:
    """What came of a command that ran as a role."""

    ok: bool
    """The command succeeded and the role kept to its paths."""
    role: str
    layer: str
    """What watched over it: `landlock N` (version of the kernel's interface) or `diff`."""
    exit_code: int
    """The command's own, or 3 when the role did what it may not."""
    changed: list[str]
    """Paths of the role that the command changed."""
    findings: list[dict[str, Any]]
    """Each with `path`, `reason` and `commit`."""
    commit: str | None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GuardCheck:
    """What commits hold that the role may not change."""

    ok: bool
    role: str
    roles: str
    """Where the roles were read."""
    base: str
    """The commit before the range."""
    commits: int
    exit_code: int
    """3 when there are findings."""
    findings: list[dict[str, Any]]
    """Each with `path`, `reason` and `commit`."""


@dataclass(frozen=True, slots=True)
class FirstTestsCheck:
    """Whether new tests failed before the change they ask for, and stayed as they were."""

    ok: bool
    base: str
    commits: int
    tests: list[str]
    """The new tests, each with its outcome on the tree before its commit."""
    exit_code: int
    findings: list[dict[str, Any]]
    """Each with `path`, `reason` and `commit`."""


@operation(
    "light",
    noun="flow.guard",
    needs_workspace=False,
    for_assistants=False,
    examples=("treadle flow guard init",),
)
def init(*, folder: Annotated[Path, "a folder of the tree"] = Path()) -> RoleList:
    """Write a first set of roles to flow/system/roles.toml, to be edited by you. An existing file is left alone."""
    return RoleList(**load("treadle.flow.guard_check:write_roles")(folder))


@operation(
    "light",
    noun="flow.guard",
    verb="list",
    needs_workspace=False,
    effect="reads",
    examples=("treadle flow guard list", "treadle flow guard list --json"),
)
def list_(
    *, folder: Annotated[Path, "a folder of the tree"] = Path(), roles: Annotated[Path | None, _ROLES] = None
) -> RoleList:
    """List the roles with what each may write, run and ask for."""
    return RoleList(**load("treadle.flow.guard_check:list_roles")(folder, roles))


@operation(
    "light",
    noun="flow.guard",
    needs_workspace=False,
    for_assistants=False,
    examples=(
        "treadle flow guard run --role docs -- make html",
        'treadle flow guard run --role docs --commit "Guide: sampling" -- my-assistant "write the guide"',
        "treadle flow guard run --role tester --layer diff -- python -m pytest",
    ),
)
def run(
    command: Annotated[list[str], "program and its arguments, behind two dashes"],
    *,
    role: Annotated[str, "role that the command has"],
    commit: Annotated[str | None, "commit what it changed with this message, if the role kept to its paths"] = None,
    layer: Annotated[
        Literal["auto", "landlock", "diff"],
        "what watches: the kernel (Landlock), a check of the changes afterwards, or auto = the kernel where it can",
    ] = "auto",
    output: Annotated[Path | None, "file for what the command prints; none = the terminal"] = None,
    folder: Annotated[Path, _FOLDER] = Path(),
    roles: Annotated[Path | None, _ROLES] = None,
) -> GuardedRun:
    """Run a command that can write only what its role may; so can all that it starts.

    On Linux the kernel refuses everything else (no root needed). Elsewhere what was written is checked afterwards,
    and the answer says so. Exit code 3 means that the role did what it may not; else it is the command's own.
    """
    request = {"command": tuple(command), "folder": folder, "layer": layer, "message": commit, "output": output}
    return GuardedRun(**load("treadle.flow.guard_check:run_as")(role, roles, request))


@operation(
    "light",
    noun="flow.guard",
    needs_workspace=False,
    examples=(
        "treadle flow guard check --role docs --range origin/main..HEAD",
        "treadle flow guard check --role docs --range HEAD --json",
    ),
)
def check(
    *,
    role: Annotated[str, "role that made the commits"],
    range: Annotated[str, "commits: A..B, A...B (since they parted), or one commit"],  # noqa: A002 - git's word
    folder: Annotated[Path, "a folder of the tree"] = Path(),
    roles: Annotated[Path | None, "file of roles; none = the one of the commit before the range"] = None,
) -> GuardCheck:
    """Check that commits change only what the role may. Exit code 3 if not.

    The roles are read as they were before the range, so that no commit can widen its own.
    The role's gates are checked too: no-mocks reads the tests as of the last commit, test-first runs the new ones.
    """
    return GuardCheck(**load("treadle.flow.guard_check:check_range")(role, range, folder, roles))


@operation(
    "light",
    noun="flow.guard",
    verb="test-first",
    needs_workspace=False,
    for_assistants=False,
    examples=(
        "treadle flow guard test-first --range origin/main..HEAD",
        'treadle flow guard test-first --range HEAD --command "python -m pytest -q"',
    ),
)
def first_tests(
    *,
    range: Annotated[str, "commits: A..B, A...B (since they parted), or one commit"],  # noqa: A002 - git's word
    command: Annotated[str | None, "how to run tests; none = the test_command of the roles"] = None,
    folder: Annotated[Path, "a folder of the tree"] = Path(),
    roles: Annotated[Path | None, "file of roles, for the paths of tests; none = as for check"] = None,
) -> FirstTestsCheck:
    """Check that new tests fail on the tree before their commit, and do not change after it. Exit code 3 if not.

    Each commit that adds tests is tried in a work tree of its own: the parent's code with the commit's tests.
    """
    return FirstTestsCheck(**load("treadle.flow.gates_test_first:check_test_first")(range, command, folder, roles))
