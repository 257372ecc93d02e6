"""From engines' threads to the event loop: what was written reaches whoever waits for it, and cannot pile up.

Two things can be slower than an engine. The loop: then engines wait a little, for nobody would get the tokens sooner.
A client that does not read: then nobody waits for it, and beyond `MOST_UNSENT` tokens it gets an error in their place.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from treadle.base.errors import TreadleError
from treadle.generation.generate import Burst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from treadle.generation.scheduler import Told

MOST_UNSENT: Final = 32_768
"""Tokens, with their alternatives, that may wait for a client that reads slowly."""
_MOST_BEHIND: Final = 4096
"""Tokens that may wait for the loop before engines do."""
_BREATH: Final = 0.002


class TooSlowError(TreadleError):
    """The client does not read what it asked for."""


class Inbox:
    """What one request has been told and not yet sent. It belongs to the event loop."""

    def __init__(self, postman: Postman) -> None:
        """Wait for what `postman` brings."""
        self._postman = postman
        self._items: deque[tuple[int, Told]] = deque()
        self._filled = asyncio.Event()
        self._unsent = 0
        self._blocked = False
        self._over = False
        self.on_overflow: Callable[[], None] = lambda: None
        """Stops who writes here."""

    def put(self, choice: int, told: Told) -> None:
        """Add what the text `choice` was told, unless nobody takes it any more.

        What is too much becomes an error in its place, and the last thing.
        """
        if self._over:
            return
        if _weight(told) + self._unsent > MOST_UNSENT:
            told = TooSlowError(f"More than {MOST_UNSENT:,} tokens were written that you have not read.")
            self._over = True
            self.on_overflow()
        self._count(_weight(told))
        self._items.append((choice, told))
        self._filled.set()

    async def take(self, most: int) -> list[tuple[int, Told]]:
        """What came first of what is there, at least one thing, and not much more than `most` tokens."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        taken, weight = [self._items.popleft()], 0
        while self._items and weight < most:
            weight += _weight(taken[-1][1])
            taken.append(self._items.popleft())
        self._count(-sum(_weight(told) for _, told in taken))
        return taken

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """While the client is being waited for, nobody else is to wait for it."""
        self._postman.behind -= self._unsent
        self._blocked = True
        try:
            yield
        finally:
            self._blocked = False
            self._postman.behind += self._unsent

    def close(self) -> None:
        """Nobody takes anything any more."""
        self._over = True  # what is on its way yet must not count for ever as waiting for the loop
        self._count(-self._unsent)
        self._items.clear()

    def _count(self, weight: int) -> None:
        self._unsent += weight
        if not self._blocked:
            self._postman.behind += weight


class Postman:
    """Carries from any thread to inboxes, with one call into the loop for all that a burst brings."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Carry to inboxes of `loop`."""
        self._loop = loop
        self._bag: deque[tuple[Inbox, int, Told]] = deque()
        self._on_its_way = False
        self.behind = 0
        """Tokens that the loop could send and has not sent yet."""

    def to(self, inbox: Inbox, choice: int) -> Callable[[Told], None]:
        """What a scheduler may call for one text of a request."""

        def tell(told: Told) -> None:
            self._bag.append((inbox, choice, told))
            if not self._on_its_way:
                self._on_its_way = True
                with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who wait
                    self._loop.call_soon_threadsafe(self._empty)
            if self.behind > _MOST_BEHIND:
                time.sleep(_BREATH)

        return tell

    def _empty(self) -> None:
        self._on_its_way = False  # before looking: what comes from now on is carried by another call
        while self._bag:
            inbox, choice, told = self._bag.popleft()
            inbox.put(choice, told)


def _weight(told: Told) -> int:
    """Tokens, each with its alternatives."""
    if not isinstance(told, Burst):
        return 0
    return len(told.ids) + sum(map(len, told.alternatives))
