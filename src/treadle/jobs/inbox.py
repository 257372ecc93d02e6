"""The inbox of a model: a folder in which files can be dropped, and what a worker does with them.

`models/NAME/inbox`: whatever lies there and has not changed for `SETTLED_SECONDS` is moved, by one rename each, into a
folder of its own below `inbox/.taken`, and a feed of that folder is queued under its name, so that it is queued once
however often anybody tries. The feed removes what it has stored and puts what it refused into `inbox/refused`. A worker
that is killed in between leaves a folder without a job, which the next look finds.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.files import disk_errors, write_text
from treadle.base.ids import new_id
from treadle.jobs.job import NewJob
from treadle.jobs.request import model_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from treadle.store.workspace import WorkspaceFolder

INBOX: Final = "inbox"
TAKEN: Final = ".taken"
REFUSED: Final = "refused"
REASON: Final = ".reason.txt"
"""What the name of a file of reasons ends in."""
SETTLED_SECONDS: Final = 2.0
"""A file that has not changed for so long is taken to be complete."""
LOOK_SECONDS: Final = 1.0
_ENOUGH_SECONDS: Final = 10.0
"""What is complete waits at most so long for its neighbours, so that many files make few feeds."""
_UNFINISHED: Final = (".part", ".partial", ".tmp", ".crdownload", ".download")
"""How programs name what they have not finished writing; it is left alone until it has another name."""


@dataclass(frozen=True, slots=True)
class InboxState:
    """What lies in an inbox."""

    folder: str
    waiting: int
    """Entries that nobody has taken yet."""
    taken: int
    """Entries that are being fed, or whose feed failed and can be tried again."""
    refused: int


@dataclass(slots=True)
class _Seen:
    """An entry, and since when it has looked like this."""

    looks: tuple[int, ...]
    since: float


class Inboxes:
    """Watches the inboxes of all models of a workspace; for one thread."""

    def __init__(self, workspace: WorkspaceFolder, clock: Callable[[], float] = time.monotonic) -> None:
        """Look at nothing yet. `clock` tells seconds."""
        self._workspace, self._clock = workspace, clock
        self._seen: dict[Path, _Seen] = {}
        self._queued: set[str] = set()
        self._next_look = 0.0
        self.unsettled = False
        """Whether something lies there that is to be taken soon."""

    def look(self) -> Iterator[NewJob]:
        """Take what is complete, at most once in `LOOK_SECONDS`; yield the feeds to queue, some for a second time."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        known, self._seen = self._seen, {}
        for folder in sorted(self._workspace.models.glob(f"m-*/{INBOX}")):
            yield from self._look_into(folder, known, now)
        self.unsettled = bool(self._seen)

    def _look_into(self, folder: Path, known: dict[Path, _Seen], now: float) -> Iterator[NewJob]:
        entries = {path: looks for path in _entries(folder) if (looks := _looks(path)) is not None}
        for path, looks in entries.items():
            before = known.get(path)
            self._seen[path] = before if before is not None and before.looks == looks else _Seen(looks, now)
        ready = [path for path in entries if now - self._seen[path].since >= SETTLED_SECONDS]
        oldest = min((self._seen[path].since for path in ready), default=now)
        if ready and (len(ready) == len(entries) or now - oldest >= _ENOUGH_SECONDS):
            for path in ready:
                del self._seen[path]
            take(folder, ready)
        for taken in _folders(folder / TAKEN):
            if taken.name not in self._queued:
                self._queued.add(taken.name)
                yield feed_of(folder.parent.name, taken)


def inbox_of(workspace: WorkspaceFolder, model: str) -> Path:
    """The inbox of the model of this id; it need not exist."""
    return workspace.models / model / INBOX


def complete(folder: Path) -> list[Path]:
    """What lies in an inbox and was not changed within the last seconds, by the times that the files carry."""
    newest = time.time() - SETTLED_SECONDS
    return [path for path in _entries(folder) if (looks := _looks(path)) is not None and looks[-1] <= newest * 1e9]


def take(folder: Path, entries: list[Path]) -> Path | None:
    """Move entries of an inbox into a folder of their own; None if somebody else has taken them all."""
    taken = folder / TAKEN / new_id("i")
    taken.mkdir(parents=True)
    for path in entries:
        try:
            path.rename(taken / path.name)
        except FileNotFoundError:  # another worker was faster
            continue
    if any(taken.iterdir()):
        return taken
    taken.rmdir()
    return None


def feed_of(model: str, taken: Path) -> NewJob:
    """The feed of a folder that was taken from an inbox; queued again it is the same job."""
    payload: dict[str, Any] = {"model": model, "paths": [str(taken)], "inbox": True}
    return NewJob(model_queue(model), "feed", payload, lane="light", dedup_key=f"inbox:{model}:{taken.name}")


def put_aside(feed: NewJob, reason: str) -> None:
    """Move what a feed that failed or was discarded did not take into `refused`, with the reason beside it."""
    taken = Path(feed.payload["paths"][0])
    aside = taken.parent.parent / REFUSED
    with disk_errors(aside):
        for path in sorted(taken.iterdir()):
            target = free_name(aside / path.name)
            write_text(target.with_name(f"{target.name}{REASON}"), f"{reason}\n")
            path.rename(target)
        taken.rmdir()


def free_name(target: Path) -> Path:
    """A name like `target` that nothing has yet."""
    while target.exists() or target.is_symlink():
        target = target.with_name(f"again-{target.name}")
    return target


def inbox_state(folder: Path) -> InboxState | None:
    """What lies in an inbox; None where there is none."""
    if not folder.is_dir():
        return None
    taken = sum(1 for one in _folders(folder / TAKEN) for _ in one.iterdir())
    refused = [path for path in (folder / REFUSED).rglob("*") if not path.name.endswith(REASON)]
    return InboxState(str(folder), sum(1 for _ in _entries(folder)), taken, sum(path.is_file() for path in refused))


def _entries(folder: Path) -> Iterator[Path]:
    """What people have put there, in the order of names."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return
    for name in names:
        if name != REFUSED and not name.startswith(".") and not name.endswith(("~", *_UNFINISHED)):
            yield folder / name


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _looks(path: Path) -> tuple[int, ...] | None:
    """Number, size and newest change of all files of an entry; None if it has gone, or is a pipe or a device."""
    try:
        if path.is_dir() and not path.is_symlink():
            below = [one.lstat() for one in path.rglob("*")]
        elif path.is_symlink() or path.is_file():
            below = []
        else:
            return None
        below.append(path.lstat())
    except OSError:
        return None
    return (len(below), sum(one.st_size for one in below), below[-1].st_ino, max(one.st_mtime_ns for one in below))
