"""A process with limits that parses what strangers wrote; who started it speaks to it in lines and outlives it.

It has little memory, writes no large files, and dies with its parent (`confined.py`). What it does is one module with
a `main`, whose first line of input is its order; it may crash or hang, and is then ended by whoever speaks to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 120
"""Longest time until a new process says its first word."""
_END_SECONDS = 5
_MOST_PATIENCE = 1.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What such a process may use."""

    seconds: float = 60
    """Longest time without any progress."""
    memory: int = 2 << 30
    """Bytes of address space."""
    file_seconds: float = 1800
    """Longest time for one file, however it goes on."""


class LimitedProcess:
    """Such a process: it begins when asked to, and anew after it has ended."""

    def __init__(self, module: str, memory: int, order: Mapping[str, Any], files: Sequence[int] = ()) -> None:
        """Start nothing yet.

        `order` is what `module` is told first, `files` are open files that it shares with us.
        """
        self._module, self._files = module, tuple(files)
        self._order = {"parent": os.getpid(), "memory": memory, **order}
        self._process: subprocess.Popen[bytes] | None = None
        self._unread, self._seen = bytearray(), 0
        self.waited = 0.0
        """Seconds for which its words were waited for; those in which everything stood still do not count."""
        self.restarts = -1
        """How often it had to begin anew."""

    def begin(self) -> bool:
        """Start it unless it lives; whether that was needed."""
        if self._process is not None:
            if self._process.poll() is None:
                return False
            self.kill()
        self._unread, self._seen, self.waited = bytearray(), 0, 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
            start_new_session=True,
            pass_fds=self._files,
        )
        self.restarts += 1
        self.write(self._order)
        return True

    @property
    def id(self) -> int | None:
        """Its number, while it lives or died unnoticed."""
        return None if self._process is None else self._process.pid

    def write(self, order: Mapping[str, Any]) -> None:
        """Tell it something; one that has died hears nothing, which `line` finds out."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(order).encode() + b"\n")
                self._process.stdin.flush()

    def line(self, seconds: float) -> bytes | None:
        """One line of its output, b"" if it has ended, None if it says nothing for so long.

        Time in which both stood still (a stopped terminal, a frozen container) does not count.
        """
        output = None if self._process is None else self._process.stdout
        if output is None:
            return b""
        left = seconds
        while (end := self._unread.find(b"\n", self._seen)) < 0:
            self._seen = len(self._unread)
            if left <= 0:
                return None
            part = min(left, _MOST_PATIENCE)
            began = time.monotonic()
            ready = select.select([output], [], [], part)[0]
            passed = min(time.monotonic() - began, part)
            self.waited += passed
            left -= passed
            if not ready:
                continue
            data = os.read(output.fileno(), _CHUNK)
            if not data:
                return b""
            self._unread += data
        found = bytes(self._unread[:end])
        del self._unread[: end + 1]
        self._seen = 0
        return found

    def last_words(self) -> str:
        """How it ended; waits for that."""
        code = 0 if self._process is None else self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """End it: at the end of its input, or at once if it does not hear."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process = None
