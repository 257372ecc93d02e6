"""Zip archives of text files, read in place: no member's path ever reaches the disk.

Limits against archives made to fill memory or disk: `MOST_UNPACKED` bytes in all, and, above `RATIO_FROM` bytes,
not more than `MOST_RATIO` times the archive's own size. A member is read as a stream and never beyond the size that
the archive's directory states for it.
"""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from treadle.base import units
from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.catalog import TEXT_EXTENSIONS
from treadle.data.readers.decoding import reading_errors, text_document
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_UNPACKED = 8 << 30
RATIO_FROM = 64 << 20
MOST_RATIO = 200
_ENCRYPTED = 0x1


def read(path: Path) -> Iterator[Document | Refusal]:
    """Read every text file in a zip archive, in the order of their names; hidden members are skipped."""
    source = source_of(path)
    try:
        archive, members = _open(path)
    except RefusedError as error:
        yield error.refusal(source)
        return
    for member in members:
        yield _read_member(archive, member, source)


def _open(path: Path) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    with reading_errors():
        try:
            # Not closed here: the documents read from it for as long as they live, and it closes with the last of them.
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise RefusedError("damaged", f"It is not a whole zip archive: {error}.") from error
        members = [member for member in archive.infolist() if not member.is_dir() and not _hidden(member.filename)]
        if not members:
            raise RefusedError("empty", "The archive holds no files.")
        _check_size(members, path.stat().st_size)
    return archive, sorted(members, key=lambda member: member.filename)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, archive_source: str) -> Document | Refusal:
    source = f"{archive_source}!/{source_of(Path(member.filename))}"
    try:
        _check_kind(member)
        return text_document(lambda: archive.open(member), source)
    except NotImplementedError as error:
        return Refusal(source, "unknown_format", f"It is packed in a way that cannot be read: {error}.")
    except RefusedError as error:
        return error.refusal(source)


def _check_kind(member: zipfile.ZipInfo) -> None:
    extension = PurePosixPath(member.filename).suffix.lower()
    if member.flag_bits & _ENCRYPTED:
        raise RefusedError("encrypted", "It is encrypted. Unpack it and feed the files.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise RefusedError("unknown_format", "It is a symbolic link, which means nothing inside an archive.")
    if extension and extension not in TEXT_EXTENSIONS:
        raise RefusedError("unknown_format", f"Files ending in {extension} are not read from archives.")


def _check_size(members: list[zipfile.ZipInfo], packed: int) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_UNPACKED:
        raise RefusedError(
            "too_large",
            f"It would unpack to {units.size(unpacked)}; the limit is {units.size(MOST_UNPACKED)}. "
            "Unpack it and feed the folder.",
        )
    if unpacked > RATIO_FROM and unpacked > MOST_RATIO * packed:
        raise RefusedError(
            "too_large",
            f"It would unpack to {units.size(unpacked)}, more than {MOST_RATIO} times its size, as archives made to do "
            "harm are. If it is meant, unpack it and feed the folder.",
        )


def _hidden(name: str) -> bool:
    return any(
        (part.startswith(".") and part not in {".", ".."}) or part == "__MACOSX" for part in PurePosixPath(name).parts
    )
