"""Sampling: open a checkpoint as it was saved, and let the one generate function write."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.generate import Burst, GenerationRequest, generate
from treadle.recipes.opened_engine import open_checkpoint, result
from treadle.recipes.settings import settings_of_model
from treadle.store.models import ModelCards
from treadle.telemetry.events import Event
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.operations.generation import SamplePayload
    from treadle.store.workspace import WorkspaceFolder


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
        # Closed before the engine is, also when the reader goes away in the middle of a text.
        with contextlib.closing(generate(engine, tokenizer, [request])) as events:
            if payload.prompt:
                yield _event("text", text=payload.prompt)
            for event in events:
                if isinstance(event, Burst):
                    yield _event("text", text=event.text)
                else:
                    yield _event("result", **result(event, payload.prompt, checkpoint, settings))
    finally:
        engine.close()


def _event(type_: str, **data: Any) -> Event:  # noqa: ANN401 - any plain values
    return Event(type_, time.time(), data)
