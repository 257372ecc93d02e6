"""Content-addressed files: an object's name is the SHA-256 of its bytes, and it never changes.

Objects lie at `ab/cd/abcd…`. While one is being written it lies in `incoming/`, locked by its writer; it moves to its
name when it is complete and on the disk, so a writer that dies leaves nothing but a file that the next writer removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from treadle.base.errors import DataError
from treadle.base.files import disk_errors, sync_folder
from treadle.base.hashing import hash_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CHUNK = 1 << 20


class Mark(NamedTuple):
    """A place in an object being written, to go back to."""

    size: int
    hasher: Any


class ObjectWriter:
    """An object being written; its id is known when it is done."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._hasher = hashlib.sha256()
        self.size = 0
        """Bytes written so far."""

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        rest = memoryview(data).cast("B")
        self._hasher.update(rest)
        self.size += rest.nbytes
        while rest.nbytes:
            rest = rest[os.write(self._handle, rest) :]

    def mark(self) -> Mark:
        """Remember this place."""
        return Mark(self.size, self._hasher.copy())

    def go_back(self, mark: Mark) -> None:
        """Forget what was written after `mark`."""
        os.ftruncate(self._handle, mark.size)
        os.lseek(self._handle, mark.size, os.SEEK_SET)
        self.size, self._hasher = mark.size, mark.hasher.copy()

    @property
    def id(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._hasher.hexdigest()


class ObjectStore:
    """The objects of one folder; many processes may write to it at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, object_id: str) -> Path:
        """Where an object lies, or would lie."""
        if len(object_id) != 64 or not set(object_id) <= set("0123456789abcdef"):
            raise DataError(f"{object_id!r} is not the id of an object (64 hexadecimal digits).")
        return self.folder / f"{object_id[:2]}/{object_id[2:4]}/{object_id}"

    def __contains__(self, object_id: str) -> bool:
        return self.path(object_id).is_file()

    def put(self, content: bytes | memoryview | Path) -> str:
        """Store bytes, or a copy of a file, and return the id; storing it again repairs it."""
        with self.writer() as writer:
            if isinstance(content, Path):
                with content.open("rb") as file:
                    while chunk := file.read(_CHUNK):
                        writer.write(chunk)
            else:
                writer.write(content)
        return writer.id

    @contextlib.contextmanager
    def writer(self) -> Iterator[ObjectWriter]:
        """Write an object piece by piece; it exists when the block ends, and not at all if the block fails."""
        incoming = self.folder / "incoming"
        with disk_errors(self.folder):
            incoming.mkdir(parents=True, exist_ok=True)
            _remove_orphans(incoming)
            handle, temporary = _locked_file(incoming)
            try:
                writer = ObjectWriter(handle)
                yield writer
                os.fsync(handle)
                self._settle(handle, temporary, self.path(writer.id))
            finally:
                temporary.unlink(missing_ok=True)
                os.close(handle)

    def read(self, object_id: str) -> bytes:
        """Give a small object's bytes; raises `DataError` if it is missing or damaged."""
        try:
            data = self.path(object_id).read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"Object {object_id} is missing from {self.folder}. Restore it from a copy.") from error
        if hashlib.sha256(data).hexdigest() != object_id:
            raise DataError(
                f"{self.path(object_id)} is damaged: its bytes do not have its hash. Restore it from a copy."
            )
        return data

    def verify(self, object_id: str) -> bool:
        """Whether the object is there and its bytes have its hash; reads all of it."""
        path = self.path(object_id)
        return path.is_file() and hash_file(path) == object_id

    def check(self, object_id: str) -> Path:
        """Give the path of an object whose bytes have its hash; raises `DataError` otherwise."""
        path = self.path(object_id)
        if not path.is_file():
            raise DataError(f"Object {object_id} is missing from {self.folder}. Restore it from a copy.")
        if hash_file(path) != object_id:
            raise DataError(f"{path} is damaged: its bytes do not have its hash. Restore it from a copy.")
        return path

    def _settle(self, handle: int, temporary: Path, final: Path) -> None:
        if self.verify(final.name):
            return  # there already; a damaged one is replaced
        for folder in (final.parent.parent, final.parent):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                sync_folder(folder.parent)
        os.fchmod(handle, 0o444)
        temporary.rename(final)
        sync_folder(final.parent)


def _locked_file(incoming: Path) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(dir=incoming, suffix=".tmp")
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another writer took it for an orphan between the two calls


def _remove_orphans(incoming: Path) -> None:
    for path in incoming.glob("*.tmp"):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # its writer lives
        finally:
            os.close(handle)
