"""From what a person names to documents: files and folders, each file to the reader of its format."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.data.bundled.texts import BUNDLED, bundled_files
from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers import text
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.one_file import is_plain_text
from treadle.data.readers.sandbox import Sandbox, Work
from treadle.data.readers.sources import source_of
from treadle.store.workspace import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OF_A_WORKSPACE = frozenset({SETTINGS_FILE, "crawls", "datasets", "experiments", "models", "objects", "runs", "trash"})


def read_paths(paths: Iterable[Path], settings: ReadSettings | None = None) -> Iterator[Document | Refusal]:
    """Read files and folders; a folder's files come in the order of their paths.

    Every file gives documents or a refusal. What is not plain text is read by another process.
    """
    chosen = settings or ReadSettings()
    with Sandbox(Work(chosen)) as sandbox:
        for item in files_of(paths):
            if isinstance(item, Refusal):
                yield item
            else:
                yield from _read(item, chosen, sandbox)


def _read(path: Path, settings: ReadSettings, sandbox: Sandbox) -> Iterator[Document | Refusal]:
    try:
        plain = is_plain_text(path)
    except RefusedError as error:
        yield error.refusal(source_of(path))
        return
    yield from text.read(path, settings) if plain else sandbox.read([path])


def files_of(paths: Iterable[Path]) -> Iterator[Path | Refusal]:
    """All files that `paths` name, folders with their folders."""
    for path in paths:
        yield from files_below(Path(os.path.abspath(path)))  # noqa: PTH100 - Path.absolute keeps `..`


def files_below(path: Path) -> Iterator[Path | Refusal]:
    """The file at `path`, or all files of the folder there, in the order of their paths; `bundled:NAME` is one, too.

    Inside folders, hidden files and what a workspace keeps for itself are skipped; links to files are followed,
    links to folders are refused, and so is what is no file.
    """
    if path.name.startswith(BUNDLED) and not path.exists():
        yield from bundled_files(path.name)
        return
    try:
        with reading_errors():
            is_folder = stat.S_ISDIR(path.stat().st_mode)
    except RefusedError as error:
        yield error.refusal(source_of(path))
        return
    if not is_folder:
        yield _file(path)
        return
    found = False
    for item in _folder(path):
        found = True
        yield item
    if not found:
        yield Refusal(source_of(path), "empty", "The folder holds no files (hidden ones are skipped).")


def _folder(folder: Path) -> Iterator[Path | Refusal]:
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
            yield _file(child)
        elif child.is_symlink():
            yield Refusal(source_of(child), "unreadable", "It is a link to a folder. Give the folder itself.")
        else:
            yield from _folder(child)


def _file(path: Path) -> Path | Refusal:
    try:
        with reading_errors():
            mode = path.stat().st_mode
    except RefusedError as error:
        return error.refusal(source_of(path))
    if not stat.S_ISREG(mode):
        return Refusal(source_of(path), "unreadable", "It is a pipe, socket or device, not a file.")
    return path
