"""Removing what nothing refers to: old versions of datasets if asked for, and objects of no version of anything."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, UsageError
from treadle.base.files import locked
from treadle.data.shard_lists import unused_lists
from treadle.data.versions import DatasetVersions
from treadle.store.datasets import DatasetCards
from treadle.store.objects import ObjectStore
from treadle.store.references import referenced_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

_YOUNG_SECONDS = 3600
"""Objects younger than this stay: somebody may just be about to refer to them."""


def collect(
    workspace: WorkspaceFolder, name: str | None, keep: int | None, *, dry_run: bool, young: float = _YOUNG_SECONDS
) -> dict[str, Any]:
    """Remove old versions of one dataset beyond the newest `keep`, then objects that nothing refers to.

    Manifests from before lists of shards (`data/shard_lists.py`) are written anew on the way.
    """
    if keep is not None and (name is None or keep < 1):
        raise UsageError("--keep needs the name of a dataset, and a number of at least 1.")
    with contextlib.ExitStack() as stack:
        for folder in _folders(workspace.datasets):
            stack.enter_context(locked(folder / ".lock"))
        removed = _old_versions(workspace, name, keep) if name is not None and keep is not None else []
        lists = [path for folder in _folders(workspace.datasets) for path in unused_lists(folder, removed)]
        used = referenced_objects(workspace, frozenset((*removed, *lists)))
        objects = [path for path in _objects(workspace.objects) if path.name not in used and _age(path) > young]
        freed = sum(path.stat().st_size for path in (*lists, *objects))
        if not dry_run:
            for path in (*removed, *lists, *objects):
                path.unlink(missing_ok=True)
            store = ObjectStore(workspace.objects)
            freed += sum(DatasetVersions(folder, store).compact() for folder in _folders(workspace.datasets))
    return {
        "versions": [int(path.stem) for path in removed],
        "objects": len(objects),
        "bytes": freed,
        "dry_run": dry_run,
    }


def _old_versions(workspace: WorkspaceFolder, name: str | None, keep: int) -> list[Path]:
    cards = DatasetCards(workspace)
    card = cards.get(name or "")
    tagged = set(card.tags.values())
    paths = sorted((cards.folder(card) / "versions").glob("[0-9]*.json"))
    return [path for path in paths[:-keep] if int(path.stem) not in tagged]


def _folders(datasets: Path) -> list[Path]:
    return sorted(path for path in datasets.glob("*") if path.is_dir() and not path.is_symlink())


def _objects(folder: Path) -> Iterator[Path]:
    store = ObjectStore(folder)
    for path in folder.glob("??/??/*"):
        with contextlib.suppress(DataError):
            if store.path(path.name) == path:
                yield path


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
