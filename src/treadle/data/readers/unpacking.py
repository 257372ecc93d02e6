"""What readers of archives share: how much may be unpacked, and where a member lies while it is read.

A member lies in a temporary file of a name of our own: no path inside an archive ever reaches the disk. The file is
removed when the last document that is read from it is gone.
"""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Self

from treadle.base import units
from treadle.data.document import Document, RefusedError
from treadle.data.readers.one_file import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from treadle.data.document import Pieces, Refusal
    from treadle.data.readers.config import ReadSettings

MOST_UNPACKED = 8 << 30
RATIO_FROM = 64 << 20
MOST_RATIO = 200
MOST_DEPTH = 3
"""Archives inside archives."""
_CHUNK = 1 << 20


@dataclass(slots=True)
class _Rest:
    bytes: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a file may still be unpacked, in all archives inside it together."""

    depth: int
    _rest: _Rest

    @classmethod
    def of(cls, packed: int) -> Self:
        """For a file of so many bytes: at most `MOST_UNPACKED`, and beyond `RATIO_FROM` `MOST_RATIO` times its size."""
        return cls(0, _Rest(min(MOST_UNPACKED, max(RATIO_FROM, MOST_RATIO * packed))))

    def deeper(self) -> Budget:
        """For an archive inside this one; raises `RefusedError` beyond `MOST_DEPTH`."""
        if self.depth + 1 >= MOST_DEPTH:
            raise RefusedError("too_large", f"It is an archive in {MOST_DEPTH} others. Unpack it and give the folder.")
        return replace(self, depth=self.depth + 1)

    def spend(self, count: int) -> None:
        """Take note of bytes that were unpacked; raises `RefusedError` when they are too many."""
        self._rest.bytes -= count
        if self._rest.bytes < 0:
            raise RefusedError(
                "too_large",
                f"It unpacks to more than {MOST_RATIO} times its size or {units.size(MOST_UNPACKED)}, as archives made"
                " to do harm do. If it is meant, unpack it and give the folder.",
            )


class UnpackedFile:
    """One member as a temporary file; it lives as long as this object."""

    def __init__(self, member: IO[bytes], budget: Budget) -> None:
        """Write the member out, within the budget."""
        handle, name = tempfile.mkstemp(prefix="treadle-member-")
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)
        with open(handle, "wb") as file:  # noqa: PTH123 - a handle
            while chunk := member.read(_CHUNK):
                budget.spend(len(chunk))
                file.write(chunk)


def read_member(
    open_member: Callable[[], IO[bytes]], name: str, source: str, settings: ReadSettings, budget: Budget
) -> Iterator[Document | Refusal]:
    """Read a member of an archive, whatever it is; `source` is how its documents are called."""
    try:
        with open_member() as member:
            unpacked = UnpackedFile(member, budget)
    except RefusedError as error:
        yield error.refusal(source)
        return
    except EOFError as error:
        yield RefusedError("damaged", f"It is damaged here: {error}.").refusal(source)
        return
    prefix = str(unpacked.path)
    for item in read_file(unpacked.path, settings, name, budget):
        renamed = source + item.source.removeprefix(prefix)
        if isinstance(item, Document):
            yield replace(item, source=renamed, pieces=_held(unpacked, item.pieces))
        else:
            yield replace(item, source=renamed)


def hidden(name: str) -> bool:
    """Whether a member is one that people do not see: `.git/config`, what macOS adds to archives."""
    return any(
        (part.startswith(".") and part not in {".", ".."}) or part == "__MACOSX" for part in PurePosixPath(name).parts
    )


def _held(unpacked: UnpackedFile, pieces: Pieces) -> Pieces:
    def read() -> Iterator[str]:
        _ = unpacked  # the file stays while somebody may read from it
        yield from pieces()

    return read
