"""From one file to documents: the format is told, and the reader of that format opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from treadle.data.document import Refusal, RefusedError
from treadle.data.readers.catalog import READERS
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.formats import HEAD, TEXT, format_of, format_of_head
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.data.document import Document
    from treadle.data.readers.config import ReadSettings
    from treadle.data.readers.unpacking import Budget

ARCHIVES: Final = frozenset({".zip", ".tar", ".gz", ".bz2", ".xz", ".zst"})
"""Formats with files inside; their readers also take how much may still be unpacked."""


def read_file(
    path: Path, settings: ReadSettings, name: str | None = None, budget: Budget | None = None
) -> Iterator[Document | Refusal]:
    """Read the file at `path`, which is called `name`; whatever is wrong with it comes as refusals."""
    try:
        with reading_errors():
            format_ = format_of(path, name)
        reader: Any = READERS.get(format_)
    except RefusedError as error:
        yield error.refusal(source_of(path))
        return
    yield from reader(path, settings, budget) if format_ in ARCHIVES else reader(path, settings)


def is_plain_text(path: Path) -> bool:
    """Whether a file is read as it is, by a reader that needs no process of its own; looks at its first bytes only.

    Raises:
        RefusedError: It is of a kind that holds no text, or cannot be read.
    """
    with reading_errors(), path.open("rb") as file:
        return format_of_head(file.read(HEAD), path.name) == TEXT
