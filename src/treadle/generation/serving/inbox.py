"""From engines' threads to the event loop: what was written reaches whoever waits for it, and cannot pile up."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from treadle.base.errors import TreadleError
from treadle.generation.generate import Burst

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.generation.scheduler import Told

MOST_UNSENT: Final = 32_768
"""Tokens, with their alternatives, that may wait for a client that reads slowly."""


class TooSlowError(TreadleError):
    """The client does not read what it asked for."""


class Inbox:
    """What one request has been told and not yet sent. It belongs to the event loop."""

    def __init__(self) -> None:
        self._items: list[tuple[int, Told]] = []
        self._filled = asyncio.Event()
        self._unsent = 0

    def put(self, choice: int, told: Told) -> None:
        """Add what the text `choice` was told; what is too much becomes an error in its place."""
        if isinstance(told, Burst):
            self._unsent += sum(1 + len(one) for one in told.alternatives) if told.alternatives else len(told.ids)
            if self._unsent > MOST_UNSENT:
                told = TooSlowError(f"More than {MOST_UNSENT:,} tokens were written that you have not read.")
        self._items.append((choice, told))
        self._filled.set()

    async def take(self) -> list[tuple[int, Told]]:
        """Everything that came since the last call, at least one thing."""
        await self._filled.wait()
        self._filled.clear()
        items, self._items, self._unsent = self._items, [], 0
        return items


class Postman:
    """Carries from any thread to inboxes, with one call into the loop for all that a burst brings."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Carry to inboxes of `loop`."""
        self._loop = loop
        self._bag: deque[tuple[Inbox, int, Told]] = deque()
        self._on_its_way = False

    def to(self, inbox: Inbox, choice: int) -> Callable[[Told], None]:
        """What a scheduler may call for one text of a request."""

        def tell(told: Told) -> None:
            self._bag.append((inbox, choice, told))
            if not self._on_its_way:
                self._on_its_way = True
                with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who wait
                    self._loop.call_soon_threadsafe(self._empty)

        return tell

    def _empty(self) -> None:
        self._on_its_way = False  # before looking: what comes from now on is carried by another call
        while self._bag:
            inbox, choice, told = self._bag.popleft()
            inbox.put(choice, told)
