"""Engines that stay open between requests, within a budget of memory, as the engine process keeps them."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.generation.generate import generate
from treadle.recipes.opened_engine import draft_of, open_checkpoint
from treadle.telemetry.hardware import memory
from treadle.training.checkpoints import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import Engine
    from treadle.generation.generate import Burst, Completion, GenerationRequest
    from treadle.recipes.opened_engine import FoundSampling
    from treadle.training.checkpoints import Checkpoint

_SHARE = 0.25
"""Share of the machine's memory that idle engines may hold; weights count as large as they are on disk."""


@dataclass(frozen=True, slots=True)
class _Idle:
    key: tuple[str, ...]
    engine: Engine
    size: int


class ResidentEngines:
    """Lends engines and takes them back. Threads may share it; an engine is with one of them at a time."""

    def __init__(self, budget_bytes: int | None = None) -> None:
        """Keep idle engines up to `budget_bytes`, a quarter of the memory unless given."""
        self._budget = int(memory()[0] * _SHARE) if budget_bytes is None else budget_bytes
        self._idle: list[_Idle] = []  # the longest unused first
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lent(self, checkpoint: Checkpoint, settings: GenerationSettings) -> Iterator[Engine]:
        """An engine for a checkpoint, as `open_checkpoint` makes it; after an error in the middle it is not kept.

        A reader who has gone away is no error: the text is forgotten, and what the slot has read of it stays true.
        """
        identity = checkpoint.document["files"][MODEL_FILE]["sha256"]
        draft = draft_of(checkpoint, settings)
        guesser = "" if draft is None else draft.document["sha256"]
        key = (str(checkpoint.path), identity, settings.engine, settings.precision, guesser)
        with self._lock:
            found = next((idle for idle in reversed(self._idle) if idle.key == key), None)
            if found is not None:
                self._idle.remove(found)
        if found is None:
            size = (checkpoint.path / MODEL_FILE).stat().st_size
            found = _Idle(key, open_checkpoint(checkpoint, settings), size)
        try:
            yield found.engine
        except GeneratorExit:
            self._keep(found)
            raise
        except BaseException:
            found.engine.close()
            raise
        self._keep(found)

    @contextlib.contextmanager
    def writing(
        self, found: FoundSampling, tokenizer: Tokenizer, request: GenerationRequest
    ) -> Iterator[Iterator[Burst | Completion]]:
        """The events of one text, which was checked; whoever leaves early stops it."""
        with (
            self.lent(found.checkpoint, found.settings) as engine,
            contextlib.closing(generate(engine, tokenizer, [request])) as events,
        ):
            yield events

    def _keep(self, idle: _Idle) -> None:
        with self._lock:
            self._idle.append(idle)
            gone = []
            while self._idle and sum(one.size for one in self._idle) > self._budget:
                gone.append(self._idle.pop(0))
        for one in gone:
            one.engine.close()

    def close(self) -> None:
        """Free all idle engines."""
        with self._lock:
            gone, self._idle = self._idle, []
        for one in gone:
            one.engine.close()

    def __len__(self) -> int:
        """How many engines are idle."""
        return len(self._idle)
