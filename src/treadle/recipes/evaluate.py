"""Evaluation: one checkpoint, all of the held-out data."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError
from treadle.config.settings import Settings
from treadle.models.catalog import FAMILIES
from treadle.recipes.opened import network_of, open_model
from treadle.training.evaluation import evaluate
from treadle.training.learners import open_learner

if TYPE_CHECKING:
    from treadle.jobs.context import RunContext
    from treadle.operations.training import EvaluatePayload


def run(context: RunContext, payload: EvaluatePayload) -> dict[str, Any]:
    """Measure a checkpoint; its shape and tokenizer are its own, the data are the newest."""
    model = open_model(context.workspace, payload.model)
    checkpoint = model.checkpoints.find(payload.checkpoint)
    record = checkpoint.record
    settings = Settings.from_dict({**payload.settings, "family": dict(record.config)}, "the request")
    prepared = model.prepared(model.dataset(), settings, fix=False)
    if prepared is None:
        raise NotReadyError(f"`{model.card.name}` has no vocabulary yet: train it first.")
    network = network_of(settings, prepared)
    checkpoint.require_family(network.family.name)
    shapes = FAMILIES.get(record.family).weight_shapes(settings.family, record.vocabulary, record.context)
    learner = open_learner(network, settings.training)
    try:
        learner.load_weights(checkpoint.weights(shapes))
        context.emit("evaluating", step=checkpoint.step)
        found = evaluate(learner, prepared.loader, settings.training.batch_size)
    finally:
        learner.close()
    if found is None:
        raise NotReadyError(
            f"Nothing of the data of `{model.card.name}` is held out, so there is nothing to measure on. "
            f"Feed more, or set data.held_out above 0: treadle show {shlex.quote(model.card.name)} --origins"
        )
    return {
        "model": model.card.name,
        "step": checkpoint.step,
        "checkpoint": str(checkpoint.path),
        "dataset": model.dataset().id,
        "loss": found.loss,
        "perplexity": found.perplexity,
        "bits_per_byte": found.bits_per_byte,
        "targets": found.targets,
        "sequence_length": settings.data.sequence_length,
        **{name: value for name, value in found.extra.items() if name != "bytes"},
    }
