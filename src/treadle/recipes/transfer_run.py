"""A transfer: from requests to videos, on a host or on this machine, in as many launches as it takes."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.recipes import (
    transfer_checkpoints,
    transfer_host,
    transfer_memory,
    transfer_requests,
    transfer_results,
)
from treadle.recipes.following import LeftError, StoppedError
from treadle.recipes.transfer_launch import Launching
from treadle.recipes.transfer_work import FILE, Work
from treadle.video.transfer.backends.catalog import BACKENDS
from treadle.video.transfer.backends.config import RunSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.jobs.context import RunContext
    from treadle.operations.transfer import TransferPayload
    from treadle.recipes.transfer_host import HostHere
    from treadle.recipes.transfer_work import LaunchRecord
    from treadle.video.transfer.backends.backend import Backend, LaunchSettings, Outcome
    from treadle.video.transfer.dialects.written import Written
    from treadle.video.transfer.spec import TransferSpec


class TransferFailedError(TreadleError):
    """No video was made, and the same again would end the same."""

    exit_code = 3


class TransferBlockedError(TransferFailedError):
    """A guardrail of the target refused all that was asked."""


class EndUnknownError(TreadleError):
    """The command is gone, and nothing says how it ended."""


class HostTroubleError(TreadleError):
    """Trouble on the host that has nothing to do with the request did not pass."""


def run(context: RunContext, payload: TransferPayload) -> dict[str, Any]:
    """Have all videos made; returns what came of each, what it took and what it cost.

    Called again after a kill, a cut link or a stop, it goes on with the launch that is under way, or with the first
    video that is missing.
    """
    specs = transfer_requests.specs(payload)
    backend: Backend = BACKENDS.get(payload.backend)
    work = Work.open(context.run.path / FILE, [spec.name for spec in specs])
    chosen = RunSettings(**payload.settings)
    with transfer_host.connected(context.workspace, payload.host, chosen.patience_seconds) as host:
        story = _Story(context, payload, chosen, work, backend, host, specs)
        for note in () if work.launches else payload.notes:
            context.emit("note", message=note)
        try:
            story.check_checkpoints()
            while (launch := story.next_launch()) is not None:
                story.carry_out(launch)
        except LeftError:
            return {"outcome": "stopped", "host": host.name, "detached": True, **work.facts()}
        except StoppedError:
            return {"outcome": "stopped", "host": host.name, "detached": False, **work.facts()}
        transfer_results.remember_warm(context.workspace, host.name, backend.key(specs[0]), work)
        return _answer(context, work, host, payload)


class _Story:
    """One attempt at a run: which launch comes next, and what follows from how it ended."""

    def __init__(
        self,
        context: RunContext,
        payload: TransferPayload,
        chosen: RunSettings,
        work: Work,
        backend: Backend,
        host: HostHere,
        specs: Sequence[TransferSpec],
    ) -> None:
        self._context, self._payload, self._chosen, self._work = context, payload, chosen, work
        self._backend, self._host, self._specs = backend, host, specs
        self._troubles = 0

    def check_checkpoints(self) -> None:
        """Refuse what the host lacks the checkpoints for, before anything is sent; what goes on there has them."""
        begun = self._work.open_launch
        if begun is None or begun.state == "staging":
            needed = [name for number in self._work.waiting for name in self._backend.needs(self._specs[number])]
            transfer_checkpoints.check(self._context, self._host, needed, self._chosen.verify)

    def next_launch(self) -> LaunchRecord | None:
        """The launch that is under way, else a new one for what is still to be made; None when nothing is."""
        if (found := self._work.open_launch) is not None:
            return found
        waiting = self._work.waiting
        if not waiting:
            return None
        items = self._group(waiting)
        at_once = self._at_once(len(items))
        piece = len(self._work.pieces(items[0])) if len(items) == 1 else 0
        return self._work.begin(self._context.run.id, items, piece, at_once)

    def carry_out(self, launch: LaunchRecord) -> None:
        """Bring one launch to its end and note what it made."""
        settings = transfer_requests.launch_settings(self._context.workspace, self._payload)
        settings = dataclasses.replace(settings, at_once=launch.at_once)
        written = self._written(launch, settings)
        if launch.number == 0 or launch.piece == 0:
            for said in written.remarks:
                self._context.emit("note", message=said)
        work = Launching(self._context, self._work, launch, self._backend, self._host)
        run = written.runs[launch.piece]
        outcome = work.carry_out(written, run, settings)
        self._context.require_claim()
        made: list[int] = []
        if outcome.ending in {"done", "failed", "blocked"} and not outcome.one_by_one:
            made = transfer_results.take(self._context, self._payload, self._specs, self._work, launch, written)
        self._judge(launch, outcome, made)
        launch.state = "ended"
        self._work.save()
        self._context.kept()
        if outcome.transient:
            self._wait_after_trouble(outcome)

    def _group(self, waiting: list[int]) -> list[int]:
        """Of the items that wait, those that can go together with the first."""
        shared = self._backend.shared(self._specs[waiting[0]])
        if shared is None or not (self._payload.batch and self._backend.batches):
            return waiting[:1]
        return [number for number in waiting if self._backend.shared(self._specs[number]) == shared]

    def _at_once(self, count: int) -> int:
        if count == 1:
            return 1
        if self._work.at_once is None:
            self._work.at_once = self._chosen.batch_size or transfer_memory.at_once(self._host, self._context)
        return max(1, min(count, self._work.at_once))

    def _written(self, launch: LaunchRecord, settings: LaunchSettings) -> Written:
        changes = transfer_requests.adjusted(self._context.run)
        specs = [dataclasses.replace(self._specs[number], **changes) for number in launch.items]
        return self._backend.write(specs, self._host.places(self._host.folder(launch.id)).run, settings)

    def _judge(self, launch: LaunchRecord, outcome: Outcome, made: list[int]) -> None:
        """What follows for the items that were not made."""
        missing = [number for number in launch.items if number not in made]
        if not missing:
            return
        items = self._work.items
        if outcome.ending == "blocked":
            for place in outcome.refused or (launch.items.index(missing[0]),):
                item = items[launch.items[place]]
                item.state, item.reason = "blocked", outcome.reason
            return
        if outcome.one_by_one:
            self._work.at_once = 1
            self._context.emit("note", message=outcome.reason)
            return
        if outcome.out_of_memory and launch.at_once > 1:
            self._work.at_once = launch.at_once // 2
            message = f"{outcome.reason} {launch.at_once} at once were too many; going on with {self._work.at_once}."
            self._context.emit("note", message=message)
            return
        if outcome.ending == "done":
            outcome = dataclasses.replace(outcome, ending="failed", reason="The command made fewer videos than asked.")
        if outcome.ending == "unknown":
            raise self._closed(launch, EndUnknownError(f"{self._host.name}: {outcome.reason}"))
        if outcome.ending == "cancelled":
            raise self._closed(launch, EndUnknownError(f"The run was ended on {self._host.name} by somebody else."))
        if outcome.transient:
            return
        if made:  # the others may fare better than the one it stopped at
            items[missing[0]].state, items[missing[0]].reason = "failed", outcome.reason
            return
        for number in missing:
            items[number].state, items[number].reason = "failed", outcome.reason

    def _closed(self, launch: LaunchRecord, error: TreadleError) -> TreadleError:
        launch.state = "ended"
        self._work.save()
        return error

    def _wait_after_trouble(self, outcome: Outcome) -> None:
        self._troubles += 1
        if self._troubles >= self._chosen.tries:
            raise HostTroubleError(f"{self._host.name}: {outcome.reason} Tried {self._troubles} times.")
        pause = self._chosen.pause_seconds * 2 ** (self._troubles - 1)
        self._context.emit("note", message=f"{outcome.reason} Trying again in {pause:.0f} s.")
        ends = time.monotonic() + pause
        while time.monotonic() < ends and not self._context.stop_requested():
            time.sleep(0.1)


def _answer(context: RunContext, work: Work, host: HostHere, payload: TransferPayload) -> dict[str, Any]:
    """What came of the run; raises when no video was made at all."""
    done = [item for item in work.items if item.state == "done"]
    if not done:
        reasons = dict.fromkeys(item.reason for item in work.items if item.reason)
        blocked = all(item.state == "blocked" for item in work.items)
        message = f"{host.name} made no video. {' '.join(reasons)} The whole log: {context.run.log}"
        raise TransferBlockedError(message) if blocked else TransferFailedError(message)
    seconds = math.fsum(launch.seconds for launch in work.launches)
    saved = [launch.saved_seconds for launch in work.launches if launch.saved_seconds is not None]
    return {
        "outcome": "done" if len(done) == len(work.items) else "partial",
        "host": host.name,
        "backend": payload.backend,
        "folder": str(context.run.outputs),
        "seconds_on_host": round(seconds, 2),
        "unsaid": list(payload.unsaid),
        "cost": round(seconds / 3600 * host.price, 4) if host.price else None,
        "saved_seconds": round(math.fsum(saved), 2) if saved else None,
        **work.facts(),
    }
