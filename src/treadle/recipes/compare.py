"""Two models side by side: what differs in their settings, and how each does on what was held out for the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, TreadleError, UsageError
from treadle.base.units import loss_of
from treadle.config.settings import Settings
from treadle.models.catalog import FAMILIES
from treadle.recipes.curves import history
from treadle.recipes.opened import network_of, open_model, parameters_of, unit_of
from treadle.recipes.settings import settings_of_model
from treadle.training.evaluation import evaluate
from treadle.training.learners import open_learner

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.versions import Dataset
    from treadle.recipes.opened import OpenedModel
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

_POINTS = 200
"""Points of a curve, at most: every step of a long training is more than anybody can see."""


@dataclass(frozen=True, slots=True)
class _Side:
    model: OpenedModel
    settings: Settings
    checkpoint: Checkpoint | None

    @property
    def name(self) -> str:
        return self.model.card.name


def compare(
    workspace: WorkspaceFolder, names: tuple[str, str], which: str, examples: int, plot: Path | None
) -> dict[str, Any]:
    """The fields of the operation's report; raises `UsageError` for one model named twice."""
    if examples < 0:
        raise UsageError(f"--examples must not be negative, not {examples}; 0 takes all that is held out.")
    sides = [_side(workspace, name, which) for name in names]
    if sides[0].model.card.id == sides[1].model.card.id:
        raise UsageError(f"`{names[0]}` and `{names[1]}` are one model; name two.")
    curves = {side.name: _curve(side.model.folder) for side in sides}
    if plot is not None:
        from treadle.recipes.compare_picture import draw_comparison

        draw_comparison(curves, loss_of(unit_of(sides[0].settings)), plot)
    return {
        "models": [_facts(side) for side in sides],
        "differing": _differing(*(side.settings for side in sides)),
        "measured": [_measured(side, other, examples) for other in sides for side in sides],
        "curves": curves,
        "plot": None if plot is None else str(plot),
    }


def answers(
    workspace: WorkspaceFolder, names: tuple[str, str], which: str, questions: Path | None
) -> dict[str, Any] | None:
    """How both answer a file of questions, and who was right where; None without a file."""
    if questions is None:
        return None
    from treadle.recipes.questions import answer_all, beside

    first, second = (answer_all(workspace, name, which, questions) for name in names)
    return {"models": [first[0], second[0]], "beside": beside(first[1], second[1])}


def _side(workspace: WorkspaceFolder, name: str, which: str) -> _Side:
    model = open_model(workspace, name)
    checkpoint = model.checkpoints.find(which) if model.checkpoints.all() else None
    return _Side(model, settings_of_model(workspace, model.card), checkpoint)


def _facts(side: _Side) -> dict[str, Any]:
    checkpoint, dataset = side.checkpoint, side.model.versions.latest()
    metrics = {} if checkpoint is None else checkpoint.metrics
    return {
        "name": side.name,
        "id": side.model.card.id,
        "copied_from": side.model.card.copied_from,
        "family": side.settings.values()["family"]["name"],
        "parameters": None if checkpoint is None else parameters_of(checkpoint.record),
        "vocabulary": None if checkpoint is None else checkpoint.record.vocabulary,
        "step": None if checkpoint is None else checkpoint.step,
        "epochs": None if checkpoint is None else float(checkpoint.document["data"]["epochs"]),
        "held_out": metrics.get("held_out_loss"),
        "bits_per_byte": metrics.get("bits_per_byte"),
        "accuracy": metrics.get("accuracy"),
        "dataset": None if dataset is None else dataset.id,
        "documents": 0 if dataset is None else dataset.manifest.documents,
    }


def _differing(first: Settings, second: Settings) -> list[dict[str, Any]]:
    """Settings that are not alike, in the order of their names; one that only one family knows is None in the other."""
    flat = [dict(_leaves(settings.values())) for settings in (first, second)]
    return [
        {"key": key, "values": [one.get(key) for one in flat]}
        for key in sorted({*flat[0], *flat[1]})
        if flat[0].get(key) != flat[1].get(key)
    ]


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _measured(side: _Side, other: _Side, examples: int) -> dict[str, Any]:
    """How a model does on what is held out of the other's data, or of its own; or why that cannot be said."""
    row: dict[str, Any] = {"model": side.name, "data_of": other.name}
    nothing = {"loss": None, "bits_per_byte": None, "accuracy": None, "targets": 0}
    try:
        return {**row, **_figures(side, other.model.dataset(), examples), "problem": None}
    except TreadleError as error:
        return {**row, **nothing, "problem": str(error).partition(". ")[0].removesuffix(".") + "."}


def _figures(side: _Side, dataset: Dataset, examples: int) -> dict[str, Any]:
    checkpoint = side.checkpoint
    if checkpoint is None:
        raise NotReadyError(f"`{side.name}` has no weights yet.")
    record = checkpoint.record
    settings = Settings.from_dict({**side.settings.to_dict(), "family": dict(record.config)}, str(checkpoint.path))
    prepared = side.model.prepared(dataset, settings, fix=False)
    if prepared is None:
        raise NotReadyError(f"`{side.name}` has no vocabulary yet.")
    network = network_of(settings, prepared)
    shapes = FAMILIES.get(record.family).weight_shapes(settings.family, record.vocabulary, record.context)
    learner = open_learner(network, settings.training)
    try:
        learner.load_weights(checkpoint.weights(shapes))
        found = evaluate(learner, prepared.loader, settings.training.batch_size, examples)
    finally:
        learner.close()
    if found is None:
        raise NotReadyError("Nothing of these data is held out.")
    return {
        "loss": found.loss,
        "bits_per_byte": found.bits_per_byte,
        "accuracy": found.accuracy,
        "targets": found.targets,
    }


def _curve(folder: Path) -> list[dict[str, Any]]:
    """Rows of the history with `step`, `loss` and `held_out_loss`: all that were measured, and of the rest some."""
    rows = history(folder)
    every = max(1, len(rows) // _POINTS)
    kept = [row for number, row in enumerate(rows, 1) if number % every == 0 or row.get("held_out_loss") is not None]
    return [{"step": row["step"], "loss": row["loss"], "held_out_loss": row.get("held_out_loss")} for row in kept]
