"""What a precision of sampling costs: the held-out loss in it, beside that in fp32, by the engine that samples."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, UsageError
from treadle.data.batch import MASKED
from treadle.recipes.int4_gate import mean_loss
from treadle.recipes.opened_engine import engine_model

if TYPE_CHECKING:
    from treadle.data.loader import Loader
    from treadle.training.checkpoints import Checkpoint


def measure(checkpoint: Checkpoint, loader: Loader, precision: str) -> dict[str, Any]:
    """Fields of an evaluation: `loss` in this precision, and `cost`, the nats per token that it adds to fp32."""
    if checkpoint.record.family != "gpt":
        raise UsageError(
            f"--precision is for models of the family gpt, which have several, not {checkpoint.record.family}."
        )
    targets, size = 0, 0.0
    for batch in loader.evaluation(1):
        targets += int((batch.targets != MASKED).sum())
        size += loader.extra(batch).get("bytes", 0.0)  # noqa: S610 - no Django here
    if not targets:
        raise NotReadyError("Nothing of these data is held out, so there is nothing to measure on.")
    model = replace(engine_model(checkpoint), packed=None)
    loss = mean_loss(model, precision, loader.evaluation(1))
    exact = loss if precision == "fp32" else mean_loss(model, "fp32", loader.evaluation(1))
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "bits_per_byte": loss * targets / math.log(2) / size if size else None,
        "targets": targets,
        "precision": precision,
        "cost": loss - exact,
    }
