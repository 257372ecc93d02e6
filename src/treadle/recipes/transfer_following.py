"""The log of a launch, told as events."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from treadle.base.files import write_bytes
from treadle.recipes.following import LogCopy
from treadle.telemetry.events import read_events

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.jobs.context import RunContext
    from treadle.recipes.transfer_work import LaunchRecord
    from treadle.video.transfer.backends.backend import Backend, Event


class LogHere(LogCopy):
    """The copy of a launch's log on this machine, and what it says of the launch.

    An event names the place in the log behind its line; what was told by an attempt before this one is read again, to
    know where the batch stands, and not told again.
    """

    def __init__(self, context: RunContext, path: Path, launch: LaunchRecord, backend: Backend) -> None:
        """Open the copy at `path` and read what is there already."""
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
        self._batch = (0, 0)  # first item of the batch that is made now, and how many it has
        super().__init__(context, path, self._heard)

    def _told_before(self) -> int:
        events = read_events(self._context.run.events)
        places = [e.data["at"] for e in events if e.data.get("launch") == self._launch.number and "at" in e.data]
        return max(places, default=0)

    def _heard(self, line: str, at: int) -> None:
        event = self._backend.event(line)
        if event is not None:
            self._take(event, at)

    def _take(self, event: Event, at: int) -> None:
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
        if at > self._told:
            data = {"launch": self._launch.number, "at": at, **data}
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
