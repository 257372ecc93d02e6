"""Where a run begins: fresh, exactly where it was interrupted, or at the stem towards a larger target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.errors import UsageError
from treadle.training.checkpoints import roles
from treadle.training.schedules import Place, make_schedule, schedule_from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.loader import Loader
    from treadle.training.checkpoints import Checkpoint, CheckpointFolder, ModelRecord
    from treadle.training.config import TrainingSettings
    from treadle.training.schedules import Budget, Schedule


@dataclass(frozen=True, slots=True)
class Subject:
    """The model in training: what it is, how it begins, where its checkpoints go, what it learns from."""

    record: ModelRecord
    checkpoints: CheckpointFolder
    initial_weights: Callable[[], dict[str, NDArray[np.float32]]]
    """Weights of a model that was never trained; always the same ones."""
    run: str
    """Id of this run."""
    dataset: str
    """Id of the dataset version."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a run goes on from, and where to."""

    kind: Literal["fresh", "resumed", "continued", "finished"]
    """`resumed` takes the very steps that the interrupted run would have taken; `continued` has a new target;
    `finished` means that this same run had used up its budget before it was killed: nothing is left to do."""
    checkpoint: Checkpoint | None
    place: Place
    schedule: Schedule
    furthest: tuple[int, float]
    """Most steps and most epochs that any checkpoint of the model has had."""

    def describe(self) -> str:
        """One sentence for people."""
        if self.checkpoint is None:
            return f"Training begins: {self.schedule.budget}."
        where = f"step {self.place.step}"
        if self.kind == "resumed":
            return f"Training goes on exactly where it was interrupted, at {where}, to {self.schedule.budget}."
        if self.kind == "finished":
            return f"This run had already reached {self.schedule.budget}; nothing is left to do."
        if self.place.step < self.furthest[0] and self.checkpoint.trunk:
            return f"Training goes on from {where}, before the last cool-down, to {self.schedule.budget}."
        return f"Training goes on from {where} to {self.schedule.budget}."


def find_start(subject: Subject, budget: Budget, settings: TrainingSettings, loader: Loader) -> Start:
    """Decide what `budget` means for this model.

    Raises `UsageError` with the lowest possible target when the model has already been trained that far.
    """
    latest = subject.checkpoints.latest()
    if latest is None:
        place = Place()
        return Start("fresh", None, place, _schedule(budget, place, settings, loader), (0, 0.0))
    state = latest.document["schedule"]
    before = schedule_from_json(state["plan"])
    furthest = (int(state["furthest"]["steps"]), float(state["furthest"]["epochs"]))
    same = before.budget == budget and _same_data(latest, subject, loader)
    if same and latest.finished and latest.document["lineage"]["run"] == subject.run:
        return Start("finished", latest, _place(latest, subject, loader), before, furthest)
    if same and not latest.finished and before.cooldown == settings.cooldown:
        return Start("resumed", latest, _place(latest, subject, loader), before, furthest)
    _check_target(budget, *furthest)
    stem = latest if latest.trunk else roles(subject.checkpoints.all()).get("stem", latest)
    place = _place(stem, subject, loader)
    place = Place(place.step, place.examples, place.epochs_before, seconds=0.0)
    return Start("continued", stem, place, _schedule(budget, place, settings, loader), furthest)


def data_state(place: Place, dataset: str, loader: Loader) -> dict[str, Any]:
    """What a checkpoint says about the data."""
    return {
        "dataset": dataset,
        "position": place.examples,
        "epochs_before": place.epochs_before,
        "examples_per_epoch": loader.examples_per_epoch,
        "epochs": place.epochs(loader.examples_per_epoch),
    }


def _schedule(budget: Budget, place: Place, settings: TrainingSettings, loader: Loader) -> Schedule:
    return make_schedule(budget, place, loader.examples_per_epoch, settings.warmup_steps, settings.cooldown)


def _same_data(checkpoint: Checkpoint, subject: Subject, loader: Loader) -> bool:
    data = checkpoint.document["data"]
    return bool(data["dataset"] == subject.dataset and data["examples_per_epoch"] == loader.examples_per_epoch)


def _place(checkpoint: Checkpoint, subject: Subject, loader: Loader) -> Place:
    """Where the checkpoint stands; on other data than it was made from, at the beginning of a new pass."""
    data, seconds = checkpoint.document["data"], float(checkpoint.document["schedule"]["seconds"])
    if _same_data(checkpoint, subject, loader):
        return Place(checkpoint.step, int(data["position"]), float(data["epochs_before"]), seconds)
    return Place(checkpoint.step, 0, float(data["epochs"]), seconds)


def _check_target(budget: Budget, steps: int, epochs: float) -> None:
    if budget.unit == "steps" and budget.amount <= steps:
        raise UsageError(
            f"The model has already been trained for {steps:,} steps; the target cannot be lower. "
            f"Use --steps {steps + 1} or more."
        )
    if budget.unit == "epochs" and budget.amount <= epochs:
        trained = math.floor(epochs)
        raise UsageError(
            f"The model has already been trained for {trained} epochs; the target cannot be lower. "
            f"Use --epochs {trained + 1} or more."
        )
