"""EPUB: the chapters of a book in reading order, as one document."""

from __future__ import annotations

import io
import posixpath
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from treadle.data.document import RefusedError
from treadle.data.readers.decoding import decoded
from treadle.data.readers.markup import visible_text
from treadle.data.readers.parsing import Items, reader, storable, text_of
from treadle.data.readers.sources import source_of
from treadle.data.readers.xml_text import parse_xml

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

MOST_MEMBER = 64 << 20
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})


@reader
def read(path: Path, settings: ReadSettings) -> Items:  # noqa: ARG001 - as all readers
    """Read one book."""
    with zipfile.ZipFile(path) as archive:
        package = _package(archive)
        book = _Book()
        parse_xml(io.BytesIO(member(archive, package)), book.start, book.end, book.data)
        locked = _encrypted(archive)
        chapters = []
        for reference in book.spine:
            href, kind = book.manifest.get(reference, ("", ""))
            name = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(href)))
            if name in locked:
                raise RefusedError(
                    "encrypted", "Its chapters are encrypted by a shop. Only books without that are read."
                )
            if kind in _PAGES:
                chapters.append(visible_text(decoded(member(archive, name)))[0])
    facts: dict[str, Any] = {"format": "epub", "chapters": len(chapters), **book.facts}
    yield text_of(storable("\n\n".join(chapter for chapter in chapters if chapter)), source_of(path), facts)


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of one member; raises `RefusedError` if it is not there, encrypted or too large."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise RefusedError("damaged", f"Its part {name} is missing.") from error
    if info.flag_bits & 1:
        raise RefusedError("encrypted", "It is encrypted. Save it without a password.")
    with archive.open(info) as file:
        data = file.read(MOST_MEMBER + 1)
    if len(data) > MOST_MEMBER:
        raise RefusedError("too_large", f"Its part {name} has more than {MOST_MEMBER >> 20} MB.")
    return data


def _package(archive: zipfile.ZipFile) -> str:
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "rootfile" and "full-path" in attributes:
            found.append(attributes["full-path"])

    parse_xml(io.BytesIO(member(archive, "META-INF/container.xml")), start, lambda _: None, lambda _: None)
    if not found:
        raise RefusedError("damaged", "It names no book inside.")
    return found[0]


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Members that are encrypted; fonts may be, without harm."""
    found: set[str] = set()
    if "META-INF/encryption.xml" in archive.namelist():

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "cipherreference":
                found.add(unquote(attributes.get("uri", "")))

        parse_xml(io.BytesIO(member(archive, "META-INF/encryption.xml")), start, lambda _: None, lambda _: None)
    return found


class _Book:
    """What the package file says: parts, their order, title and author."""

    def __init__(self) -> None:
        self.manifest: dict[str, tuple[str, str]] = {}
        self.spine: list[str] = []
        self.facts: dict[str, str] = {}
        self._inside = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "item":
            self.manifest[attributes.get("id", "")] = (attributes.get("href", ""), attributes.get("media-type", ""))
        elif name == "itemref" and attributes.get("linear", "yes") != "no":
            self.spine.append(attributes.get("idref", ""))
        self._inside = {"title": "title", "creator": "author", "language": "language_stated", "rights": "rights"}.get(
            name, ""
        )

    def end(self, _name: str) -> None:
        self._inside = ""

    def data(self, text: str) -> None:
        if self._inside and text.strip():
            self.facts.setdefault(self._inside, text.strip())
