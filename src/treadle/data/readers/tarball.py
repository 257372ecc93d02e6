"""Tar archives: each regular file inside, in the order in which they lie there. Links and devices are refused."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.sources import source_of
from treadle.data.readers.unpacking import Budget, hidden, read_member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.data.readers.config import ReadSettings


class _StrictInfo(tarfile.TarInfo):
    """The head of a member; a damaged one is an error, which tarfile takes for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if type(error).__name__ in {"InvalidHeaderError", "TruncatedHeaderError"}:  # the others mark the end
                raise RefusedError("damaged", f"The archive is damaged here: {error}.") from error
            raise


def read(path: Path, settings: ReadSettings, budget: Budget | None = None) -> Iterator[Document | Refusal]:
    """Read every file in a tar archive; hidden members are skipped."""
    source = source_of(path)
    try:
        inside = budget.deeper() if budget else Budget.of(path.stat().st_size)
        with reading_errors(), path.open("rb") as file:
            yield from read_stream(file, source, settings, inside)
    except RefusedError as error:
        yield error.refusal(source)


def read_stream(file: IO[bytes], source: str, settings: ReadSettings, budget: Budget) -> Iterator[Document | Refusal]:
    """Read a tar archive as it comes, without ever going back in it."""
    found = False
    try:
        with tarfile.open(fileobj=file, mode="r|", tarinfo=_StrictInfo, errors="surrogateescape") as archive:
            for member in archive:
                if not member.isdir() and not hidden(member.name):
                    found = True
                    yield from _read(archive, member, source, settings, budget)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise RefusedError("damaged", f"The archive is damaged here: {error}.") from error
    if not found:
        raise RefusedError("empty", "The archive holds no files.")


def _read(
    archive: tarfile.TarFile, member: tarfile.TarInfo, archive_source: str, settings: ReadSettings, budget: Budget
) -> Iterator[Document | Refusal]:
    source = f"{archive_source}!/{source_of(Path(member.name))}"
    if member.issym() or member.islnk():
        yield Refusal(source, "unknown_format", "It is a link, which means nothing inside an archive.")
    elif not member.isreg():
        yield Refusal(source, "unreadable", "It is a pipe or device, not a file.")
    else:
        opened = cast("IO[bytes]", archive.extractfile(member))
        yield from read_member(lambda: opened, member.name, source, settings, budget)
