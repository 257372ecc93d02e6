"""The guard: run a command as a role, look at what it changed, and commit that if the role may not do so itself."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from treadle.base.errors import ResourceError, UsageError
from treadle.base.files import disk_errors
from treadle.flow.guard_diff import Change, PathFinding, check_changes
from treadle.flow.guard_grants import plan_grants
from treadle.flow.guard_landlock import landlock_version, make_ruleset
from treadle.flow.roles import ROLE_VARIABLE, ROLES_FILE, ROLES_VARIABLE

if TYPE_CHECKING:
    from treadle.flow.guard_diff import Tree
    from treadle.flow.guard_landlock import Ruleset
    from treadle.flow.roles import Role

Layer = Literal["auto", "landlock", "diff"]
_WATCHED_IN_GIT = ("HEAD", "config", "packed-refs", "refs", "hooks", "info")


@dataclass(frozen=True, slots=True)
class GuardRequest:
    """What to run as which role."""

    command: tuple[str, ...]
    folder: Path
    """Where the command works; inside the tree."""
    layer: Layer = "auto"
    message: str | None = None
    """Commit what was changed with this message; None = leave it in the work tree."""
    output: Path | None = None
    """File that takes what the command prints; None = where our own output goes."""
    roles: Path = Path(ROLES_FILE)
    """The file of roles, for Treadle's own commands among what is run."""


@dataclass(slots=True)
class GuardOutcome:
    """What came of a guarded command."""

    exit_code: int
    """The command's own; 128 + number if a signal ended it."""
    layer: str
    """What watched over it: `landlock N` (version of the kernel's interface) or `diff`."""
    changed: list[str]
    """Paths of the role that the command changed."""
    findings: list[PathFinding]
    commit: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The state of a tree's files: enough to tell afterwards which ones were touched."""

    files: dict[str, tuple[int, ...]]
    git: dict[str, tuple[int, ...]]
    dirty: frozenset[str]


def run_guarded(role: Role, tree: Tree, request: GuardRequest) -> GuardOutcome:
    """Run a command as a role; raises `UsageError` if the role may not start it at all."""
    _check_command(role, request)
    with tempfile.TemporaryDirectory(prefix="treadle-guard-", ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        rules, notes, plan = None, [], None
        if _wants_kernel(request.layer):
            plan = plan_grants(role, tree, _paths(tree), scratch)
            rules, notes = make_ruleset(plan.grants), plan.notes
            notes += [f"this kernel's Landlock cannot refuse {what}" for what in rules.lacks]
        else:
            notes = [_without_kernel(role, request.layer)]
        try:
            before = _look(tree)
            code = _carry_out(role, request, scratch, rules)
            after = _look(tree)
        finally:
            if rules is not None:
                rules.close()
            if plan is not None:
                plan.remove_empty()
    layer = "diff" if rules is None else f"landlock {rules.version}"
    outcome = GuardOutcome(code, layer, [], [], notes=notes)
    _judge(role, tree, before, after, outcome)
    if request.message is not None:
        _commit(role, tree, before, request.message, outcome)
    return outcome


def _check_command(role: Role, request: GuardRequest) -> None:
    if not request.command:
        raise UsageError("No command. Write it behind two dashes: treadle flow guard run --role docs -- make html")
    program = request.command[0]
    folders = tuple(command for command in role.commands if command.endswith("/"))
    allowed = {*role.commands, *(Path(command).name for command in role.commands)}
    if (
        role.commands
        and Path(program).name not in allowed
        and not str(shutil.which(program)).startswith(folders or "\0")
    ):
        raise UsageError(f"The role `{role.name}` may not start `{program}`; it may start: {', '.join(role.commands)}.")
    if shutil.which(program, path=os.environ.get("PATH")) is None:
        raise UsageError(f"The command `{program}` was not found.")


def _wants_kernel(layer: Layer) -> bool:
    if layer == "landlock" and not landlock_version():
        raise ResourceError("This kernel has no Landlock (Linux 5.13 and later have); use --layer diff.")
    return layer != "diff" and landlock_version() > 0


def _without_kernel(role: Role, layer: Layer) -> str:
    why = "as asked" if layer == "diff" else "this system has no Landlock"
    said = f"checked by diff after the command only ({why}): what it wrote was not prevented"
    return said + (", and only the first program was compared with the role's commands" if role.commands else "")


def _carry_out(role: Role, request: GuardRequest, scratch: Path, rules: Ruleset | None) -> int:
    environment = {
        **os.environ,
        "TMPDIR": str(scratch),
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "GIT_OPTIONAL_LOCKS": "0",  # reading commands then do without writing the index
        ROLE_VARIABLE: role.name,
        ROLES_VARIABLE: str(request.roles),
    }
    if "no-mocks" in role.gates:
        environment["PYTEST_ADDOPTS"] = f"{os.environ.get('PYTEST_ADDOPTS', '')} -p treadle.flow.gates".strip()
    output = None
    if request.output is not None:
        with disk_errors(request.output):
            output = request.output.open("wb")
    try:
        process = subprocess.Popen(
            request.command,
            cwd=request.folder,
            env=environment,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            preexec_fn=None if rules is None else rules.entry(),  # noqa: PLW1509 - this process has one thread
        )
        code = _waited(process)
    except OSError as error:
        raise UsageError(f"{shlex.join(request.command)} cannot be started: {error.strerror}.") from error
    finally:
        if output is not None:
            output.close()
    return code if code >= 0 else 128 - code


def _waited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end; Ctrl-C reaches the command by itself, and the check afterwards happens all the same."""
    before = signal.getsignal(signal.SIGINT)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            if before is signal.SIG_IGN:
                raise


def _paths(tree: Tree) -> list[str]:
    listed = tree.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [os.fsdecode(path) for path in dict.fromkeys(listed.split(b"\0")) if path]


def _look(tree: Tree) -> _Seen:
    files = {path: state for path in _paths(tree) if (state := _state(tree.root / path))}
    git: dict[str, tuple[int, ...]] = {}
    for folder in {tree.git_folder(), tree.common_folder()}:
        for name in _WATCHED_IN_GIT:
            for path in [folder / name, *(folder / name).rglob("*")]:
                state = _state(path)
                if state and not path.is_dir():
                    git[str(path)] = state
    status = tree.git("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all")
    return _Seen(files, git, frozenset(os.fsdecode(line[3:]) for line in status.split(b"\0") if line))


def _state(path: Path) -> tuple[int, ...]:
    """What changes whenever a file is touched; no program can set the last one."""
    try:
        found = path.lstat()
    except OSError:
        return ()
    return found.st_mode, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _judge(role: Role, tree: Tree, before: _Seen, after: _Seen, outcome: GuardOutcome) -> None:
    changes = [
        _change(tree, path, before, after)
        for path in sorted({*before.files, *after.files})
        if before.files.get(path) != after.files.get(path)
    ]
    findings = check_changes(role, changes)
    outcome.changed = [change.path for change in changes if role.may_write(change.path)]
    touched = sorted(path for path in {*before.git, *after.git} if before.git.get(path) != after.git.get(path))
    if role.may_commit:
        touched = [path for path in touched if {"config", "hooks"} & set(Path(path).parts)]
        findings += [
            PathFinding(path, "settings and hooks of git run programs; no role may change them") for path in touched
        ]
    elif outcome.layer == "diff":
        findings += [PathFinding(path, f"the role `{role.name}` may not commit") for path in touched]
    if outcome.layer != "diff":
        # The kernel refused these to the command: they are the work of somebody else at the same time, or a `chmod`.
        others = [
            one.path for one in findings if one.path in {*before.files, *after.files} and not role.may_write(one.path)
        ]
        findings = [one for one in findings if one.path not in others]
        if others:
            outcome.notes.append(f"touched meanwhile, though the command could not write them: {', '.join(others)}")
    outcome.findings = findings


def _change(tree: Tree, path: str, before: _Seen, after: _Seen) -> Change:
    place = tree.root / path
    kind = "added" if path not in before.files else "removed" if path not in after.files else "changed"
    if place.is_symlink():
        return Change(path, kind, target=str(place.readlink()))
    return Change(path, kind, "160000" if path.endswith("/") else "100644")


def _commit(role: Role, tree: Tree, before: _Seen, message: str, outcome: GuardOutcome) -> None:
    mixed = sorted(before.dirty & set(outcome.changed))
    if outcome.exit_code or outcome.findings or not outcome.changed:
        why = "the command failed" if outcome.exit_code else "nothing of the role changed"
        outcome.notes.append(f"not committed: {'there are findings' if outcome.findings else why}")
        return
    if mixed:
        why = "had changes before the command, which the commit would take along; commit them first"
        outcome.findings += [PathFinding(path, why) for path in mixed]
        outcome.notes.append("not committed: there are findings")
        return
    paths = b"\0".join(os.fsencode(path) for path in outcome.changed)
    listed = ("--pathspec-from-file=-", "--pathspec-file-nul")
    tree.git("add", "--all", *listed, given=paths)
    # Hooks are left out: they may be programs that the role has just written. CI runs `guard check`.
    tree.git("commit", "--quiet", "--only", "-m", message, "-m", f"Treadle-Role: {role.name}", *listed, given=paths)
    outcome.commit = tree.git("rev-parse", "HEAD").decode().strip()
    outcome.findings += check_changes(role, tree.changes_of(outcome.commit))
