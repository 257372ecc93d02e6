"""Evaluation: one checkpoint, all of the held-out data."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, UsageError
from treadle.config.settings import Settings
from treadle.data.image_data import Decided
from treadle.data.loader import HeldOutPart, TokenLoader
from treadle.data.shards import read_entries
from treadle.models.catalog import FAMILIES
from treadle.recipes.class_answers import class_answers
from treadle.recipes.opened import network_of, open_model, unit_of, writes_text
from treadle.recipes.pictures import check_target, draw_confusion
from treadle.registry.catalogue import load
from treadle.training.evaluation import evaluate
from treadle.training.learners import open_learner

if TYPE_CHECKING:
    from treadle.data.loader import Loader
    from treadle.data.versions import Dataset
    from treadle.jobs.context import RunContext
    from treadle.operations.training import EvaluatePayload
    from treadle.recipes.opened import OpenedModel
    from treadle.training.checkpoints import Checkpoint
    from treadle.training.learner import Learner


def run(context: RunContext, payload: EvaluatePayload) -> dict[str, Any]:
    """Measure a checkpoint; its shape and tokenizer are its own, the data are the newest."""
    if payload.tasks is not None:
        return _tasks(context, payload, Path(payload.tasks))
    model = open_model(context.workspace, payload.model)
    checkpoint = model.checkpoints.find(payload.checkpoint)
    record = checkpoint.record
    settings = Settings.from_dict({**payload.settings, "family": dict(record.config)}, "the request")
    prepared = model.prepared(model.dataset(), settings, fix=False)
    if prepared is None:
        raise NotReadyError(f"`{model.card.name}` has no vocabulary yet: train it first.")
    picture = None if payload.plot is None else Path(payload.plot)
    if picture is not None:
        if writes_text(settings):
            raise UsageError("Only a classifier's answers make this picture; see `treadle show NAME --plot FILE`.")
        check_target(picture)
    if payload.precision is not None:
        context.emit("evaluating", step=checkpoint.step)
        found_there = load("treadle.recipes.evaluate_precision:measure")(checkpoint, prepared.loader, payload.precision)
        return {**_about(model, checkpoint, settings), **found_there, "plot": None, "parts": None}
    network = network_of(settings, prepared)
    checkpoint.require_family(network.family.name)
    shapes = FAMILIES.get(record.family).weight_shapes(settings.family, record.vocabulary, record.context)
    learner = open_learner(network, settings.training)
    try:
        learner.load_weights(checkpoint.weights(shapes))
        context.emit("evaluating", step=checkpoint.step)
        found = evaluate(learner, prepared.loader, settings.training.batch_size)
        parts = _parts(model.dataset(), prepared.loader, learner, settings) if payload.arrivals else None
    finally:
        learner.close()
    if found is None:
        raise NotReadyError(
            f"Nothing of the data of `{model.card.name}` is held out, so there is nothing to measure on. "
            f"Feed more, or set data.held_out above 0: treadle show {shlex.quote(model.card.name)} --origins"
        )
    classified = (
        {} if found.accuracy is None else class_answers(found, Decided.model_validate(record.tokenizer).classes)
    )
    if picture is not None:
        title = f"{model.card.name}, step {checkpoint.step:,}: {classified['accuracy']:.2%} right"
        draw_confusion(classified["confusion"], classified["classes"], title, picture)
    return {
        **_about(model, checkpoint, settings),
        "loss": found.loss,
        "perplexity": found.perplexity,
        "bits_per_byte": found.bits_per_byte,
        "targets": found.targets,
        **classified,
        "plot": payload.plot,
        "parts": parts,
    }


def _about(model: OpenedModel, checkpoint: Checkpoint, settings: Settings) -> dict[str, Any]:
    return {
        "model": model.card.name,
        "unit": unit_of(settings),
        "step": checkpoint.step,
        "checkpoint": str(checkpoint.path),
        "dataset": model.dataset().id,
        "sequence_length": settings.data.sequence_length,
    }


def _tasks(context: RunContext, payload: EvaluatePayload, path: Path) -> dict[str, Any]:
    """Answer a file of questions; no data are needed for that."""
    drawing = payload.settings["generation"]
    asked = payload.precision or drawing["precision"]
    overrides = [f"generation.precision={asked}", f"generation.int4_margin={drawing['int4_margin']}"]
    context.emit("evaluating", step=0)
    figures, _ = load("treadle.recipes.questions:answer_all")(
        context.workspace, payload.model, payload.checkpoint, path, overrides
    )
    return {"tasks": figures, "plot": None, "parts": None, **figures}


def _parts(dataset: Dataset, loader: Loader, learner: Learner, settings: Settings) -> list[dict[str, Any]]:
    """What is measured on the held-out text of each feed by itself, in the order of arrival."""
    if not isinstance(loader, TokenLoader):
        raise UsageError("Only models of text are measured by what arrived with each feed; leave out --arrivals.")
    rows: list[dict[str, Any]] = []
    first = 0
    for shard, piece in zip(dataset.manifest.shards, loader.pieces, strict=True):
        part = HeldOutPart(loader, first, first + piece.held_out)
        first += piece.held_out
        found = evaluate(learner, part, settings.training.batch_size)
        if found is not None:
            source = read_entries(dataset.objects, shard)[0].source
            figures = {"targets": found.targets, "loss": found.loss, "bits_per_byte": found.bits_per_byte}
            rows.append({"source": source, "documents": shard.documents, **figures})
    return rows
