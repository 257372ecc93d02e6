"""An append-only file beside the database: what must survive its damage. One line for each change, newest last.

A line says what a row has become: `{"table": "job", "id": 7, "state": "done"}`; fields that it does not name keep what
earlier lines said. It is written, and for new jobs synced, before the database commits: a crash between the two leaves
a line of something that was not confirmed to anybody, never the other way round.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from treadle.base.files import disk_errors, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Record = dict[str, Any]

to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Compact JSON of plain values; raises `ValueError` for what JSON cannot say."""


class Journal:
    """The lines of one database, in files `journal-NNNNNN.jsonl`; a new one is begun at each backup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = -1
        self._handle = -1

    def append(self, records: Iterable[Mapping[str, Any]], *, sync: bool) -> None:
        """Add lines at the end; the caller is the only writer at this moment. After an error nothing was added."""
        lines = "".join(to_json(record) + "\n" for record in records)
        with disk_errors(self.folder):
            self._open_newest()
            size = os.fstat(self._handle).st_size
            data = lines.encode()
            if size and os.pread(self._handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # the last writer was killed in the middle of a line
            try:
                written = os.write(self._handle, data)
                if written < len(data):  # the disk is full: the next write says so
                    os.write(self._handle, data[written:])
                if sync:
                    os.fdatasync(self._handle)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._handle, size)
                raise

    def grown(self) -> bool:
        """Whether the newest file has lines already."""
        numbers = self.numbers()
        return bool(numbers) and self._path(numbers[-1]).stat().st_size > 0

    def begin_next(self) -> int:
        """Begin a new file and return its number; lines of the older ones are part of the database already."""
        number = max(self.numbers(), default=0) + 1
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            os.close(os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            sync_folder(self.folder)
        return number

    def read(self, since: int) -> Iterator[Record]:
        """The lines from file `since` on, oldest first; one that was cut by a kill is left out."""
        for number in self.numbers():
            if number >= since:
                for line in self._path(number).read_bytes().split(b"\n"):
                    with contextlib.suppress(ValueError):
                        record = json.loads(line)
                        if isinstance(record, dict) and {"table", "id"} <= record.keys():
                            yield record

    def forget(self, before: int) -> None:
        """Remove the files older than number `before`."""
        for number in self.numbers():
            if number < before:
                self._path(number).unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Numbers of the files that there are, in order."""
        return sorted(int(path.stem[8:]) for path in self.folder.glob("journal-[0-9]*.jsonl"))

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = self._number = -1

    def _open_newest(self) -> None:
        newest = max(self._number, 1)
        while self._path(newest + 1).exists():  # another process has begun a new one
            newest += 1
        if newest != self._number or not os.fstat(self._handle).st_nlink:  # somebody may have removed the folder
            self.close()
            self.folder.mkdir(exist_ok=True)
            numbers = self.numbers()
            newest = numbers[-1] if numbers else 1
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._handle, self._number = os.open(self._path(newest), flags, 0o666), newest
            sync_folder(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"journal-{number:06d}.jsonl"


def merged(records: Iterable[Record]) -> dict[str, dict[Any, Record]]:
    """What the rows of each table have become after all of `records`; one that is gone says `gone` and no more."""
    tables: dict[str, dict[Any, Record]] = {}
    for record in records:
        rows = tables.setdefault(record.pop("table"), {})
        identity = record["id"]
        rows[identity] = record if record.get("gone") else {**rows.get(identity, {}), **record}
    return tables
