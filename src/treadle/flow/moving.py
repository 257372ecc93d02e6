"""Moving a file or a folder of notes, with every link in it and to it; indexes follow."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.files import disk_errors
from treadle.flow.draft import Draft
from treadle.flow.edits import apply
from treadle.flow.indexes import folders_with_notes, missing, update
from treadle.flow.links import destination, links, renamed, repaired, retargeted
from treadle.flow.writing import Change, folder_lock, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.flow.edits import Splice
    from treadle.flow.folder import FlowFolder
    from treadle.flow.page import Page


def move(folder: FlowFolder, source: str, target: str, *, dry_run: bool = False) -> tuple[Path, list[Change]]:
    """Move `source` to `target` and repair all links, in both directions; returns the new place and the other changes.

    Killed in between, the same call goes on: what has moved already is only relinked.
    """
    old, new = _places(folder, source, target)
    with folder_lock(folder.root):
        gone = not old.exists()
        if dry_run:
            return new, _relinked(folder, old, new, moved=False)
        if not gone:
            with disk_errors(new):
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(old, new)
        changes = _relinked(folder, old, new, moved=True)
        for change in changes:
            write(change)
        draft = Draft(folder)
        for one in folders_with_notes(draft):
            if missing(draft, one) is not None:
                update(draft, one)
        indexes = draft.changes()
        for change in indexes:
            write(change)
        return new, [*changes, *indexes]


def _places(folder: FlowFolder, source: str, target: str) -> tuple[Path, Path]:
    """Absolute places before and after; a target that is a folder takes the source into it."""
    old, new = _inside(folder, source), _inside(folder, target)
    if new.is_dir() and old != new and (old.exists() or (new / old.name).exists()):
        new = new / old.name
    if old == new:
        raise UsageError(f"{source} is there already.")
    if new.is_relative_to(old):
        raise UsageError(f"{source} cannot be moved into itself.")
    if not old.exists() and not new.exists():
        raise NotFoundError(f"There is no {source} in {folder.root}.")
    if old.exists() and new.exists():
        raise UsageError(f"{target} exists already; nothing was moved.")
    return old, new


def _inside(folder: FlowFolder, name: str) -> Path:
    normal = Path(os.path.normpath(folder.root / name))
    if not normal.is_relative_to(folder.root) or normal == folder.root:
        raise UsageError(f"{name} does not lie in the notes at {folder.root}; only what does can be moved.")
    return normal


def _relinked(folder: FlowFolder, old: Path, new: Path, *, moved: bool) -> list[Change]:
    """The pages whose links change, as they lie now: before or after the move."""
    draft = Draft(folder)
    place, back = renamed({old: new}), renamed({new: old})
    for path in draft.markdown():
        was, will = (back(path), path) if moved else (path, place(path))
        page = draft.page(path)
        splices = _resumed(page, path, old, place) if moved and was == will else repaired(page, was, will, place)
        if splices:
            draft.put(path, apply(page.text, splices))
    return draft.changes()


def _resumed(page: Page, path: Path, old: Path, place: Callable[[Path], Path]) -> list[Splice]:
    """Links of a page that stayed: those that still name the old place get the new one."""
    splices = []
    for link in links(page):
        if not link.path or link.path.startswith("/"):
            continue
        target = destination(link, path, path.parent)
        if target.is_relative_to(old):
            splices.append(retargeted(link, page.text, place(target), path.parent))
    return splices
