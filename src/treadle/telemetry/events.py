"""The event log of a run: one JSON object a line, appended as it happens, followed by every door."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run."""

    type: str
    time: float
    """Seconds since 1970."""
    data: dict[str, Any]


class EventLog:
    """Appends events to a file; a reader sees whole lines only."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending, creating it if need be."""
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def emit(self, type_: str, **data: Any) -> None:  # noqa: ANN401 - data is plain JSON
        """Append one event; non-finite numbers become null, since JSON has no name for them."""
        record = {"type": type_, "time": time.time(), **{key: _finite(value) for key, value in data.items()}}
        with disk_errors(self.path):
            os.write(self._handle, (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_events(path: Path) -> list[Event]:
    """Read all whole lines of a log; a last line cut by a kill is left out."""
    if not path.exists():
        return []
    return [_parse(line) for line in path.read_bytes().split(b"\n")[:-1] if line]


class EventFollower:
    """Reads a log while it is being written; remembers its place, so that following may be broken off and resumed."""

    def __init__(self, path: Path) -> None:
        """Begin before the first event of `path`, which need not exist yet."""
        self._path = path
        self._offset = 0  # just behind the last line that was yielded

    def follow(self, alive: Callable[[], bool], *, poll_seconds: float = 0.02) -> Iterator[Event | None]:
        """Yield events as they arrive until the writer is no longer `alive` and all is read; each of them once.

        Yields None whenever nothing new is there, so that the caller can redraw a clock or stop.
        """
        while True:
            was_alive = alive()
            *lines, _cut = _read_from(self._path, self._offset).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                if line:
                    yield _parse(line)
            if lines:
                continue
            if not was_alive:
                return
            yield None
            time.sleep(poll_seconds)


def _read_from(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def _parse(line: bytes) -> Event:
    record = json.loads(line)
    return Event(record.pop("type"), record.pop("time"), record)


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
