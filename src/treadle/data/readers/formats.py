"""Which format a file is in: told by its first bytes, and where they fit several, by its name.

Formats have the names of their commonest extensions. The content wins: a PDF called `notes.txt` is a PDF.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from typing import TYPE_CHECKING, Final

from treadle.data.document import RefusedError
from treadle.data.readers.catalog import READERS, TEXT_EXTENSIONS

if TYPE_CHECKING:
    from pathlib import Path

HEAD: Final = 4096
"""Bytes of a file's beginning that are looked at."""
TEXT: Final = ".txt"

DAMAGED_ZIP: Final = (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError)
"""What zipfile raises for archives that are damaged, or packed in a way that it does not know."""

_MAGIC: Final = (
    (b"%PDF-", ".pdf"),
    (b"PK\x03\x04", ".zip"),
    (b"PK\x05\x06", ".zip"),
    (b"\x1f\x8b", ".gz"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\0", ".xz"),
    (b"PAR1", ".parquet"),
)
_OTHERS: Final = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\0\0\1\0", "a picture"),
    (b"RIFF", "sound, a picture or a film"),
    (b"OggS", "sound or a film"),
    (b"fLaC", "sound"),
    (b"ID3", "sound"),
    (b"\x1aE\xdf\xa3", "a film"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\0", "a database"),
    (b"\xd0\xcf\x11\xe0", "a file of an old Office version"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"{\\rtf", "Rich Text"),
)
_WAYS_OUT: Final = {
    "a file of an old Office version": "Save it as .docx, or as text.",
    "Rich Text": "Save it as .docx, or as text.",
    "a 7-Zip archive": "Unpack it and give the folder.",
    "a RAR archive": "Unpack it and give the folder.",
    "a picture": "Text is read here; families such as image_classifier read pictures.",
}
_TAR_AT: Final = 257
_HTML = re.compile(
    rb"\s*(<!--.*?-->\s*)*(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_XML = re.compile(rb"\s*<\?xml\b")
_MAIL = re.compile(
    rb"(From [^\n]*\d{4}\r?\n|((Received|Return-Path|Message-ID|MIME-Version|Delivered-To):))", re.IGNORECASE
)
_BY_NAME: Final = {
    ".htm": ".html",
    ".xhtml": ".html",
    ".ndjson": ".jsonl",
    ".pq": ".parquet",
    ".tgz": ".gz",
    ".tbz2": ".bz2",
    ".txz": ".xz",
    ".tab": ".tsv",
}
_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKUP: Final = frozenset({"", ".txt", ".text", ".log"})
"""Names under which a page or a message may hide; source code that begins like one stays code."""


def format_of(path: Path, name: str | None = None) -> str:
    """The extension that stands for the format of the file at `path`, which is called `name`.

    Raises:
        RefusedError: The file is of a known kind that holds no text.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        found = format_of_head(file.read(HEAD), name or path.name)
    return _kind_of_zip(path) if found == ".zip" else found


def format_of_head(head: bytes, name: str) -> str:
    """The format that the first bytes and the name tell; `.zip` for all that is packed in that way."""
    extension = _extension(name)
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if is_tar(head):
        return ".tar"
    for magic, kind in _OTHERS:
        if head.startswith(magic):
            way_out = _WAYS_OUT.get(kind, "Only text is read here.")
            raise RefusedError("unknown_format", f"It is {kind}. {way_out}")
    return _format_of_text(head, extension)


def is_tar(head: bytes) -> bool:
    """Whether a tar archive begins so."""
    return head[_TAR_AT : _TAR_AT + 5] == b"ustar"


def _format_of_text(head: bytes, extension: str) -> str:
    for mark in _MARKS:
        head = head.removeprefix(mark)
    if extension in _MARKUP:
        plain = head.replace(b"\0", b"")  # UTF-16 of ASCII
        if _HTML.match(plain):
            return ".html"
        if _MAIL.match(plain):
            return ".mbox" if plain.startswith(b"From ") else ".eml"
        if _XML.match(plain):
            return ".xml"
        return TEXT
    if extension == ".xml" and _HTML.match(head):
        return ".html"
    return extension if extension in READERS and extension not in TEXT_EXTENSIONS else TEXT


def _extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    found = f".{extension.lower()}" if dot and (stem or extension == "txt") else ""
    return _BY_NAME.get(found, found)


def _kind_of_zip(path: Path) -> str:
    """EPUB and Office files are zip archives: their members tell."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except DAMAGED_ZIP:
        return ".zip"  # its reader says what is wrong
    if "META-INF/container.xml" in names:
        return ".epub"
    if "word/document.xml" in names:
        return ".docx"
    if "xl/workbook.xml" in names:
        raise RefusedError("unknown_format", "It is an Excel file. Save the sheet as .csv.")
    if "ppt/presentation.xml" in names:
        raise RefusedError("unknown_format", "It is a PowerPoint file. Save it as PDF.")
    if "content.xml" in names and "mimetype" in names:
        raise RefusedError("unknown_format", "It is an OpenDocument file. Save it as .docx.")
    return ".zip"
