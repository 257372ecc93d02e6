"""A job in a queue, seen from the process that follows it. The job does not depend on being followed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from treadle.base.errors import TreadleError
from treadle.jobs.job import ACTIVE
from treadle.jobs.presence import announce, wake, worker_lives
from treadle.jobs.runs import RunFolder
from treadle.telemetry.events import Event, EventFollower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.jobs.job import Job
    from treadle.jobs.ledger import Ledger
    from treadle.store.workspace import WorkspaceFolder

_PATIENCE_SECONDS = 0.6
"""How long a job may wait before it is worth a word."""
_WORKER_SECONDS = 1.5
"""How long to wait for a worker that was just started before another one is."""
_AFTERWARDS = {
    "recovered": "The job goes on from what was kept last.",
    "released": "The job goes on with the next worker.",
    "retrying": "It is tried again.",
}
"""What follows when a job goes back into its queue, by the type of the event in the ledger."""
_LOST = (
    "A worker ended without notice before this; its jobs go on where they were. To look around before anything starts: "
    "treadle worker stop, then treadle worker run --paused"
)


class RunFailedError(TreadleError):
    """A job ended without doing what was asked."""

    def __init__(self, message: str, exit_code: int = 1, kind: str = "RunFailed") -> None:
        """Carry the run's own message, exit code and kind of error."""
        super().__init__(message)
        self.exit_code = exit_code
        self.kind = kind


class QueuedJob:
    """A job and what happens to it. Close it, or use it as a context; the job goes on."""

    def __init__(self, workspace: WorkspaceFolder, ledger: Ledger, job: Job, notes: tuple[str, ...] = ()) -> None:
        """Follow `job`; `ledger` belongs to this object from now on. `notes` were said of the request."""
        self.workspace = workspace
        self.job = job
        self.notes = notes
        self._ledger = ledger
        self._follower: EventFollower | None = None
        self._said = ""
        self._news = [Event("note", time.time(), {"message": note}) for note in notes]
        self._cursor = ledger.last_event()
        self._waiting_since = time.monotonic()
        self._worker_since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._ledger.close()

    @property
    def id(self) -> int:
        """The job's number."""
        return self.job.id

    @property
    def run(self) -> RunFolder | None:
        """The folder of its run, as soon as there is one."""
        return None if self.job.run is None else RunFolder(self.workspace.runs / self.job.run)

    def events(self) -> Iterator[Event | None]:
        """Yield the events of its run until it has ended; None whenever nothing is new.

        Between them stand events `queued`, whose `message` says what it waits for. Called again after an interruption,
        it goes on behind the last event that was yielded.
        """
        yield from self._word_on_lost_workers()
        while self._news:
            yield self._news.pop(0)
        while self.run is None and self._goes_on():
            yield from self._word_on_waiting()
            yield None
            time.sleep(0.02)
        if self.run is None:
            return
        self._follower = self._follower or EventFollower(self.run.events)
        for event in self._follower.follow(self._goes_on):
            yield from self._word_on_waiting() if event is None else ()
            while self._news:
                yield self._news.pop(0)
            if event is None or event.type != "note" or event.data.get("message") not in self.notes:  # told already
                yield event

    def stop(self) -> None:
        """Ask it to keep what it has and stop at its next step boundary; a waiting one is cancelled."""
        self.job = self._ledger.stop(self.id)
        wake(self.workspace)

    def ensure_worker(self) -> None:
        """See that somebody carries it out, before it is left to itself."""
        announce(self.workspace)

    def wait(self) -> dict[str, Any]:
        """Wait for the end; return what the recipe returned, with `job`, `run` and `outcome` added.

        Raises `RunFailedError` with the run's message.
        """
        for _ in self.events():
            pass
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """What came of a job that has ended; raises `RunFailedError` if it failed or never began."""
        job = self.job
        if job.result is not None and "error" not in job.result:
            outcome = "done" if job.state == "done" else "stopped"
            return {"job": job.id, "run": job.run, "outcome": outcome, **job.result}
        result = None if self.run is None else self.run.result()
        failed = {} if result is None or job.state != "failed" else result
        kind = failed.get("kind", "RunFailed" if job.state == "failed" else "Stopped")
        message = str(
            failed.get("error") or (job.result or {}).get("error") or job.error or f"Job {job.id} is {job.state}."
        )
        if job.state == "failed" and not failed:
            message += f" Its log: {'none' if self.run is None else self.run.log}. Again: treadle jobs retry {job.id}"
        raise RunFailedError(message, int(failed.get("exit_code", 1)), kind)

    def _goes_on(self) -> bool:
        if self._ledger.wait(0.0):
            before, self.job = self.job, self._ledger.get(self.id)
            if before.active and self.job.waiting:
                self._waiting_since = time.monotonic()
            self._news += self._what_befell_it()
        return self.job.waiting or self.job.active

    def _what_befell_it(self) -> list[Event]:
        """Notes on crashes and failed attempts, which are no events of its run: that one knows nothing of them."""
        events = self._ledger.events(self._cursor, self.id)
        self._cursor = events[-1].seq if events else self._cursor
        return [
            Event(
                "note",
                event.time,
                {"message": f"{event.data.get('reason') or event.data.get('error', '')} {_AFTERWARDS[event.type]}"},
            )
            for event in events
            if event.type in _AFTERWARDS
        ]

    def _word_on_lost_workers(self) -> Iterator[Event]:
        """Once after each: a worker has ended without notice, and what may be done about it."""
        work = self._ledger.work
        if work.lost_workers():
            work.lost_workers_shown()
            yield Event("note", time.time(), {"message": _LOST})

    def _word_on_waiting(self) -> Iterator[Event]:
        """What the job waits for, when that has lasted a moment and is news; a worker, when there is none."""
        now = time.monotonic()
        if now - self._worker_since > _WORKER_SECONDS and not worker_lives(self.workspace):
            self._worker_since = now
            announce(self.workspace, self.job.kind)
        if not self.job.waiting or now - self._waiting_since < _PATIENCE_SECONDS:
            return
        message = waits_for(self._ledger, self._ledger.get(self.id))
        if message != self._said:
            self._said = message
            yield Event("queued", time.time(), {"job": self.id, "message": message})


def waits_for(ledger: Ledger, job: Job) -> str:
    """Why a waiting job waits, in a few words."""
    queue = ledger.queue(job.queue)
    if queue is not None and queue.paused is not None:
        return f"its queue is paused; `treadle jobs resume {job.queue}` lets it go on"
    first = [row.on_job for row in ledger.dependencies(job.id) if not row.satisfied]
    if first:
        return f"after job {', '.join(map(str, first))}"
    if job.held:
        return f"it is held; `treadle jobs release {job.id}` lets it go on"
    if job.not_before > time.time():
        seconds = job.not_before - time.time()
        reason = "" if job.error is None else f" after: {job.error}"
        return f"tried again in {seconds:.0f} s{reason}" if job.error else f"not before {seconds:.0f} s from now"
    running = [other for other in ledger.jobs(states=ACTIVE) if other.lane == job.lane]
    ahead = "" if not running else f", job {running[0].id} runs"
    recovered = "" if job.error is None else f" ({job.error})"
    return f"number {job.place or 1} of its queue{ahead}{recovered}"
