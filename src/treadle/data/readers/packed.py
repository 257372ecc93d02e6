"""Files packed by gzip, bzip2, xz or zstandard: a tar archive inside is read member by member, else the one file."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
from typing import IO, TYPE_CHECKING, cast

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.formats import is_tar
from treadle.data.readers.parsing import EXTRA
from treadle.data.readers.sources import source_of
from treadle.data.readers.tarball import read_stream
from treadle.data.readers.unpacking import Budget, read_member

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

_BLOCK = 512


def read(path: Path, settings: ReadSettings, budget: Budget | None = None) -> Iterator[Document | Refusal]:
    """Read what a packed file holds."""
    source = source_of(path)
    try:
        inside = budget.deeper() if budget else Budget.of(path.stat().st_size)
        with reading_errors(), _unpacking_errors(), _open(path) as file:
            head = file.peek(_BLOCK)
            if is_tar(head):
                yield from read_stream(cast("IO[bytes]", _Counted(file, inside)), source, settings, inside)
                return
            yield from read_member(lambda: file, path.stem, source, settings, inside)
    except RefusedError as error:
        yield error.refusal(source)


def _open(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return io.BufferedReader(cast("io.RawIOBase", gzip.open(path)))
    if head.startswith(b"BZh"):
        return io.BufferedReader(cast("io.RawIOBase", bz2.open(path)))
    if head.startswith(b"\xfd7zXZ"):
        return io.BufferedReader(cast("io.RawIOBase", lzma.open(path)))
    if not head.startswith(b"\x28\xb5\x2f\xfd"):
        raise RefusedError("damaged", "It is not packed as its name says.")
    try:
        import zstandard
    except ImportError as error:
        raise RefusedError("missing_extra", f"{EXTRA}, or unpack it first.") from error
    return io.BufferedReader(cast("io.RawIOBase", zstandard.open(path, "rb")))


@contextlib.contextmanager
def _unpacking_errors() -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, lzma.LZMAError) as error:
        raise RefusedError("damaged", f"It cannot be unpacked: {error}.") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "zstandard":
            raise RefusedError("damaged", f"It cannot be unpacked: {error}.") from error
        raise


class _Counted:
    """A stream whose reading is counted; what is skipped in an archive was unpacked, too."""

    def __init__(self, file: IO[bytes], budget: Budget) -> None:
        self._file = file
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._budget.spend(len(data))
        return data
