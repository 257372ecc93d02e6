"""What readers of documents with an inner structure share: refusals instead of exceptions, and a text's tidy form."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

Items = Iterator[Document | Refusal]
Parse = Callable[["Path", "ReadSettings"], Items]

EXTRA = "Install what reads it: pip install 'treadle[documents]'"
_SPACE = re.compile(r"[ \t\f\v\xa0]+")
_ENDS = re.compile(r" ?\n ?")
_BLANK = re.compile(r"\n{3,}")


def reader(parse: Parse) -> Parse:
    """Make a reader of a function that parses one file: what it cannot read becomes a refusal with its reason."""

    @functools.wraps(parse)
    def read(path: Path, settings: ReadSettings) -> Items:
        source = source_of(path)
        try:
            with reading_errors():
                yield from parse(path, settings)
        except RefusedError as error:
            yield error.refusal(source)
        except RecursionError:
            yield Refusal(source, "damaged", "Its parts are nested too deeply to be read.")
        except MemoryError:
            yield Refusal(source, "too_large", "It needs more memory than a reader may use. Split it.")

    return read


def text_of(text: str, source: str, metadata: dict[str, Any]) -> Document | Refusal:
    """A document of a text that a parser gave, or the refusal of one that is empty."""
    try:
        return Document.from_text(storable(text), source, metadata)
    except RefusedError as error:
        return error.refusal(source)


def storable(text: str) -> str:
    r"""The text with `\n` as line ends, and without NUL bytes and halves of surrogate pairs, which parsers may give."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def tidy(text: str) -> str:
    """Text from markup: runs of spaces made one, at most one blank line between paragraphs."""
    return _BLANK.sub("\n\n", _ENDS.sub("\n", _SPACE.sub(" ", text))).strip()


def sourced(source: str, part: str | int) -> str:
    """The source of a part inside a file: a row, a message, a page."""
    return f"{source}#{part}"
