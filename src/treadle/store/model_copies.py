"""A second model with what the first one knows: its weights, its tokenizer, its data and its history.

Everything is put together under a temporary name that carries the new id, and appears by one rename. A copy that was
killed leaves only such a temporary folder, by which the next change of models finds and removes what belongs to it.
Checkpoints are never changed once they are written, so the copy shares their files as far as the disk can do that.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from treadle.base.files import disk_errors, locked, new_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

_CHECKPOINTS = "checkpoints"


def fill_copy(source: Path, target: Path, empty: Iterable[str]) -> None:
    """Fill `target` with what the model in `source` has learned; folders named in `empty` are made without content.

    A trainer may go on meanwhile: the checkpoints are those of one moment, and of the history later rows are left out
    when the copy is trained.
    """
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        if path.name in empty:
            (target / path.name).mkdir()
        elif path.name != _CHECKPOINTS:
            shutil.copytree(path, target / path.name, ignore=_temporary)
    checkpoints = source / _CHECKPOINTS
    if checkpoints.is_dir():
        with locked(checkpoints / ".lock"):
            shutil.copytree(checkpoints, target / _CHECKPOINTS, ignore=_temporary, copy_function=_share)


def copy_data(workspace: WorkspaceFolder, source: str, target: str) -> None:
    """Give the model `target` the dataset versions of `source`; the texts themselves are objects, which are shared."""
    folder = workspace.datasets / source
    if folder.is_dir():
        with locked(folder / ".lock"), new_folder(workspace.datasets / target) as made:
            shutil.copytree(folder, made, ignore=_temporary, dirs_exist_ok=True)


def remove_unfinished(workspace: WorkspaceFolder) -> None:
    """Remove what killed copies have left; the caller holds the lock of the models."""
    for temporary in [*_temporaries(workspace.models), *_temporaries(workspace.datasets)]:
        identity = temporary.name[1:].partition(".")[0]
        with disk_errors(temporary):
            if not (workspace.models / identity).exists():  # before its own mark goes
                shutil.rmtree(workspace.datasets / identity, ignore_errors=True)
            shutil.rmtree(temporary, ignore_errors=True)


def _temporaries(folder: Path) -> Iterator[Path]:
    yield from folder.glob(".m-*.tmp")


def _temporary(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(".")]


def _share(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
