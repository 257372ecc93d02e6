"""When a host may be asked again: its rate, its Crawl-delay, and stepping back when it has enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections import deque

    from treadle.data.crawl.frontier import Candidate
    from treadle.data.crawl.robots import Robots

MOST_WAIT: Final = 3_600.0
"""No server makes us wait longer; it is asked again then."""
MOST_FAILURES: Final = 5
"""After so many failures in a row a host is given up for this round."""
FIRST_FAILURES: Final = 3
"""The same of a host that has never answered."""
_FIRST_STEP: Final = 1.0
_MOST_STEP: Final = 300.0


@dataclass(slots=True)
class Host:
    """One host while it is being crawled."""

    id: int
    origin: str
    ready_at: float
    failures: int
    """In a row; each makes the next wait twice as long."""
    robots: Robots | None = None
    robots_time: float = 0.0
    busy: bool = False
    """It is being asked something."""
    in_line: bool = False
    next: deque[Candidate] | None = field(default=None, repr=False)
    """Pages that are to be asked for next."""

    def after_answer(self, now: float, rate: float) -> None:
        """It has answered as it should."""
        self.failures = 0
        self.ready_at = now + self.gap(rate)

    def after_trouble(self, now: float, rate: float, asked: float | None = None) -> None:
        """It has not answered, or said that it is too busy; `asked` is how many seconds it wants to be left alone."""
        self.failures += 1
        step = min(_MOST_STEP, _FIRST_STEP * 2 ** (self.failures - 1)) if asked is None else min(asked, MOST_WAIT)
        self.ready_at = now + max(step, self.gap(rate))

    def gap(self, rate: float) -> float:
        """Seconds between two questions."""
        return max(1.0 / rate, 0.0 if self.robots is None else self.robots.delay)
