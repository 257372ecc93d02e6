"""Sampling: open a checkpoint as it was saved, and let the one generate function write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.engine import EngineModel, open_engine
from treadle.generation.generate import Burst, GenerationRequest, generate
from treadle.models.catalog import FAMILIES
from treadle.recipes.settings import settings_of_model
from treadle.store.models import ModelCards
from treadle.telemetry.events import Event
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import Engine
    from treadle.generation.generate import Completion
    from treadle.operations.generation import SamplePayload
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint


def stream(workspace: WorkspaceFolder, payload: SamplePayload) -> Iterator[Event]:
    """Yield `text` events as text is made, then one `result`; everything is checked before the first."""
    cards = ModelCards(workspace)
    card = cards.get(payload.model)
    settings = settings_of_model(workspace, card, payload.overrides).generation
    checkpoint = CheckpointFolder(cards.folder(card) / "checkpoints").find(payload.checkpoint)
    engine = open_checkpoint(checkpoint, settings)
    try:
        tokenizer = tokenizer_from_description(checkpoint.record.tokenizer)
        request = GenerationRequest(payload.prompt, settings, payload.unknown)
        events = generate(engine, tokenizer, [request])
        if payload.prompt:
            yield _event("text", text=payload.prompt)
        for event in events:
            if isinstance(event, Burst):
                yield _event("text", text=event.text)
            else:
                yield _event("result", **result(event, payload.prompt, checkpoint, settings))
    finally:
        engine.close()


def open_checkpoint(checkpoint: Checkpoint, settings: GenerationSettings, slots: int = 1) -> Engine:
    """Make an engine from nothing but the checkpoint: its own family, shape and weights, loaded strictly."""
    record = checkpoint.record
    family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(record.config)
    shapes = family.weight_shapes(config, record.vocabulary, record.context)
    model = EngineModel(record.family, config, checkpoint.weights(shapes), record.vocabulary, record.context)
    return open_engine(model, settings.engine, settings.precision, slots)


def result(done: Completion, prompt: str, checkpoint: Checkpoint, settings: GenerationSettings) -> dict[str, Any]:
    """What a sample records of itself: enough to make it again."""
    return {
        "prompt": prompt,
        "prompt_ids": list(done.prompt_ids),
        "ids": list(done.ids),
        "text": done.text,
        "reason": done.reason,
        "seed": done.seed,
        "temperature": settings.temperature,
        "checkpoint": checkpoint.step,
        "checkpoint_path": str(checkpoint.path),
        "engine": done.engine,
        "precision": done.precision,
        "unread": done.unread,
    }


def _event(type_: str, **data: Any) -> Event:  # noqa: ANN401 - any plain values
    return Event(type_, time.time(), data)
