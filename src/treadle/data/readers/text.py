"""Plain text: prose, Markdown, source code. Its content is taken as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.decoding import text_document
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings


def read(path: Path, settings: ReadSettings) -> Iterator[Document | Refusal]:  # noqa: ARG001 - as all readers
    """Read one text file of any size in any common encoding."""
    source = source_of(path)
    result: Document | Refusal
    try:
        result = text_document(lambda: path.open("rb"), source)
    except RefusedError as error:
        result = error.refusal(source)
    yield result
