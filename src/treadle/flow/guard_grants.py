"""From the patterns of a role to paths that exist, which is all that the kernel understands."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import SettingsError
from treadle.flow.guard_landlock import Grants, granted_folders, programs_of
from treadle.flow.roles import ROLES_FILE, matches

if TYPE_CHECKING:
    from treadle.flow.guard_diff import Tree
    from treadle.flow.roles import Role

_DEVICES = tuple(Path("/dev") / name for name in ("null", "zero", "full", "tty", "ptmx", "pts"))
_GIT_PROGRAMS = "git"


@dataclass(slots=True)
class Plan:
    """What a role's patterns come to in one tree."""

    grants: Grants
    made: list[Path] = field(default_factory=list)
    """Folders of the role that did not exist and were made; the empty ones go when the command has ended."""
    notes: list[str] = field(default_factory=list)
    """What the patterns allow and the kernel cannot, since it grants whole folders."""

    def remove_empty(self) -> None:
        """Take back the folders that were made and not used."""
        for folder in reversed(self.made):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def plan_grants(role: Role, tree: Tree, paths: list[str], scratch: Path) -> Plan:
    """Work out the grants of a role. `paths` are the files of the tree; `scratch` is the command's own folder."""
    root = tree.root.resolve()
    kept = (root / ROLES_FILE, root / role.home, root / ".git", tree.git_folder(), tree.common_folder())
    folders, editable = [scratch], [device for device in _DEVICES if device.exists()]
    plan = Plan(Grants())
    for pattern in () if role.read_only else role.writes:
        base, rest = _split(pattern)
        place = root / base  # an absolute pattern stays what it is
        if rest in {"**", ""} and (rest or pattern.endswith("/")):
            if not role.no_new_files:
                plan.made += _make(place)
            if place.exists():
                _refuse_links(role, place, pattern)
                (editable if role.no_new_files else folders).extend(_parts(place, kept, plan))
            continue
        files = [place] if not rest else [root / path for path in paths if matches(pattern, path)]
        files = [path for path in files if path.is_file() and not path.is_symlink() and path not in kept]
        for path in files:
            _refuse_links(role, path, pattern)
        editable += files
        if rest:
            plan.notes.append(
                f"{pattern}: files that exist may be changed in place; new ones need a pattern as docs/**"
            )
        elif not place.exists():
            plan.notes.append(
                f"{pattern} does not exist, and the command cannot make it; a pattern as docs/** allows it"
            )
    if role.may_commit and not role.read_only:
        folders += [tree.git_folder(), tree.common_folder()]
    programs = None if not role.commands else (*_git_folder(role), *programs_of(role.commands, os.environ["PATH"]))
    plan.grants = Grants(tuple(folders), tuple(editable), programs)
    return plan


def _split(pattern: str) -> tuple[str, str]:
    """Cut a pattern into the folders without a wildcard and the rest."""
    parts = pattern.rstrip("/").split("/")
    plain = next((place for place, part in enumerate(parts) if "*" in part or "?" in part), len(parts))
    return "/".join(parts[:plain]) or ("/" if pattern.startswith("/") else "."), "/".join(parts[plain:])


def _parts(place: Path, kept: tuple[Path, ...], plan: Plan) -> list[Path]:
    parts = list(granted_folders(place, kept))
    if parts != [place]:
        plan.notes.append(f"{place}: nothing new can be made directly in it, since it holds what no role may change")
    return parts


def _make(folder: Path) -> list[Path]:
    missing = [one for one in (folder, *folder.parents) if not one.exists()][::-1]
    for one in missing:
        one.mkdir()
    return missing


def _refuse_links(role: Role, place: Path, pattern: str) -> None:
    if place.resolve() != place:
        raise SettingsError(
            f"Role `{role.name}` may write {pattern!r}, but {place} leads through a link to {place.resolve()}. "
            "Name the real place in the roles."
        )


def _git_folder(role: Role) -> tuple[Path, ...]:
    """The folder of git's own programs, which `git` starts for parts of its work."""
    if _GIT_PROGRAMS not in role.commands:
        return ()
    done = subprocess.run(["git", "--exec-path"], capture_output=True, check=True)
    return (Path(os.fsdecode(done.stdout.rstrip(b"\n"))).resolve(),)
