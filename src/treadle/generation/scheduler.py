"""Many texts at a time on one engine: who gets a slot next, and who hears what was written.

One thread owns the engine. Requests come in by `submit`, from any thread, and wait in a bounded queue until a slot is
free; what is written is told, from the engine's thread, to the `tell` that came with the request. Between two bursts
of the engine the thread looks at what was asked for meanwhile: a text that nobody waits for any more loses its slot
there, so at the latest after one burst (a few hundredths of a second, or one step of a large model).

**Fairness.** Of those who wait the next slot goes to the client with the fewest texts in slots, of equals to who got a
slot longest ago, then to the request with the fewest, then to who came first: a client that asks for a hundred texts
does not make the others wait for all of them. Long prompts are read in pieces between the tokens of other texts.

**The same text for everybody.** A text's tokens depend on weights, prompt, settings and seed alone (`generate.py`): not
on its neighbours, its slot, or what the slot had read before.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections import Counter, deque
from concurrent.futures import InvalidStateError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.base.errors import ResourceError, TreadleError, UsageError
from treadle.generation.embedding import Reading
from treadle.generation.engine import ReadingEngine, Rows, WritingEngine
from treadle.generation.generate import Burst, Completion, Writing, window_start
from treadle.generation.held_texts import HeldTexts, common_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.engine import Engine
    from treadle.generation.generate import GenerationRequest

_SHORTEST_BURST: Final = 0.005
_LONGEST_BURST: Final = 0.03
_MOST_TURNS: Final = 1000
_WORTH_WAITING: Final = 32
"""Tokens: a text waits for another that reads the same beginning now, if so many need not be read twice."""


class BusyError(ResourceError):
    """More is asked for than can be kept waiting; `retry_after` says in how many seconds to try again."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Finished:
    """A text that has ended, with what it cost."""

    completion: Completion
    cached: int
    """Tokens of the prompt that an engine's slot held already."""
    slid: int
    """Tokens at the beginning of the text that had left the model's window when it ended."""


Told = Burst | Finished | TreadleError
"""What a waiting client hears: bursts, then either the end or what went wrong."""


@dataclass(slots=True)
class Figures:
    """What a scheduler has done since it began, for the server's metrics."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    """Texts by why they ended: `length`, `stop`, `boundary`, `cancelled`, `error`."""
    refused: int = 0


class Ticket:
    """One text that somebody waits for."""

    def __init__(
        self, writing: Writing, context: int, tell: Callable[[Told], None], client: str, request: object
    ) -> None:
        """Wait for a slot; `request` is the same object for texts that were asked for together."""
        self.writing, self.tell, self.client, self.request = writing, tell, client, request
        self.window = _window(writing, context)
        """Tokens that the model reads before the first one is written."""
        self.cancelled = False
        self.begun = False
        """Whether its first token is there."""
        self.cached = 0


class Scheduler:
    """Writes what is submitted, as many texts at a time as fit."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        active: int | None = None,
        waiting: int = 1024,
        figures: Figures | None = None,
    ) -> None:
        """Own `engine`: nobody else may use it from now on, and it is closed in the end.

        `active` texts are written at a time; of further slots the last is for embeddings, and the others keep what was
        read before. At most `waiting` texts wait. What is done is added to `figures`.
        """
        self.engine, self.tokenizer = engine, tokenizer
        self.figures = figures or Figures()
        self._most_active = min(active or engine.slots, engine.slots)
        spare = engine.slots > self._most_active
        self._places = engine.slots - 1 if spare else engine.slots  # the last one is for texts that are only read
        self._most_waiting = waiting
        self._below = engine if isinstance(engine, WritingEngine) else None
        self._held = HeldTexts(engine.slots)
        self._change = threading.Condition()
        self._waiting: list[Ticket] = []
        self._active: dict[int, Ticket] = {}  # by slot; only the thread changes it
        self._readings: deque[Reading] = deque()
        self._turn = 0
        self._turns: dict[str, int] = {}  # by client, when it last got a slot
        self._closing = False
        self._speed = 0.0  # tokens of all texts per second, lately
        self._thread = threading.Thread(target=self._run, name="treadle-engine", daemon=True)
        self._thread.start()

    def submit(
        self, requests: Sequence[GenerationRequest], tells: Sequence[Callable[[Told], None]], client: str = ""
    ) -> list[Ticket]:
        """Ask for texts that belong together; each is told to its own of `tells`, from the engine's thread.

        Raises `BusyError` when so many more cannot wait, and what `generate` raises for impossible requests; then
        nothing was asked for.
        """
        together = object()
        writings = [Writing(self.engine, self.tokenizer, index, one) for index, one in enumerate(requests)]
        context = self.engine.context
        tickets = [Ticket(one, context, tell, client, together) for one, tell in zip(writings, tells, strict=True)]
        with self._change:
            if self._closing:
                raise BusyError("This model is being unloaded. Ask again.", 1)
            if len(self._waiting) + len(tickets) > self._most_waiting + self._most_active - len(self._active):
                self.figures.refused += len(tickets)
                raise BusyError(
                    f"{len(self._waiting):,} texts wait already, and at most {self._most_waiting:,} may. "
                    "Ask again later.",
                    self._retry_after(),
                )
            self._waiting += tickets
            self._change.notify()
        return tickets

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Nobody waits for these any more: they hear nothing from now on, and their slots are free after the burst."""
        with self._change:
            for ticket in tickets:
                ticket.cancelled = True
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                    self.figures.endings["cancelled"] += 1
            self._change.notify()

    def embed(self, ids: Sequence[int]) -> Future[NDArray[np.float32]]:
        """The mean of the last layer's states over these tokens, of length 1, (D,), between other texts' tokens.

        Raises `UsageError` for an engine that does not tell states, or has no slot for them.
        """
        if not isinstance(self.engine, ReadingEngine) or self._places == self.engine.slots:
            raise UsageError(f"The {self.engine.name} engine writes text only here; it has no embeddings.")
        reading = Reading(self.engine, ids)
        with self._change:
            if self._closing:
                raise BusyError("This model is being unloaded. Ask again.", 1)
            if len(self._readings) >= self._most_waiting:
                raise BusyError(f"{len(self._readings):,} texts wait to be read. Ask again later.", self._retry_after())
            self._readings.append(reading)
            self._change.notify()
        return reading.result

    @property
    def waiting(self) -> int:
        """Texts without a slot."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Texts in slots."""
        return len(self._active)

    def close(self, *, drain: bool = False) -> None:
        """Take no more; with `drain` what was submitted is still written, in the background, else it ends here."""
        cut: list[Ticket] = []
        unread: list[Reading] = []
        with self._change:
            self._closing = True
            if not drain:
                cut = [one for one in (*self._waiting, *self._active.values()) if not one.cancelled]
                for ticket in cut:
                    ticket.cancelled = True
                self._waiting.clear()
                unread = list(self._readings)
                self._readings.clear()
            self._change.notify()
        for ticket in cut:
            ticket.tell(BusyError("The server is ending. Ask again when it is back.", 1))
        if not drain:
            self._thread.join()
        for reading in unread:  # now that nobody else ends one of them at the same time
            with contextlib.suppress(InvalidStateError):  # it has ended, or nobody waits for it
                reading.result.set_exception(BusyError("The server is ending. Ask again when it is back.", 1))

    def _run(self) -> None:
        try:
            while (begun := self._prepared()) is not None:
                try:
                    for slot, ticket in begun:
                        self._begin(slot, ticket)
                    self._read()
                    if self._active:
                        self._burst()
                except TreadleError as error:
                    self._fail(error)
                except Exception as error:
                    traceback.print_exc()
                    self._fail(TreadleError(f"Treadle has a defect: {type(error).__name__}: {error}."))
        finally:
            self.engine.close()

    def _prepared(self) -> list[tuple[int, Ticket]] | None:
        """Drop what nobody waits for, give free slots away, wait for work; returns who got a slot.

        None when all is done and no more will come.
        """
        while True:
            with self._change:
                gone = [slot for slot, ticket in self._active.items() if ticket.cancelled]
                for slot in gone:
                    self._leave(slot, "cancelled")
                begun = self._chosen()
                if not begun and not self._active and not self._readings:
                    if self._closing and not self._waiting:
                        return None
                    self._change.wait()
                    continue
            return begun

    def _chosen(self) -> list[tuple[int, Ticket]]:
        """Move texts from the queue into free slots."""
        chosen: list[tuple[int, Ticket]] = []
        while self._waiting and len(self._active) < self._most_active:
            clients = Counter(ticket.client for ticket in self._active.values())
            requests = Counter(id(ticket.request) for ticket in self._active.values())
            turns = self._turns
            fair = sorted(
                self._waiting,
                key=lambda one: (clients[one.client], turns.get(one.client, 0), requests[id(one.request)]),
            )
            ticket = next((one for one in fair if not self._better_later(one)), None)
            if ticket is None:
                break
            self._waiting.remove(ticket)
            self._give_turn(ticket.client)
            free = (slot for slot in range(self._places) if slot not in self._active)
            slot = self._held.choose(free, ticket.window)
            self._active[slot] = ticket
            chosen.append((slot, ticket))
        return chosen

    def _give_turn(self, client: str) -> None:
        """Note that a client got a slot; those who want nothing any more are forgotten now and then."""
        self._turn += 1
        if len(self._turns) >= _MOST_TURNS:
            known = {ticket.client for ticket in (*self._waiting, *self._active.values())}
            self._turns = {name: turn for name, turn in self._turns.items() if name in known}
        self._turns[client] = self._turn

    def _better_later(self, ticket: Ticket) -> bool:
        """Whether a text in a slot reads the same beginning just now, which will only have to be copied then."""
        if self._below is None:
            return False
        reading = [other.window for other in self._active.values() if not other.begun]
        shared = max((common_prefix(ticket.window, other) for other in reading), default=0)
        return shared >= _WORTH_WAITING and shared >= self._held.shared(ticket.window) + _WORTH_WAITING

    def _begin(self, slot: int, ticket: Ticket) -> None:
        self.figures.prompt_tokens += ticket.writing.prompt_tokens
        if self._below is not None:
            ticket.cached = self._below.begin(slot, ticket.writing.wanted())
            self.figures.cached_tokens += ticket.cached

    def _read(self) -> None:
        """Go on with the text that is to be embedded, by one piece."""
        with self._change:
            if not self._readings:
                return
            reading = self._readings[0]
            if not reading.begun and not reading.result.set_running_or_notify_cancel():
                self._readings.popleft()  # nobody waits for it any more
                return
        try:
            done = reading.read_piece(self.engine.slots - 1)
        except Exception as error:
            reading.result.set_exception(error)
            done = True
        with self._change:
            if done and self._readings:
                self._readings.popleft()

    def _burst(self) -> None:
        """Let the engine write for a moment, and tell everybody what came of it."""
        start, tokens = time.monotonic(), 0
        for slot, burst in self._written():
            ticket = self._active[slot]
            tokens += len(burst.ids)
            self.figures.written_tokens += len(burst.ids)
            ticket.begun = ticket.begun or bool(burst.ids) or ticket.writing.reason is not None
            if ticket.cancelled:
                continue
            if burst.ids or burst.text:
                ticket.tell(burst)
            reason = ticket.writing.reason
            if reason is not None:
                with self._change:
                    self._leave(slot, reason)
                slid = window_start(len(ticket.writing.ids), self.engine.context)
                ticket.tell(Finished(ticket.writing.completion(self.engine, reason), ticket.cached, slid))
        took = time.monotonic() - start
        self._speed += (tokens / max(took, 1e-6) - self._speed) * min(1.0, took)

    def _written(self) -> Iterator[tuple[int, Burst]]:
        if self._below is not None:
            fresh = any(not ticket.begun for ticket in self._active.values())
            usual = min(_LONGEST_BURST, _SHORTEST_BURST * max(1, len(self._active) / 2))
            for written in self._below.write(_SHORTEST_BURST if fresh else usual):
                yield written.slot, self._active[written.slot].writing.accept_written(written)
            return
        active = list(self._active.items())
        logits = self.engine.step(Rows.of(row for slot, ticket in active for row in ticket.writing.rows(slot)))
        for (slot, ticket), scores in zip(active, logits, strict=True):
            yield slot, ticket.writing.accept(scores)

    def _leave(self, slot: int, ending: str) -> None:
        """Free a slot, which still holds what was read."""
        ticket = self._active.pop(slot)
        self.figures.endings[ending] += 1
        if self._below is not None:
            self._below.forget(slot)
            read = _window(ticket.writing, self.engine.context) if ticket.begun else np.empty(0, np.int32)
            self._held.keep(slot, read)

    def _fail(self, error: TreadleError) -> None:
        """End all texts in slots: what went wrong was the engine's, and nobody knows whose tokens to trust."""
        with self._change:
            failed = dict(self._active)
            for slot in failed:
                self._leave(slot, "error")
        for ticket in failed.values():
            if not ticket.cancelled:
                ticket.tell(error)

    def _retry_after(self) -> int:
        """Seconds until about a quarter of those who wait have been served, by the speed of late."""
        tokens = 50 * len(self._waiting)
        return max(1, min(60, round(tokens / self._speed) if self._speed else 1))


def _window(writing: Writing, context: int) -> NDArray[np.int32]:
    """The tokens that the model reads when it goes on from here."""
    ids = writing.ids
    return np.array(ids[window_start(len(ids), context) :], np.int32)
