"""Frames on their way through a tool: how far the work is, and its end when somebody asked for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from treadle.base.errors import TreadleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from treadle.jobs.context import RunContext

_SECONDS_BETWEEN_EVENTS = 0.25

Item = TypeVar("Item")


class StoppedError(TreadleError):
    """The work was stopped; nothing was written."""


class Counted:
    """Passes frames on, tells how far the work is (events `frames`), and ends it when it was asked to stop."""

    def __init__(self, context: RunContext, total: int, *, passes: int = 1, done: int = 0) -> None:
        """Count the frames of a work that reads `total` of them `passes` times; `done` passes are over."""
        self._context, self._each, self._passes = context, total, passes
        self._total, self._done = total * passes, total * done
        self._began, self._first = time.monotonic(), self._done
        self._told = 0.0

    def __call__(self, source: Iterable[Item]) -> Iterator[Item]:
        """Yield what comes; raises `StoppedError`."""
        for item in source:
            if self._context.stop_requested():
                raise StoppedError("Stopped; nothing was written.")
            yield item
            self._done += 1
            now = time.monotonic()
            if now - self._told >= _SECONDS_BETWEEN_EVENTS:
                self._told = now
                self._tell(now - self._began)

    def _tell(self, seconds: float) -> None:
        speed = (self._done - self._first) / max(1e-9, seconds)
        total = max(self._total, self._done)
        facts = {"done": self._done, "total": total, "passes": self._passes, "per_second": speed}
        self._context.emit("frames", **facts, eta_seconds=(total - self._done) / max(1e-9, speed))
