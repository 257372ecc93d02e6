"""Writing a curve while it happens: a row for each step, and the buckets above it as soon as they are full."""

from __future__ import annotations

import math
from array import array
from typing import IO, TYPE_CHECKING

from treadle.base.errors import DataError
from treadle.base.files import disk_errors, read_json, write_json
from treadle.telemetry.curve_file import (
    FANOUT,
    FLOAT_BYTES,
    FORMAT,
    HEADER,
    bucket_of,
    entries_in,
    entry_bytes,
    level_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NOTHING = math.nan


class CurveWriter:
    """Appends rows of float32 to the curve in a folder; it can be killed at any point and opened again.

    What is not flushed is lost with the process; what a kill has cut is dropped, and the buckets are made again from
    the rows when the curve is opened.
    """

    def __init__(self, folder: Path, columns: Sequence[str], after: int) -> None:
        """Open the curve in `folder` to go on behind step `after`; rows of later steps are dropped."""
        self._folder = folder
        self._columns = tuple(columns)
        self._files: dict[int, IO[bytes]] = {}
        self._tails: dict[int, array[float]] = {}  # by level: what is not in a bucket of the next one yet
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._first = self._header(after)
            self._rows = min(entries_in(folder, len(self._columns), 0), max(0, after + 1 - self._first))
            self._mend()
        while self._first + self._rows <= after:  # rows that were lost with a machine: their place stays empty
            self.add(self._first + self._rows, {})

    @property
    def next_step(self) -> int:
        """The step that the next row is of."""
        return self._first + self._rows

    def add(self, step: int, values: Mapping[str, float | None]) -> None:
        """Append the row of a step; steps that were left out get empty rows. What is no column is not kept."""
        while self.next_step < step:
            self._append(array("f", [_NOTHING] * len(self._columns)))
        if self.next_step == step:
            self._append(array("f", [_number(values.get(column)) for column in self._columns]))

    def flush(self) -> None:
        """Hand all to the kernel, the rows first."""
        with disk_errors(self._folder):
            for level in sorted(self._files):
                self._files[level].flush()

    def close(self) -> None:
        """Flush and close the files."""
        with disk_errors(self._folder):
            for file in self._files.values():
                file.close()
        self._files = {}

    def _append(self, row: array[float]) -> None:
        self._rows += 1
        self._put(0, row)

    def _put(self, level: int, entry: array[float]) -> None:
        """Write an entry, and a bucket of the next level if that is full now."""
        self._file(level).write(entry.tobytes())
        tail = self._tails.setdefault(level, array("f"))
        tail.extend(entry)
        if len(tail) == FANOUT * len(entry):
            self._tails[level] = array("f")
            self._put(level + 1, bucket_of(tail, len(self._columns), level))

    def _header(self, after: int) -> int:
        """Step of the first row; a curve with other columns, or one that begins too late, is begun anew."""
        path = self._folder / HEADER
        if path.exists():
            found = read_json(path)
            if found.get("columns") == list(self._columns) and found["first"] <= after + 1:
                return int(found["first"])
            for level in self._folder.glob("level-*"):
                level.unlink()
        write_json(path, {"format": FORMAT, "fanout": FANOUT, "first": after + 1, "columns": list(self._columns)})
        return after + 1

    def _mend(self) -> None:
        """Cut each level to what the rows below it fill, make what is missing, and take up the open ends."""
        level, wanted = 0, self._rows
        for path in self._folder.glob("level-*"):
            if wanted < FANOUT ** int(path.name.rpartition("-")[2]):
                path.unlink()
        while wanted:
            there = min(wanted, entries_in(self._folder, len(self._columns), level))
            file = self._file(level)
            file.truncate(there * entry_bytes(len(self._columns), level))
            for bucket in range(there, wanted):
                file.write(bucket_of(self._read(level - 1, bucket * FANOUT, FANOUT), len(self._columns), level - 1))
            file.flush()  # the next level reads it
            self._tails[level] = self._read(level, wanted - wanted % FANOUT, wanted % FANOUT)
            level, wanted = level + 1, wanted // FANOUT

    def _read(self, level: int, first: int, count: int) -> array[float]:
        size = entry_bytes(len(self._columns), level)
        with level_path(self._folder, level).open("rb") as file:
            file.seek(first * size)
            data = file.read(count * size)
        found = array("f")
        found.frombytes(data[: len(data) // FLOAT_BYTES * FLOAT_BYTES])
        if len(data) != count * size:
            raise DataError(f"{level_path(self._folder, level)} is shorter than it was. Something else changes it.")
        return found

    def _file(self, level: int) -> IO[bytes]:
        if level not in self._files:
            self._files[level] = level_path(self._folder, level).open("ab")
        return self._files[level]


def _number(value: float | None) -> float:
    """A finite value that a float32 holds; else nothing, for a curve cannot show it."""
    if value is None or not math.isfinite(value) or abs(value) > 3e38:  # the largest float32 is 3.4e38
        return _NOTHING
    return value
