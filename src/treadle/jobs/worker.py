"""The worker: takes jobs from the ledger, has a process carry out each, and writes down how it ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import treadle
from treadle.base.errors import ResourceError, TreadleError
from treadle.jobs.cron import parse_cron
from treadle.jobs.executors.subprocess import KEPT_SECONDS, Ending, Spare, ending_of
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.inbox import Inboxes, put_aside
from treadle.jobs.job import job_facts
from treadle.jobs.ledger import Ledger
from treadle.jobs.ledger_work import ClaimLostError
from treadle.jobs.presence import Bell, Presence, worker_folder
from treadle.jobs.runs import RunFolder, create_run
from treadle.registry.catalogue import load
from treadle.store.database import DatabaseBusyError, DatabaseDamagedError
from treadle.telemetry import hardware_history

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from treadle.jobs.executors.subprocess import Attempt
    from treadle.jobs.job import Claim, Lane
    from treadle.store.workspace import WorkspaceFolder

LIMITS: Final[Mapping[Lane, int]] = {"light": 4, "heavy": 1}
"""How many jobs of each lane this machine carries out at a time; a training uses all of its cores."""
_LOOK_SECONDS = 0.05
"""How often to look whether the ledger has changed; the bell is faster."""
_HEARTBEAT_SECONDS = 5.0
_TROUBLE_SECONDS = 1.0
_JUMP_SECONDS = 60.0
"""The clock was set, if it and the time since the start differ by more than this from one heartbeat to the next."""
_PERMANENT = {"Defect"}


class Worker:
    """One worker of one workspace. `run` returns when it was told to end, or has been idle for long enough."""

    def __init__(
        self,
        workspace: WorkspaceFolder,
        *,
        limits: Mapping[Lane, int] = LIMITS,
        idle_seconds: float | None = None,
        spare: Spare | None = None,
    ) -> None:
        """Work in `workspace`; without `idle_seconds` until told to end. `spare` was started ahead for a first job."""
        self._workspace = workspace
        self._limits = dict(limits)
        self._idle_seconds = idle_seconds
        self._spares = [] if spare is None else [spare]
        self._attempts: list[Attempt] = []
        self._expected = ""
        self._draining = False
        self._stopping = False
        self._identity = WorkerIdentity.current()
        self._busy_until = time.monotonic()
        self._heartbeat = 0.0
        self._clock_offset = 0.0
        self._look = True
        self._next_due = 0.0
        self._inboxes = Inboxes(workspace)
        self._hardware = hardware_history.Sampler(worker_folder(workspace) / hardware_history.FILE)

    @property
    def id(self) -> str:
        """Name of the worker in lists."""
        return self._identity.id

    def run(self) -> None:
        """Work."""
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, self._told_to_stop)
        self._bell = Bell(self._workspace)
        self._presence = Presence(self._workspace)
        try:
            with Ledger.open(self._workspace) as self._ledger:
                self._work_until_told()
        finally:
            self._bell.close()
            for spare in self._spares:
                spare.dismiss()

    def _work_until_told(self) -> None:
        self._presence.show()
        self._ledger.work.register(self._identity, self._facts())
        try:
            while not self._ended():
                try:
                    self._beat()
                    self._settle()
                    self._hear()
                    self._take_in()
                    self._start_what_may_start()
                except (ResourceError, DatabaseBusyError) as error:  # a full disk may have room again
                    print(f"{time.strftime('%F %T')} {error}", file=sys.stderr, flush=True)
                    self._look = True
                    time.sleep(_TROUBLE_SECONDS)
                except DatabaseDamagedError as error:
                    print(f"{time.strftime('%F %T')} {error}", file=sys.stderr, flush=True)
                    self._open_anew()
                self._wait()
            self._ledger.work.unregister(self._identity)
        finally:
            for attempt in self._attempts:  # only after an error; whatever it was, no process stays behind
                attempt.kill()

    def _open_anew(self) -> None:
        """Have the database made anew; processes at work go on, since their claims come back with it."""
        self._ledger.close()
        self._ledger = Ledger.open(self._workspace)
        self._ledger.work.register(self._identity, self._facts())
        self._look = True

    def _facts(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": treadle.__version__,
            "limits": self._limits,
            "idle_seconds": self._idle_seconds,
        }

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = self._draining = True

    def _ended(self) -> bool:
        """Whether nothing is left to do for this worker; if so, it can no longer be seen by those who queue work."""
        if self._attempts:
            return False
        if not self._draining:
            if self._idle_seconds is None or time.monotonic() - self._busy_until < self._idle_seconds:
                return False
            if not self._idle():
                return False
        self._presence.hide()
        if self._draining or self._idle():
            return True
        self._presence.show()  # a job came in between; whoever queued it may have seen this worker alive
        self._look = True
        return False

    def _idle(self) -> bool:
        work = self._ledger.work
        return work.idle() and work.seconds_to_next() is None and self._ledger.schedules.next_fire() is None

    def _beat(self) -> None:
        """Now and then: tell that this worker lives, take over what dead ones left."""
        now = time.monotonic()
        if now - self._heartbeat < _HEARTBEAT_SECONDS:
            return
        self._heartbeat = now
        with contextlib.suppress(ResourceError):  # work matters more than a curve of it
            self._hardware.sample()
        self._notice_set_clock(now)
        self._ledger.work.heartbeat(self._identity)
        if self._ledger.work.reap(self._identity):
            self._look = True
        self._ledger.backup()  # at most once an hour, if something has changed

    def _notice_set_clock(self, now: float) -> None:
        """At the start, and when the clock was set: what waits for a time is worked out anew."""
        offset = time.time() - now
        if abs(offset - self._clock_offset) > _JUMP_SECONDS:
            self._clock_offset = offset
            self._look = True
            self._ledger.schedules.replan(time.time(), lambda cron, after: parse_cron(cron).next_after(after))

    def _settle(self) -> None:
        """Write down how attempts ended."""
        for attempt in list(self._attempts):
            ending = attempt.poll()
            if ending is not None:
                self._record(attempt.claim, attempt.run, ending)
                self._attempts.remove(attempt)  # not before it is written down
                self._expected = attempt.claim.job.kind if attempt.claim.job.lane == "heavy" else ""
                self._write_notes()
                self._look = True
                self._busy_until = time.monotonic()

    def _record(self, claim: Claim, run: RunFolder, ending: Ending) -> None:
        work = self._ledger.work
        with contextlib.suppress(ClaimLostError):  # somebody else goes on with it
            job = work.held(claim)
            if ending.outcome == "done":
                work.finish(claim, ending.value)
            elif job.cancel == "discard":
                self._discard(claim, run)
                work.cancelled(claim, ending.value if "error" in ending.value else None)  # such as a host out of reach
            elif ending.outcome == "failed":
                again = ending.value.get("exit_code", 1) == 1 and ending.value.get("kind") not in _PERMANENT
                if again and job.attempts + 1 < job.max_attempts and job.cancel is None:
                    run.forget_result()  # before the ledger knows: an attempt too many does no harm, one too few does
                work.fail(claim, ending.value["error"], again=again)
            elif ending.outcome == "stopped" and job.cancel is not None:
                work.cancelled(claim, ending.value)
            elif ending.outcome == "died" and not self._stopping:
                work.crashed(claim, ending.value["error"])
            elif job.cancel is not None:
                work.cancelled(claim)
            else:
                work.release(claim, "The worker ended; what was done so far is kept.")

    def _discard(self, claim: Claim, run: RunFolder) -> None:
        """Move what the run has made, and its folder, to the trash."""
        kind = load("treadle.recipes.catalog:KINDS").get(claim.job.kind)
        if kind.discard is not None:
            load(kind.discard)(self._workspace, run.id, claim.job.payload)
        self._workspace.trash.mkdir(parents=True, exist_ok=True)
        if run.path.is_dir():
            run.path.rename(self._workspace.trash / run.id)

    def _hear(self) -> None:
        """Pass on what people asked of running jobs and of this worker."""
        for kind in self._bell.heard():
            self._look = True
            if kind and not self._draining and all(spare.kind != kind for spare in self._spares):
                self._spares.append(Spare(kind))
                self._busy_until = time.monotonic()
        if self._ledger.wait(0.0):
            self._look = True
        if self._look:
            command = self._ledger.work.asked(self._identity)
            self._draining = self._draining or command is not None
            self._stopping = self._stopping or command == "stop"
            asked = {job.id for job in self._ledger.work.requests(self._identity)} if self._attempts else set()
            for attempt in self._attempts:
                if attempt.claim.job.id in asked and attempt.asked is None:
                    self._ask(attempt)
        if self._draining:
            self._presence.hide()
        if self._stopping:
            for attempt in self._attempts:
                if attempt.asked is None:
                    self._ask(attempt)

    def _take_in(self) -> None:
        """Queue feeds of what was dropped into the inboxes of models."""
        if self._draining:
            return
        for feed in self._inboxes.look():
            job = self._ledger.submit(feed)
            if job.state in {"failed", "cancelled"}:  # it had its chance before this worker began
                put_aside(feed, job.error or f"Its feed, job {job.id}, was {job.state}.")
            self._look = True
        if self._inboxes.unsettled:
            self._busy_until = time.monotonic()

    def _ask(self, attempt: Attempt) -> None:
        attempt.ask_to_stop()
        with contextlib.suppress(ClaimLostError):
            self._ledger.work.mark_stopping(attempt.claim)

    def _start_what_may_start(self) -> None:
        for spare in [spare for spare in self._spares if spare.stale]:
            self._spares.remove(spare)
            spare.dismiss()
        if self._draining or not (self._look or time.time() >= self._next_due):
            return
        self._look = False
        if (due := self._ledger.schedules.next_fire()) is not None and due <= time.time():
            now = time.time()
            self._ledger.schedules.fire(now, lambda cron, after: _following(cron, after, now))
        while (claim := self._ledger.work.claim(self._identity, self._limits)) is not None:
            self._busy_until = time.monotonic()
            self._start(claim)
        self._keep_one_ready()
        waits = self._ledger.work.seconds_to_next()
        due = self._ledger.schedules.next_fire()
        times = [time.time() + waits] if waits is not None else []
        self._next_due = min([*times, *([] if due is None else [due])], default=float("inf"))

    def _keep_one_ready(self) -> None:
        """Start a process for a next training, if one has just ended and nothing else runs: it is wanted soon or never.

        A worker that does not stay for as long keeps none.
        """
        stays = self._idle_seconds is None or self._idle_seconds >= KEPT_SECONDS
        if self._expected and stays and not self._attempts and not self._spares:
            self._spares.append(Spare(self._expected, KEPT_SECONDS))
        self._expected = ""

    def _start(self, claim: Claim) -> None:
        """Start a claimed job, unless an earlier attempt had finished it and died before it could say so."""
        job = claim.job
        try:
            run = RunFolder(self._workspace.runs / job.run) if job.run else None
            if run is None or not run.path.is_dir():
                run = create_run(self._workspace, job.kind, job.payload, job_facts(job))
                self._ledger.work.set_run(claim, run.id)
            known = ending_of(run)
            if job.recoveries and run.made_progress():
                self._ledger.work.progressed(claim)
        except ClaimLostError:
            return
        except TreadleError as error:  # a full or broken disk is a failure of this attempt, not of the worker
            self._ledger.work.fail(claim, str(error))
            return
        if known is not None and known.outcome != "stopped":
            self._record(claim, run, known)
            self._look = True
            return
        spare = next((spare for spare in self._spares if spare.kind == job.kind and not spare.stale), None)
        if spare is None:
            spare = Spare(job.kind)
        else:
            self._spares.remove(spare)
        self._attempts.append(spare.carry_out(claim, run))
        self._write_notes()

    def _write_notes(self) -> None:
        """Have the notes tell what started or ended, if a job is for a task of theirs."""
        if any((self._workspace.root / "flow" / ".runs").glob("r-*.json")):
            load("treadle.recipes.flow_reconcile:reconcile_quietly")(self._workspace, self._ledger)

    def _wait(self) -> None:
        """Sleep until the bell rings, a process ends, or it is time to look."""
        with contextlib.ExitStack() as stack:
            handles: list[Any] = [self._bell.socket]
            for attempt in self._attempts:
                with contextlib.suppress(OSError, AttributeError):  # a kernel or system without such handles
                    handle = os.pidfd_open(attempt.pid)
                    stack.callback(os.close, handle)
                    handles.append(handle)
            with contextlib.suppress(InterruptedError):
                select.select(handles, [], [], _LOOK_SECONDS)


def _following(cron: str, after: float, now: float) -> float:
    """The last moment that was missed, if any, else the next one: many missed moments are skipped in one step."""
    known = parse_cron(cron)
    missed = known.last_before(now, after)
    return known.next_after(after) if missed is None else missed
