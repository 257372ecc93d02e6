"""What a transfer run has done so far: its items and launches, in one file that every attempt goes on from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from treadle.base.errors import DataError
from treadle.base.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE: Final = "transfer.json"
"""Its name in the run's folder."""
_FORMAT: Final = 1

ItemState = Literal["waiting", "done", "blocked", "failed"]
LaunchState = Literal["staging", "starting", "running", "collecting", "ended"]


@dataclass(slots=True)
class Item:
    """One video that was asked for."""

    name: str
    state: ItemState = "waiting"
    video: str | None = None
    """Its file below the run's outputs."""
    sha256: str | None = None
    """Of the file as it came from the host."""
    reason: str = ""
    seconds: float = 0.0
    """Its share of the time on the host."""


@dataclass(slots=True)
class LaunchRecord:
    """One start of the backend's command."""

    number: int
    id: str
    """Of its folder on the host."""
    items: list[int]
    piece: int = 0
    """Which of the runs that its request takes, one after the other."""
    at_once: int = 1
    state: LaunchState = "staging"
    ending: str | None = None
    reason: str = ""
    code: int | None = None
    seconds: float = 0.0
    """From its start to its end, by the host's clock."""
    bytes_sent: int = 0
    saved_seconds: float | None = None
    """What loading the model had taken when it was loaded, where it was still there; None = nothing stays loaded."""
    loaded_seconds: float | None = None
    """What loading took in this launch, where it was measured."""


@dataclass(slots=True)
class Work:
    """The state of a run; `save` after each change that must survive."""

    path: Path
    items: list[Item]
    launches: list[LaunchRecord] = field(default_factory=list)
    at_once: int | None = None
    """How many items the next launch computes together; None = not decided yet."""

    @classmethod
    def open(cls, path: Path, names: Sequence[str]) -> Work:
        """Go on where an attempt before this one was, or begin."""
        if not path.exists():
            return cls(path, [Item(name) for name in names])
        found = read_json(path)
        try:
            items = [Item(**row) for row in found["items"]]
            work = cls(path, items, [LaunchRecord(**row) for row in found["launches"]], found["at_once"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); start the transfer again.") from error
        if found.get("format") != _FORMAT or [item.name for item in items] != list(names):
            raise DataError(f"{path} belongs to another request; start the transfer again.")
        return work

    def save(self) -> None:
        """Write it down."""
        write_json(self.path, {"format": _FORMAT, **self.facts(), "at_once": self.at_once})

    def facts(self) -> dict[str, Any]:
        """Items and launches as plain values."""
        return {
            "items": [dataclasses.asdict(item) for item in self.items],
            "launches": [dataclasses.asdict(launch) for launch in self.launches],
        }

    def folder(self, launch: LaunchRecord) -> Path:
        """Where what belongs to a launch lies on this machine."""
        return self.path.parent / "launches" / f"{launch.number:03d}"

    @property
    def waiting(self) -> list[int]:
        """Items that are still to be made."""
        return [number for number, item in enumerate(self.items) if item.state == "waiting"]

    @property
    def open_launch(self) -> LaunchRecord | None:
        """The launch that has not ended, if there is one."""
        return next((launch for launch in self.launches if launch.state != "ended"), None)

    def begin(self, run: str, items: Sequence[int], piece: int, at_once: int) -> LaunchRecord:
        """Note a new launch, before anything of it is on the host."""
        number = len(self.launches)
        launch = LaunchRecord(number, f"{run}-{number:03d}", list(items), piece, at_once)
        self.launches.append(launch)
        self.save()
        return launch

    def pieces(self, item: int) -> list[LaunchRecord]:
        """Launches that made pieces of an item, in order."""
        return [one for one in self.launches if one.items == [item] and one.ending == "done"]


def end_launch(path: Path, identity: str) -> None:
    """Note in a run's file that a launch was ended from outside, while nobody carries out the run."""
    if not path.is_file():
        return
    found = read_json(path)
    for row in found["launches"]:
        if row["id"] == identity:
            row |= {"state": "ended", "ending": "cancelled", "reason": "Stopped."}
    write_json(path, found)
