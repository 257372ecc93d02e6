"""Ctrl-C while something is shown: counted, not raised."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType


class Interrupts:
    """Counts Ctrl-C instead of raising, so that none of them falls between two lines that belong together."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.number += 1
