"""Sampling: open a checkpoint as it was saved, and let the one generate function write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.generate import Burst, GenerationRequest
from treadle.generation.token_bias import parse_bias
from treadle.recipes.opened_engine import find_sampling, result
from treadle.recipes.resident import ResidentEngines
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.operations.generation import SamplePayload
    from treadle.store.workspace import WorkspaceFolder


def stream(
    workspace: WorkspaceFolder, payload: SamplePayload, engines: ResidentEngines | None = None
) -> Iterator[Event]:
    """Yield `text` events as text is made, then one `result`; everything is checked before the first.

    With `engines` the engine is one of those that stay open.
    """
    found = find_sampling(workspace, payload.model, payload.checkpoint, payload.overrides)
    tokenizer = tokenizer_from_description(found.checkpoint.record.tokenizer)
    request = GenerationRequest(
        payload.prompt,
        found.settings,
        payload.unknown,
        parse_bias(payload.logit_bias, tokenizer),
        log_probabilities=payload.logprobs is not None,
        alternatives=payload.logprobs or 0,
    )
    kept = ResidentEngines(budget_bytes=0) if engines is None else engines
    with kept.writing(found, tokenizer, request) as events:
        if payload.prompt:
            yield Event("text", time.time(), {"text": payload.prompt})
        for event in events:
            if isinstance(event, Burst):
                yield Event("text", time.time(), {"text": event.text})
            else:
                yield Event("result", time.time(), result(event, request, found.checkpoint, tokenizer))
