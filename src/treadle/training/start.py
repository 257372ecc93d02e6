"""Where a run begins: fresh, exactly where it was interrupted, or at the stem towards a larger target."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
    trunk: bool
    """Whether what follows, up to the cool-down, may be gone on from later."""
    newest: int = 0
    """Steps of the model's newest checkpoint."""

    def describe(self) -> str:
        """One sentence for people."""
        if self.checkpoint is None:
            return f"Training begins: {self.schedule.budget}."
        budget = self.schedule.budget
        target = f"for {budget}" if budget.unit == "minutes" else f"to {budget}"
        where = f"step {self.place.step}"
        if self.kind == "resumed":
            return f"Training goes on exactly where it was interrupted, at {where}, {target}."
        if self.kind == "finished":
            return f"The model has already been trained {target}; nothing is left to do."
        if self.newest > self.place.step:
            taken = f"steps {self.place.step + 1:,} to {self.newest:,} were its cool-down and are taken again"
            return f"Training goes on from {where}, before the last cool-down, {target}: {taken}."
        return f"Training goes on from {where} {target}."


def find_start(subject: Subject, budget: Budget, settings: TrainingSettings, loader: Loader) -> Start:
    """Decide what `budget` means for this model.

    Raises `UsageError` with the lowest possible target when the model has already been trained that far.
    """
    latest = subject.checkpoints.latest()
    if latest is None:
        place = Place()
        return Start("fresh", None, place, _schedule(budget, place, settings, loader), trunk=True)
    before = schedule_from_json(latest.document["schedule"]["plan"])
    place = _place(latest, subject, loader)
    if before.budget == budget and latest.finished and latest.document["lineage"]["run"] == subject.run:
        # Killed between its last checkpoint and its answer; what was fed since is not its business.
        return Start("finished", latest, place, before, latest.trunk, latest.step)
    if before.budget == budget and _same_data(latest, subject, loader):
        if latest.finished and budget.unit != "minutes":
            return Start("finished", latest, place, before, latest.trunk, latest.step)
        if not latest.finished and before.cooldown == settings.cooldown:
            return Start("resumed", latest, place, before, latest.trunk, latest.step)
    _check_target(budget, latest.step, place.epochs(loader.examples_per_epoch))
    if budget.unit == "minutes":
        return _warmed_up_again(latest, place, budget, settings, loader)
    stem = latest if latest.trunk else roles(subject.checkpoints.all()).get("stem", latest)
    place = replace(_place(stem, subject, loader), seconds=0.0)
    schedule = _schedule(budget, place, settings, loader)
    if begins_anew(stem):
        schedule = replace(schedule, warmup_from=place.step)
    return Start("continued", stem, place, schedule, stem.trunk, latest.step)


def begins_anew(checkpoint: Checkpoint) -> bool:
    """Whether a training from here needs a warm-up: new layers have learned nothing, imported weights no moments."""
    return not {"grown", "imported"}.isdisjoint(checkpoint.document["lineage"])


def _warmed_up_again(
    latest: Checkpoint, place: Place, budget: Budget, settings: TrainingSettings, loader: Loader
) -> Start:
    """Go on from the newest weights; if they had begun to cool down, they become the stem of what follows."""
    place = replace(place, seconds=0.0)
    schedule = _schedule(budget, place, settings, loader)
    if not latest.trunk or begins_anew(latest):
        schedule = replace(schedule, warmup_from=place.step)
    return Start("continued", latest, place, schedule, trunk=True, newest=latest.step)


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
        raise UsageError(
            f"The model has already been trained for {round(epochs, 2):g} epochs; the target cannot be lower. "
            f"Use --epochs {math.floor(epochs) + 1} or more."
        )
