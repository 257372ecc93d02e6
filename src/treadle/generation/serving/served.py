"""What the server needs to know of models; who opens and closes them stands above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.config import GenerationSettings
    from treadle.generation.scheduler import Figures, Scheduler
    from treadle.generation.serving.chat_text import ChatText


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that is open: one checkpoint's weights behind a scheduler."""

    name: str
    scheduler: Scheduler
    settings: GenerationSettings
    """What requests leave open."""
    chat: ChatText
    step: int
    """Of the checkpoint."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the checkpoint."""
        return self.scheduler.tokenizer

    @property
    def context(self) -> int:
        """Positions that the model reads at a time."""
        return self.scheduler.engine.context

    @property
    def fingerprint(self) -> str:
        """Everything beside the request that a text depends on."""
        engine = self.scheduler.engine
        return f"{engine.name}-{engine.precision}-step-{self.step}-context-{engine.context}"


class Models(Protocol):
    """All that may be asked for. Its methods may be called from any thread."""

    def describe(self) -> Sequence[Mapping[str, Any]]:
        """Each model as `/v1/models` shows it."""
        ...

    def ready(self, name: str) -> ServedModel | None:
        """Hold a model that is open already; None if it must be opened first."""
        ...

    def open(self, name: str) -> ServedModel:
        """Hold a model, opening it if need be, which takes time.

        Raises `NotFoundError`, `NotReadyError` before its first training, and `BusyError` while there is no room.
        """
        ...

    def release(self, model: ServedModel) -> None:
        """Let go of what `ready` or `open` gave."""
        ...

    def figures(self) -> Mapping[str, Figures]:
        """What was done since the server began, by model, also of those that are closed."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Which are open, with how many texts, and the budget of memory."""
        ...
