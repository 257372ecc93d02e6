"""DOCX: the paragraphs and tables of a Word document, as one document."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from treadle.data.readers.epub import member
from treadle.data.readers.parsing import Items, reader, storable, text_of
from treadle.data.readers.sources import source_of
from treadle.data.readers.xml_text import parse_xml

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings


@reader
def read(path: Path, settings: ReadSettings) -> Items:  # noqa: ARG001 - as all readers
    """Read one Word document: its text as it would be printed, without headers, notes and what was struck out."""
    import io

    found = _Paragraphs()
    with zipfile.ZipFile(path) as archive:
        parse_xml(io.BytesIO(member(archive, "word/document.xml")), found.start, found.end, found.data)
    yield text_of(storable("".join(found.parts).strip("\n")), source_of(path), {"format": "docx"})


class _Paragraphs:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._text = False
        self._removed = 0
        self._cells = 0
        self._rows = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._text = True
        elif name in {"del", "movefrom"}:
            self._removed += 1
        elif name == "tab" and not attributes:  # in a run; with attributes it defines a stop
            self.parts.append("\t")
        elif name in {"br", "cr"}:
            self.parts.append("\n")
        elif name == "tr":
            self._rows += 1
            self._cells = 0
        elif name == "tc":
            self._cells += 1
            if self._cells > 1:
                self._end_cell("\t")

    def end(self, name: str) -> None:
        if name == "t":
            self._text = False
        elif name in {"del", "movefrom"}:
            self._removed -= 1
        elif name == "p":
            self.parts.append(" " if self._rows else "\n\n")
        elif name == "tr":
            self._rows -= 1
            self._end_cell("\n")
        elif name == "tbl":
            self.parts.append("\n")

    def _end_cell(self, mark: str) -> None:
        if self.parts and self.parts[-1] == " ":
            self.parts.pop()
        self.parts.append(mark)

    def data(self, text: str) -> None:
        if self._text and not self._removed:
            self.parts.append(text)
