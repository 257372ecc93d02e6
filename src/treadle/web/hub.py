"""One reader of everything that happens, for all who watch: what the ledger and the running jobs write is passed on.

It reads only while somebody watches, in one thread. A watcher that cannot keep up is let go; it comes back with its
cursor and reads what it missed from the files, so nothing is kept in memory for it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import NotFoundError
from treadle.jobs.job import ACTIVE
from treadle.jobs.ledger import Ledger
from treadle.store.models import ModelCards
from treadle.web.answers import to_json
from treadle.web.positions import LOGS, Position, new_of_run, parsed, read_lines, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.jobs.job import Job, LedgerEvent
    from treadle.store.workspace import WorkspaceFolder

_POLL_SECONDS = 0.02
LINGER_SECONDS: Final = 5.0
"""How long the reader goes on without watchers; a reload of a page does not stop it."""
HISTORY_BYTES: Final = 64 * 1024
"""How much of the log of a run that is active a watcher without a cursor gets first."""
MOST_WAITING: Final = 2000
"""Events that may wait for a watcher before it is let go."""
MOST_WAITING_BYTES: Final = 8 * 1024 * 1024
"""How large they may be together: one piece of a log alone may have a quarter of a megabyte."""
_PAGE = 500


class Watcher:
    """One client's line of events: filled by the hub's thread, emptied by the client's task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for events in `loop`."""
        self._loop = loop
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._given = self._taken = 0  # bytes; each is counted by one thread only
        self.dropped = False

    def give(self, message: bytes) -> None:
        """Put an event into the line; one that is too long is given up."""
        if self.dropped:
            return
        if len(self._waiting) >= MOST_WAITING or self._given - self._taken >= MOST_WAITING_BYTES:
            self.drop()
            return
        self._waiting.append(message)
        self._given += len(message)
        self._loop.call_soon_threadsafe(self._news.set)

    def drop(self) -> None:
        """Let the client go; it may come back with its cursor."""
        self.dropped = True
        self._waiting.clear()
        self._loop.call_soon_threadsafe(self._news.set)

    async def take(self, seconds: float) -> bytes:
        """All that waits, as one piece; empty if nothing came for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return b""
        self._news.clear()
        found = []
        while self._waiting:
            found.append(self._waiting.popleft())
        piece = b"".join(found)
        self._taken += len(piece)
        return piece


class Hub:
    """Passes on what happens in one workspace."""

    def __init__(self, workspace: WorkspaceFolder, linger_seconds: float = LINGER_SECONDS) -> None:
        """Read nothing yet."""
        self._workspace = workspace
        self._linger = linger_seconds
        self._lock = threading.Lock()
        self._watchers: list[Watcher] = []
        self._position: Position | None = None  # of the thread; None while there is none
        self._jobs: dict[str, Job] = {}
        self._ended: dict[str, Job | None] = {}  # jobs whose runs came and went between two looks
        self._names: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def cursor(self) -> str:
        """Where the stream is now: who watches from here misses nothing that comes after this call."""
        with self._lock:
            if self._position is not None:
                return str(self._position)
        return str(self._now())

    def watch(self, loop: asyncio.AbstractEventLoop, cursor: str) -> tuple[Watcher, Iterator[bytes]]:
        """A line of all that comes from now on, and the events between `cursor` and now, to be read first."""
        begin = Position.parse(cursor) if cursor else None
        watcher = Watcher(loop)
        with self._lock:
            if self._position is None:
                self._position = self._now()
            here = self._position.copy()
            self._watchers.append(watcher)
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="treadle-events", daemon=True)
                self._thread.start()
        return watcher, self._missed(begin, here)

    def leave(self, watcher: Watcher) -> None:
        """Give up a line."""
        with self._lock:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def end(self) -> None:
        """Let all watchers go: the server is about to end."""
        for watcher in list(self._watchers):
            watcher.drop()

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        thread = self._thread
        if thread is not None:
            thread.join(timeout=2)

    def _now(self) -> Position:
        with Ledger.open(self._workspace) as ledger:
            active = [job.run for job in ledger.jobs(states=ACTIVE) if job.run is not None]
            return Position(ledger.last_event(), {run: sizes(self._workspace, run) for run in active})

    def _read(self) -> None:
        """The thread; if it fails, who watched comes back with a cursor and begins a new one."""
        try:
            self._follow()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._position, self._thread = None, None
                    for watcher in self._watchers:
                        watcher.drop()
                    self._watchers.clear()

    def _follow(self) -> None:
        """Poll the ledger and the logs of what runs, as long as somebody watches."""
        idle_since = time.monotonic()
        with Ledger.open(self._workspace) as ledger:
            self._look(ledger)
            changed = True  # something may have happened before this connection was there to see it
            while not self._closed:
                with self._lock:
                    self._step(ledger, changed=changed)
                    if self._watchers:
                        idle_since = time.monotonic()
                    elif time.monotonic() - idle_since > self._linger:
                        self._position, self._thread = None, None
                        return
                changed = ledger.wait(_POLL_SECONDS)

    def _step(self, ledger: Ledger, *, changed: bool) -> None:
        position = self._position
        if position is None:
            return
        for run in list(position.runs):
            self._pass_on_run(position, run)
        if not changed:
            return
        while events := ledger.events(position.seq, count=_PAGE):
            self._look(ledger)
            for event in events:
                self._pass_on(ledger, position, event)
        for run in set(position.runs) - set(self._jobs):
            self._pass_on_run(position, run)
            del position.runs[run]
        self._ended.clear()

    def _look(self, ledger: Ledger) -> None:
        """See which jobs are active, and which name each model has."""
        self._jobs = {job.run: job for job in ledger.jobs(states=ACTIVE) if job.run is not None}
        self._names = _names(self._workspace)

    def _pass_on_run(self, position: Position, run: str) -> None:
        job = self._jobs.get(run) or self._ended.get(run)
        while True:
            before = list(position.runs[run])
            for found in new_of_run(self._workspace, run, position.runs[run]):
                self._give(position, _of_run(run, job, self._names, found))
            if position.runs[run] == before:
                return

    def _pass_on(self, ledger: Ledger, position: Position, event: LedgerEvent) -> None:
        position.seq = event.seq
        for run in self._jobs:
            if run not in position.runs:
                position.runs[run] = _tails(sizes(self._workspace, run))
        ended = [run for run in position.runs if run not in self._jobs]
        for run in ended:  # what it wrote last comes before the word that it has ended
            self._pass_on_run(position, run)
        self._give(position, _of_ledger(event, self._names))
        new = _run_of(ledger, event)
        if new is not None and new not in position.runs:  # begun and ended since the last look
            self._ended[new] = ledger.job_of_run(new)
            position.runs[new] = _tails(sizes(self._workspace, new))

    def _give(self, position: Position, fields: dict[str, Any]) -> None:
        message = sse(fields, str(position))
        for watcher in list(self._watchers):
            watcher.give(message)
            if watcher.dropped:
                self._watchers.remove(watcher)

    def _missed(self, begin: Position | None, here: Position) -> Iterator[bytes]:
        """What happened between a cursor and `here`, from the files; without a cursor the end of what runs now."""
        with Ledger.open(self._workspace) as ledger:
            names = _names(self._workspace)
            place = begin or _history_of(here)
            yield sse({"type": "hello", "time": time.time(), "data": {"history": begin is None}}, str(place))
            for run in list(place.runs):
                yield from self._rest_of_run(ledger, names, run, (place, here))
            while place.seq < here.seq:
                events = [event for event in ledger.events(place.seq, count=_PAGE) if event.seq <= here.seq]
                if not events:
                    break
                for event in events:
                    place.seq = event.seq
                    yield sse(_of_ledger(event, names), str(place))
                    new = _run_of(ledger, event)
                    if new is not None and new not in place.runs:
                        yield from self._rest_of_run(ledger, names, new, (place, here))
            for run in [run for run in here.runs if run not in place.runs]:
                yield from self._rest_of_run(ledger, names, run, (place, here))

    def _rest_of_run(
        self, ledger: Ledger, names: dict[str, str], run: str, between: tuple[Position, Position]
    ) -> Iterator[bytes]:
        """What stands in the logs of a run between two positions; the first one moves on."""
        place, here = between
        ends = here.runs.get(run) or sizes(self._workspace, run)
        places = place.runs.setdefault(run, [0, 0])
        job = ledger.job_of_run(run)
        for number, name in enumerate(LOGS):
            while places[number] < ends[number]:
                lines, after = read_lines(self._workspace.runs / run / name, places[number], ends[number])
                if after == places[number]:
                    break
                places[number] = after
                for found in parsed(name, lines):
                    yield sse(_of_run(run, job, names, found), str(place))


def _run_of(ledger: Ledger, event: LedgerEvent) -> str | None:
    """The run that begins with this event."""
    if event.type == "run":
        return str(event.data["run"])
    if event.type != "started" or event.job is None:
        return None
    try:
        return ledger.get(event.job).run
    except NotFoundError:  # pruned meanwhile
        return None


def _names(workspace: WorkspaceFolder) -> dict[str, str]:
    """The names of the models by their queues."""
    return {f"model:{card.id}": card.name for card in ModelCards(workspace).all()}


def _history_of(here: Position) -> Position:
    """Where the history of a watcher without a cursor begins; a line that is cut there is left out."""
    return Position(here.seq, {run: _tails(ends) for run, ends in here.runs.items()})


def _tails(ends: list[int]) -> list[int]:
    """Where to begin in the logs of a run that was not followed yet: a new one is read whole."""
    return [max(0, ends[0] - HISTORY_BYTES), max(0, ends[1] - HISTORY_BYTES)]


def sse(fields: dict[str, Any], cursor: str) -> bytes:
    """One event in the form of `text/event-stream`; its id is the cursor behind it."""
    return f"id: {cursor}\ndata: {to_json(fields)}\n\n".encode("utf-8", "backslashreplace")


def _of_run(run: str, job: Job | None, names: dict[str, str], found: tuple[str, float | None, Any]) -> dict[str, Any]:
    type_, moment, data = found
    return {
        "type": f"run.{type_}",
        "time": time.time() if moment is None else moment,
        "run": run,
        "job": None if job is None else job.id,
        "queue": None if job is None else job.queue,
        "model": None if job is None else names.get(job.queue),
        "kind": None if job is None else job.kind,
        "data": data,
    }


def _of_ledger(event: LedgerEvent, names: dict[str, str]) -> dict[str, Any]:
    return {
        "type": f"job.{event.type}",
        "time": event.time,
        "job": event.job,
        "queue": event.queue,
        "model": names.get(event.queue or ""),
        "data": event.data,
    }
