"""The guard's check of changes: what commits or a work tree changed, against the paths of a role.

This is the layer that works everywhere and last: in CI, before a commit of the guard, and after a command on systems
that cannot restrict it while it runs.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.flow.roles import ROLES_FILE, matches, parse_roles, read_roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from treadle.flow.roles import Role, Roles

_LINK, _SUBMODULE = "120000", "160000"
_NO_OBJECT = "0" * 6
BREACH = 3
"""Exit code when a role did, or tried to leave behind, what it may not."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path that a commit or a work tree changed."""

    path: str
    """Relative to the top of the tree, with `/`."""
    kind: str
    """`added`, `removed` or `changed`."""
    mode: str = "100644"
    """Git's mode of the new file; of the old one where it was removed."""
    target: str | None = None
    """Where a symbolic link leads."""
    commit: str = ""
    """The commit that changed it; empty for a work tree."""


@dataclass(frozen=True, slots=True)
class PathFinding:
    """A change that the role may not make."""

    path: str
    reason: str
    commit: str = ""


class Tree:
    """A git work tree, seen through git's own commands; nothing of it is ever run."""

    def __init__(self, root: Path) -> None:
        """Work on the tree whose top is `root`."""
        self.root = root

    @classmethod
    def around(cls, folder: Path) -> Tree:
        """The tree that holds `folder`; raises `NotFoundError` where there is none."""
        done = _git(folder, "rev-parse", "--show-toplevel", check=False)
        if done.returncode:
            raise NotFoundError(
                f"{folder} is not inside a git work tree; the guard needs one. Make it with `git init`."
            )
        return cls(Path(os.fsdecode(done.stdout.rstrip(b"\n"))))

    def git(self, *arguments: str, given: bytes | None = None) -> bytes:
        """The output of a git command; raises `UsageError` with git's own words."""
        return _git(self.root, *arguments, given=given).stdout

    def git_folder(self) -> Path:
        """The folder `.git`, or where a linked work tree keeps its own."""
        return Path(os.fsdecode(self.git("rev-parse", "--absolute-git-dir").rstrip(b"\n")))

    def common_folder(self) -> Path:
        """The folder `.git` that all work trees share."""
        shared = os.fsdecode(self.git("rev-parse", "--path-format=absolute", "--git-common-dir").rstrip(b"\n"))
        return Path(shared)

    def file_at(self, commit: str, path: str) -> bytes | None:
        """The content of a file as of a commit; None if it was not there."""
        done = _git(self.root, "cat-file", "blob", f"{commit}:{path}", check=False)
        return None if done.returncode else done.stdout

    def commits(self, range_: str) -> tuple[str, list[str]]:
        """The base of a range (`A..B`, `A...B`, or one commit) and its commits, oldest first."""
        if range_.startswith("-") or not range_:
            raise UsageError(f"{range_!r} is no range of commits; write A..B, such as origin/main..HEAD.")
        first, dots, last = range_.partition("..")
        last = last.removeprefix(".") or "HEAD"
        if not dots:
            first, last = f"{range_}^", range_
        elif "..." in range_:
            first = self.git("merge-base", first or "HEAD", last).decode().strip()
        base = self.git("rev-parse", "--verify", "--end-of-options", f"{first or 'HEAD'}^{{commit}}").decode().strip()
        end = self.git("rev-parse", "--verify", "--end-of-options", f"{last}^{{commit}}").decode().strip()
        listed = self.git("rev-list", "--reverse", "--topo-order", f"{base}..{end}")
        return base, listed.decode().split()

    def changes_of(self, commit: str) -> list[Change]:
        """What one commit changed; of a merge only what is in none of its parents."""
        parents = self.git("rev-list", "--parents", "-n", "1", commit).decode().split()[1:]
        if not parents:
            return self._diff(commit, "--root", commit)
        sides = [self._diff(commit, parent, commit) for parent in parents]
        common = set.intersection(*({change.path for change in side} for side in sides))
        return [change for change in sides[0] if change.path in common]

    def _diff(self, commit: str, *between: str) -> list[Change]:
        raw = self.git("diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-commit-id", "--no-ext-diff", *between)
        fields = raw.split(b"\0")
        found = []
        for head, path in zip(fields[0::2], fields[1::2], strict=False):
            old, new, _, blob, _ = head.decode().lstrip(":").split()
            kind = "added" if old == _NO_OBJECT else "removed" if new == _NO_OBJECT else "changed"
            target = os.fsdecode(self.git("cat-file", "blob", blob)) if new == _LINK else None
            mode = old if new == _NO_OBJECT else new
            found.append(Change(os.fsdecode(path), kind, mode, target, commit))
        return found


def roles_before(tree: Tree, base: str, file: Path | None) -> Roles:
    """The roles as of a commit, which what came after it cannot have widened."""
    if file is not None:
        return read_roles(tree.root, file)
    text = tree.file_at(base, ROLES_FILE)
    if text is None:
        raise NotFoundError(
            f"Commit {base[:12]}, before the range, has no {ROLES_FILE}. Commit one first (`treadle flow guard init` "
            "writes it), or name a file with --roles FILE."
        )
    return parse_roles(text, f"{ROLES_FILE} at {base[:12]}")


def check_changes(role: Role, changes: Iterable[Change]) -> list[PathFinding]:
    """The changes that the role may not make, each with its reason."""
    return [PathFinding(one.path, reason, one.commit) for one in changes if (reason := _refusal(role, one))]


def _refusal(role: Role, change: Change) -> str:
    if role.read_only:
        return f"the role `{role.name}` is read-only"
    if change.path in {role.home, ROLES_FILE}:
        return "no role may change the roles"
    if not role.may_write(change.path):
        return f"outside the paths of the role `{role.name}`"
    if role.no_new_files and change.kind != "changed":
        return f"{change.kind}, and the role `{role.name}` may only change files that exist"
    if change.mode == _SUBMODULE:
        return "a submodule stands for another tree, which the guard does not see"
    if change.target is not None:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(change.path), change.target))
        if posixpath.isabs(change.target) or place.startswith("../") or not _may_hold(role, place):
            return f"a link to {change.target}, outside the paths of the role `{role.name}`"
    return ""


def _may_hold(role: Role, place: str) -> bool:
    """Whether all that lies at a link's target, a file or a folder, is the role's own."""
    return role.may_write(place) or any(matches(pattern, f"{place}/x") for pattern in role.writes if "**" in pattern)


def _git(
    folder: Path, *arguments: str, check: bool = True, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    # A tree may not choose programs for the guard: no hooks, no file-system monitor.
    safe = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    try:
        done = subprocess.run(
            ["git", *safe, *arguments],
            cwd=folder,
            input=given,
            capture_output=True,
            env={**os.environ, **quiet},
            check=False,
        )
    except FileNotFoundError as error:
        raise NotFoundError("The guard needs git, which is not installed.") from error
    if check and done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise UsageError(f"git {arguments[0]}: {said or f'ended with {done.returncode}'}.")
    return done
