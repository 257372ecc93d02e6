"""The log of a launch, brought here once and told as events."""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING, Any

from treadle.base.files import write_bytes
from treadle.telemetry.events import read_events

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.jobs.context import RunContext
    from treadle.recipes.transfer_work import LaunchRecord
    from treadle.video.transfer.backends.backend import Backend, Event

_BREAK = re.compile(rb"[\r\n]")
_LONGEST_LINE = 1 << 20
"""Bytes of a line that are looked at; a picture in one is shorter."""
_TAIL = 65_536


class LogHere:
    """The copy of a launch's log on this machine.

    Its length is where the next piece begins, so that every byte of the log on the host is here exactly once, however
    often the connection or this process ends. An event names the place in the log behind its line; what was told by an
    attempt before this one is read again, to know where the batch stands, and not told again.
    """

    def __init__(self, context: RunContext, path: Path, launch: LaunchRecord, backend: Backend) -> None:
        """Open the copy at `path` and read what is there already."""
        self.path = path
        self.blocked: list[int] = []
        """Items of the launch that a guardrail refused, as the log says."""
        self.doubtful = False
        """Whether videos may stand under the number of another item: one of several at once was refused."""
        self.previews: list[dict[str, Any]] = []
        """Pictures that are still on the host: events with `file`, relative to the launch's folder."""
        self.facts: dict[str, Any] = {}
        """What a launch told about itself: `warm`."""
        self._context, self._launch, self._backend = context, launch, backend
        self._told = self._told_before()
        self._pending = b""
        self._at = 0
        self._batch = (0, 0)  # first item of the batch that is made now, and how many it has
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        self._shown = os.open(context.run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        while piece := self._file.read(1 << 20):
            self._read(piece)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        os.close(self._shown)

    @property
    def size(self) -> int:
        """How much of the log is here."""
        return os.fstat(self._file.fileno()).st_size

    def add(self, piece: bytes) -> None:
        """Take the next piece of the log."""
        self._file.write(piece)
        os.write(self._shown, piece)
        self._read(piece)

    def tail(self) -> str:
        """The end of it."""
        with self.path.open("rb") as file:
            file.seek(max(0, self.size - _TAIL))
            return file.read().decode(errors="replace")

    def _told_before(self) -> int:
        events = read_events(self._context.run.events)
        places = [e.data["at"] for e in events if e.data.get("launch") == self._launch.number and "at" in e.data]
        return max(places, default=0)

    def _read(self, piece: bytes) -> None:
        *lines, self._pending = _BREAK.split(self._pending + piece)
        for line in lines:
            self._at += len(line) + 1
            if line and len(line) <= _LONGEST_LINE:
                event = self._backend.event(line.decode(errors="replace"))
                if event is not None:
                    self._take(event)
        if len(self._pending) > _LONGEST_LINE:  # no line at all: a flood without a break in it
            self._at += len(self._pending)
            self._pending = b""

    def _take(self, event: Event) -> None:
        data = dict(event.data)
        if event.type == "batch":
            begin, size = self._batch
            self._batch = (begin + size, data["size"])
            return
        if event.type == "blocked":
            begin, size = self._batch
            self.blocked.append(data.get("item", begin + data.get("place", 0)))
            self.doubtful = self.doubtful or size > 1
            data = {"what": data.get("what", "prompt"), "item": self.blocked[-1]}
        if event.type == "warm":
            self.facts["warm"] = data
        if "item" in data:
            data["item"] = self._launch.items[min(data["item"], len(self._launch.items) - 1)]
        if self._at > self._told:
            data = {"launch": self._launch.number, "at": self._at, **data}
            if event.type == "preview":
                self._preview(data)
            else:
                self._context.emit(event.type, **data)

    def _preview(self, data: dict[str, Any]) -> None:
        """Keep a picture that came in the line; one in a file of the host is fetched by whoever has the connection."""
        if not isinstance(data.get("png"), str):
            self.previews.append(data)
            return
        try:
            picture = base64.b64decode(data.pop("png"), validate=True)
        except ValueError:
            return
        self.keep_preview(data, picture)

    def keep_preview(self, data: dict[str, Any], picture: bytes) -> None:
        """Put a picture among the run's files and tell of it."""
        name = f"{data['launch']:03d}-{data['at']:09d}.png"
        write_bytes(self._context.run.path / "previews" / name, picture)
        shown = {key: value for key, value in data.items() if key != "file"}
        self._context.emit("preview", **shown, picture=f"previews/{name}")
