"""From a checkpoint to an engine for many texts: how many slots, how much memory, which template."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from treadle.base.errors import DataError, ResourceError, UsageError
from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.engine import LazyWeights, open_engine
from treadle.generation.native_engine import DEFAULT_PRECISION, FORMATS
from treadle.generation.serving.chat_text import ChatText
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_refusal, native_shape
from treadle.native import engine_binding
from treadle.native.engine_binding import EnginePlan
from treadle.recipes.opened_engine import NATIVE_DEFAULTS, draft_of, engine_model, open_checkpoint, with_draft
from treadle.training.checkpoints import MODEL_FILE

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import Engine, EngineModel
    from treadle.recipes.opened_engine import FoundSampling
    from treadle.training.checkpoints import Checkpoint

TEMPLATE_FILE: Final = "chat_template.jinja"
"""In a model's folder: how its chats become text."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server was asked to serve, and how."""

    names: tuple[str, ...]
    checkpoint: str
    overrides: tuple[str, ...]
    """Settings of generation."""
    slots: int
    """Texts that a model writes at a time."""
    context: int | None
    """Positions of a slot; None = as many as the model was trained with."""
    waiting: int
    memory_bytes: int

    @property
    def all_slots(self) -> int:
        """With those that keep what was read before, and one for embeddings."""
        return self.slots + max(2, self.slots // 2) + 1


def chat_text(folder: Path) -> ChatText:
    """How the messages of a model, given its folder, become text; raises `DataError` for a file that is no template."""
    template = folder / TEMPLATE_FILE
    if not template.is_file():
        return ChatText()
    try:
        return ChatText(template.read_text(encoding="utf-8"), str(template))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{template} cannot be read ({error}). Mend it, or remove it.") from error


def open_for_serving(found: FoundSampling, choice: Choice) -> tuple[Engine, Tokenizer]:
    """Open a checkpoint with room for many texts."""
    tokenizer = tokenizer_from_description(found.checkpoint.record.tokenizer)
    if _context(found, choice) == found.checkpoint.record.context:
        return open_checkpoint(found.checkpoint, found.settings, choice.all_slots), tokenizer
    engine = open_engine(_model(found, choice), found.settings.engine, found.settings.precision, choice.all_slots)
    return with_draft(engine, draft_of(found.checkpoint, found.settings)), tokenizer


def engine_bytes(found: FoundSampling, choice: Choice) -> int:
    """Memory of an open model: exact where the native engine runs it, else what its weights take."""
    draft = draft_of(found.checkpoint, found.settings)
    own = _bytes(_model(found, choice), found.checkpoint, found.settings, choice)
    return own + (0 if draft is None else _bytes(engine_model(draft), draft, NATIVE_DEFAULTS, choice))


def _bytes(model: EngineModel, checkpoint: Checkpoint, settings: GenerationSettings, choice: Choice) -> int:
    in_file = (checkpoint.path / MODEL_FILE).stat().st_size
    chosen = DEFAULT_PRECISION if settings.precision == "auto" else settings.precision
    native = settings.engine in {"auto", "native"} and chosen in FORMATS
    if not native or not isinstance(model.config, GPTConfig) or native_refusal(model.config) is not None:
        return in_file
    shape = native_shape(model.config, model.vocabulary, model.context)
    plan = EnginePlan(FORMATS[chosen], 2, choice.all_slots)
    try:
        return engine_binding.weight_bytes(shape, plan.format) + engine_binding.memory_required(shape, plan)
    except ResourceError:  # no core for this machine: another engine runs it, or opening says why none does
        return in_file


def _context(found: FoundSampling, choice: Choice) -> int:
    trained = found.checkpoint.record.context
    if choice.context is None:
        return trained
    if not 2 <= choice.context <= trained:
        raise UsageError(
            f"`{found.card.name}` was trained on {trained:,} positions and knows no more: give a context of 2 to "
            f"{trained:,}, not {choice.context:,}."
        )
    return choice.context


def _model(found: FoundSampling, choice: Choice) -> EngineModel:
    """The model with the positions that are served; what was packed beside the checkpoint has all of them."""
    model, context = engine_model(found.checkpoint), _context(found, choice)
    if context == model.context:
        return model

    def cut() -> dict[str, NDArray[np.float32]]:
        return {
            name: weight[:context] if name == "position.weight" else weight for name, weight in model.weights.items()
        }

    return replace(model, context=context, weights=LazyWeights(cut), packed=None)
