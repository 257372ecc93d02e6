"""Sampling: open a checkpoint as it was saved, and let the one generate function write."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from treadle.generation.generate import Burst, GenerationRequest, generate
from treadle.generation.token_bias import parse_bias
from treadle.recipes.opened_engine import find_sampling, open_checkpoint, result
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.operations.generation import SamplePayload
    from treadle.recipes.resident import ResidentEngines
    from treadle.store.workspace import WorkspaceFolder


def stream(
    workspace: WorkspaceFolder, payload: SamplePayload, engines: ResidentEngines | None = None
) -> Iterator[Event]:
    """Yield `text` events as text is made, then one `result`; everything is checked before the first.

    With `engines` the engine is one of those that stay open.
    """
    found = find_sampling(workspace, payload.model, payload.checkpoint, payload.overrides)
    with (
        engines.lent(found.checkpoint, found.settings)
        if engines is not None
        else contextlib.closing(open_checkpoint(found.checkpoint, found.settings))
    ) as engine:
        opened = found.opened(engine)
        request = GenerationRequest(
            payload.prompt,
            opened.settings,
            payload.unknown,
            parse_bias(payload.logit_bias, opened.tokenizer),
            log_probabilities=payload.logprobs is not None,
            alternatives=payload.logprobs or 0,
        )
        # Closed before the engine is, also when the reader goes away in the middle of a text.
        with contextlib.closing(generate(engine, opened.tokenizer, [request])) as events:
            if payload.prompt:
                yield Event("text", time.time(), {"text": payload.prompt})
            for event in events:
                if isinstance(event, Burst):
                    yield Event("text", time.time(), {"text": event.text})
                else:
                    yield Event("result", time.time(), result(event, request, opened))
