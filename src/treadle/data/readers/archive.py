"""Zip archives, read in place: no member's path ever reaches the disk.

Text members are read as streams; others are unpacked to a temporary file while their reader needs them. A member is
never read beyond the size that the archive's directory states for it.
"""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base import units
from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.decoding import reading_errors, text_document
from treadle.data.readers.formats import DAMAGED_ZIP, HEAD, TEXT, format_of_head
from treadle.data.readers.sources import source_of
from treadle.data.readers.unpacking import MOST_RATIO, MOST_UNPACKED, RATIO_FROM, Budget, hidden, read_member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.data.readers.config import ReadSettings

_ENCRYPTED = 0x1


def read(path: Path, settings: ReadSettings, budget: Budget | None = None) -> Iterator[Document | Refusal]:
    """Read every file in a zip archive, in the order of their names; hidden members are skipped."""
    source = source_of(path)
    try:
        inside = budget.deeper() if budget else Budget.of(path.stat().st_size)
        archive, members = _open(path)
    except RefusedError as error:
        yield error.refusal(source)
        return
    for member in members:
        yield from _read_member(archive, member, source, settings, inside)


def _open(path: Path) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    with reading_errors():
        try:
            # Not closed here: the documents read from it for as long as they live, and it closes with the last of them.
            archive = zipfile.ZipFile(path)
        except DAMAGED_ZIP as error:
            raise RefusedError("damaged", f"It is not a whole zip archive: {error}.") from error
        members = [member for member in archive.infolist() if not member.is_dir() and not hidden(member.filename)]
        if not members:
            raise RefusedError("empty", "The archive holds no files.")
        _check_size(members, path.stat().st_size)
    return archive, sorted(members, key=lambda member: member.filename)


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, archive_source: str, settings: ReadSettings, budget: Budget
) -> Iterator[Document | Refusal]:
    source = f"{archive_source}!/{source_of(Path(member.filename))}"
    try:
        with reading_errors():
            _check_kind(member)
            with archive.open(member) as file:
                format_ = format_of_head(file.read(HEAD), member.filename)
            if format_ == TEXT:
                budget.spend(member.file_size)
                yield text_document(lambda: archive.open(member), source)
            else:
                yield from read_member(lambda: archive.open(member), member.filename, source, settings, budget)
    except (NotImplementedError, RuntimeError, OverflowError, ValueError) as error:
        yield Refusal(source, "unknown_format", f"It is packed in a way that cannot be read: {error}.")
    except RefusedError as error:
        yield error.refusal(source)


def _check_kind(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise RefusedError("encrypted", "It is encrypted. Unpack it and feed the files.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise RefusedError("unknown_format", "It is a symbolic link, which means nothing inside an archive.")


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
