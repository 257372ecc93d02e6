"""What goes on by itself on a host, followed from here: through cut links, kills and restarts, until it ends."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final, TypeVar

from treadle.base.errors import TreadleError
from treadle.jobs.job import ACTIVE
from treadle.jobs.ledger import Ledger
from treadle.remote.transport import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from treadle.jobs.context import RunContext
    from treadle.remote.run_folder import RunFolder, RunState

_Answer = TypeVar("_Answer")
_QUICKEST, _SLOWEST = 0.1, 2.0
"""Seconds between two looks: soon after something new, later when nothing comes."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts to reach a host again."""
_BREAK: Final = re.compile(rb"[\r\n]")
_LONGEST_LINE: Final = 1 << 20
"""Bytes of a line that are looked at; a picture in one is shorter."""
_TAIL: Final = 65_536


class StoppedError(TreadleError):
    """People asked for the end, and nothing of it runs on the host any more."""


class LeftError(TreadleError):
    """This process ends while the work on the host goes on; the next attempt follows it again."""


class HostLostError(TreadleError):
    """The host could not be reached for too long. What was started there may go on."""


class LogCopy:
    """The copy on this machine of a log on a host.

    Its length is where the next piece begins, so that every byte of the log is here exactly once, however often the
    connection or this process ends. `line` gets each whole line and the place behind it, also those of the attempts
    before this one: to know where the work stands, they are read again.
    """

    def __init__(self, context: RunContext, path: Path, line: Callable[[str, int], None]) -> None:
        """Open the copy at `path` and read what is there already."""
        self.path = path
        self._line = line
        self._pending, self._at = b"", 0
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
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read().decode(errors="replace")

    def _read(self, piece: bytes) -> None:
        *lines, self._pending = _BREAK.split(self._pending + piece)
        for line in lines:
            self._at += len(line) + 1
            if line and len(line) <= _LONGEST_LINE:
                self._line(line.decode(errors="replace"), self._at)
        if len(self._pending) > _LONGEST_LINE:  # no line at all: a flood without a break in it
            self._at += len(self._pending)
            self._pending = b""


class Following:
    """Asks one host for one run, and follows what the run has started there."""

    def __init__(self, context: RunContext, host: str, patience: float, *, far: bool = True) -> None:
        """Follow on the host of that name, which may be away for `patience` seconds; `far` = asking it costs time."""
        self._context, self._host, self._patience, self._far = context, host, patience, far

    def asked(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask the host; while it cannot be reached, try again. Raises `LeftError` or `HostLostError`."""
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return ask()
            except LinkError as error:
                stop = self._context.stop_requested()
                if stop and not stop_was_asked(self._context):
                    raise LeftError("This worker ends; the next one looks for the host.") from error
                away = time.monotonic() - began
                if away > self._patience or stop:
                    again = "" if stop else "`treadle jobs retry` follows it again, "
                    raise HostLostError(
                        f"{self._host} could not be reached for {away:.0f} s: {error} What runs there goes on; {again}"
                        f"`treadle host runs stop {self._host} {self._context.run.id}` ends it."
                    ) from error
                self._context.emit("transfer", message=f"{self._host} is away ({error}); trying again")
                time.sleep(min(pause, max(0.05, self._patience - away)))
                pause = min(_LONGEST_PAUSE, pause * 2)

    def to_the_end(self, run: RunFolder, log: LogCopy, looked: Callable[[RunState], None] | None = None) -> RunState:
        """Bring the log here until the command has ended and all of it is read; `looked` is called at each look.

        Raises `StoppedError` when people asked for the end, `LeftError` when only this process ends.
        """
        pause = _QUICKEST
        while True:
            state = self.asked(run.state)
            news = False
            while piece := self.asked(lambda: run.tail(log.size)):
                log.add(piece)
                news = True
            if looked is not None:
                looked(state)
            if not state.alive and log.size >= state.log_size:
                return state
            if self._context.stop_requested():
                self._stop_or_leave(run)
            pause = _QUICKEST if news else min(_SLOWEST, pause * 1.5)
            time.sleep(pause if self._far else _QUICKEST)

    def stop_between(self) -> None:
        """Raise `StoppedError` or `LeftError` if this run shall end; nothing of it runs on the host."""
        if self._context.stop_requested():
            if stop_was_asked(self._context):
                raise StoppedError(f"Stopped before anything began on {self._host}.")
            raise LeftError("This worker ends; the next one goes on.")

    def _stop_or_leave(self, run: RunFolder) -> None:
        """End the command there if people asked for it; a worker that only ends leaves it running."""
        if not stop_was_asked(self._context):
            raise LeftError("This worker ends; what runs on the host goes on, and the next worker follows it.")
        self._context.emit("transfer", message=f"stopping on {self._host}")
        self.asked(run.stop)
        raise StoppedError(f"Stopped on {self._host}; what was finished before is kept.")


def stop_was_asked(context: RunContext) -> bool:
    """Whether people asked for the end of this run, and not only its worker is about to end."""
    with Ledger.open(context.workspace) as ledger:
        return any(job.run == context.run.id and job.cancel is not None for job in ledger.jobs(states=ACTIVE))
