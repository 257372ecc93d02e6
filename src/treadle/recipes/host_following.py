"""A piece of work that goes on by itself on a host, followed by a job through cut links, restarts and stops."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, TypeVar

from treadle.base.errors import TreadleError
from treadle.base.files import read_json, write_json
from treadle.jobs.job import ACTIVE
from treadle.jobs.ledger import Ledger
from treadle.remote.run_folder import RunFolder, whole_lines
from treadle.remote.transport import HostError, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from treadle.jobs.context import RunContext
    from treadle.remote.containers import Containers
    from treadle.remote.hosts import HostCard
    from treadle.remote.run_folder import RunState
    from treadle.remote.transport import Transport

_Answer = TypeVar("_Answer")
_QUICKEST, _SLOWEST = 0.1, 2.0
"""Seconds between two looks: soon after something new, later when nothing comes."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts to reach the host again."""
_PATIENCE: Final = 900.0
"""Seconds that a host may be away before the job gives up following it."""
_STATE_FILE: Final = "host.json"


class HostWorkStoppedError(TreadleError):
    """The work was asked to stop, and nothing of it runs any more."""


class HostWorkLeftError(TreadleError):
    """This process ends while the work goes on; the next attempt follows it again."""


class HostWork:
    """One piece of work on one host, in a run's folder there whose name is that of the run here."""

    def __init__(
        self, context: RunContext, card: HostCard, transport: Transport, containers: Containers | None = None
    ) -> None:
        """Know the work, and how its containers are run if it is done in one; nothing is done yet."""
        self._context, self._card, self._transport, self._containers = context, card, transport, containers
        path = context.run.path / _STATE_FILE
        self._number = int(read_json(path)["number"]) if path.is_file() else 1
        self._size = 0

    @property
    def number(self) -> int:
        """Number of the folder: a piece of work that ended badly is begun anew in the next one."""
        return self._number

    def folder(self, number: int | None = None) -> RunFolder:
        """The folder on the host, of this beginning or an earlier one."""
        name = f"{self._context.run.id}-{number or self._number}"
        return RunFolder(self._transport, self._card.runs, name, self._containers)

    def carry_out(
        self,
        argv: Sequence[str] | Callable[[RunFolder], Sequence[str]],
        files: Mapping[str, Path | bytes],
        secrets: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        """Do it, from wherever it stands; `tell` is called with each line of its log, from the first one.

        A command that names its folder is given as what makes it of the folder.

        Raises `HostError` with the end of the log when it failed, `HostWorkStoppedError`, `HostWorkLeftError`.
        """
        state = self.asked(lambda: self.folder().state())
        if state.pid is not None and not state.alive and state.code != 0:
            self._number += 1
            state = self.asked(lambda: self.folder().state())
        write_json(self._context.run.path / _STATE_FILE, {"number": self._number, "host": self._card.name})
        run = self.folder()
        if state.pid is None:
            self.asked(lambda: run.stage(files))
            if secrets:
                self.asked(lambda: run.keep_environment(secrets))
            self._context.require_claim()
            command = argv(run) if callable(argv) else argv
            self.asked(lambda: run.start(command))
        state = self._follow(run, tell)
        if state.code is None:
            raise HostError(
                f"What ran on `{self._card.name}` is gone without a word; the machine was started anew, perhaps. "
                "`treadle jobs retry` goes on where it was."
            )
        if state.code != 0:
            raise HostError(f"`{self._card.name}` could not do it (status {state.code}): {self._end_of_log()}")

    def asked(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask the host; while it cannot be reached, try again for a quarter of an hour."""
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return ask()
            except LinkError as error:
                if self._context.stop_requested():
                    raise HostWorkLeftError(f"`{self._card.name}` is away; what runs there goes on.") from error
                if time.monotonic() - began > _PATIENCE:
                    raise
                self._context.emit("note", message=f"`{self._card.name}` is away ({error}) Trying again.")
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)

    @property
    def _log(self) -> Path:
        return self._context.run.path / f"host-{self._number}.log"

    def _follow(self, run: RunFolder, tell: Callable[[str], None]) -> RunState:
        """Bring the log here until the work has ended and all of it is read; the copy's size says where to go on."""
        handle = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        pause, pending = _QUICKEST, b""
        with os.fdopen(handle, "r+b", buffering=0) as copy, self._context.run.log.open("ab", buffering=0) as shown:
            while piece := copy.read(1 << 20):
                pending = _told(pending + piece, tell)
            while True:
                state = self.asked(run.state)
                news = False
                while piece := self.asked(lambda: run.tail(copy.tell())):
                    copy.write(piece)
                    shown.write(piece)
                    pending, news = _told(pending + piece, tell), True
                if not state.alive and copy.tell() >= state.log_size:
                    return state
                if self._context.stop_requested():
                    self._stop_or_leave(run)
                pause = _QUICKEST if news else min(_SLOWEST, pause * 1.5)
                time.sleep(pause)

    def _stop_or_leave(self, run: RunFolder) -> None:
        if not stop_was_asked(self._context):
            raise HostWorkLeftError("This worker ends; what runs on the host goes on, and the next worker follows it.")
        self.asked(run.stop)
        raise HostWorkStoppedError(f"Stopped on `{self._card.name}`; `treadle jobs retry` goes on where it was.")

    def _end_of_log(self) -> str:
        with self._log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
            lines = file.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-5:]) or "it said nothing"


def stop_was_asked(context: RunContext) -> bool:
    """Whether people asked for the end of this run, and not only its worker is about to end."""
    with Ledger.open(context.workspace) as ledger:
        return any(job.run == context.run.id and job.cancel is not None for job in ledger.jobs(states=ACTIVE))


def _told(pending: bytes, tell: Callable[[str], None]) -> bytes:
    """Tell the whole lines; returns what is left of the last one."""
    lines, size = whole_lines(pending)
    for line in lines:
        tell(line)
    return pending[size:]
