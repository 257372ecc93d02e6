"""From what a person names to documents: files and folders, each file to the reader of its extension."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers import text
from treadle.data.readers.catalog import READERS
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.sources import source_of
from treadle.store.workspace import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OF_A_WORKSPACE = frozenset({SETTINGS_FILE, "datasets", "models", "objects", "runs", "trash"})


def read_paths(paths: Iterable[Path]) -> Iterator[Document | Refusal]:
    """Read files and folders; a folder's files come in the order of their paths.

    Inside folders, hidden files and what a workspace keeps for itself are skipped; links to files are followed,
    links to folders are refused. Every other file gives documents or a refusal.
    """
    for path in paths:
        yield from _read_given(Path(os.path.abspath(path)))  # noqa: PTH100 - Path.absolute keeps `..`


def _read_given(path: Path) -> Iterator[Document | Refusal]:
    try:
        with reading_errors():
            is_folder = stat.S_ISDIR(path.stat().st_mode)
    except RefusedError as error:
        yield error.refusal(source_of(path))
        return
    if not is_folder:
        yield from _read_file(path)
        return
    found = False
    for item in _read_folder(path):
        found = True
        yield item
    if not found:
        yield Refusal(source_of(path), "empty", "The folder holds no files (hidden ones are skipped).")


def _read_folder(folder: Path) -> Iterator[Document | Refusal]:
    try:
        with reading_errors():
            children = sorted(folder.iterdir())
    except RefusedError as error:
        yield error.refusal(source_of(folder))
        return
    names = {child.name for child in children}
    skipped = _OF_A_WORKSPACE if SETTINGS_FILE in names else frozenset()
    for child in children:
        if child.name.startswith(".") or child.name in skipped:
            continue
        if not child.is_dir():
            yield from _read_file(child)
        elif child.is_symlink():
            yield Refusal(source_of(child), "unreadable", "It is a link to a folder. Give the folder itself.")
        else:
            yield from _read_folder(child)


def _read_file(path: Path) -> Iterator[Document | Refusal]:
    try:
        with reading_errors():
            mode = path.stat().st_mode
    except RefusedError as error:
        yield error.refusal(source_of(path))
        return
    extension = path.suffix.lower()
    if not stat.S_ISREG(mode):
        yield Refusal(source_of(path), "unreadable", "It is a pipe, socket or device, not a file.")
    elif not extension:
        yield from text.read(path)
    elif extension in READERS:
        yield from READERS.get(extension)(path)
    else:
        yield Refusal(
            source_of(path), "unknown_format", f"No reader knows {extension}. If it is plain text, rename it to .txt."
        )
