"""How a model that learns what arrives begins a run: at its newest weights, at a held rate, for as long as it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.training.schedules import Budget, Place, Schedule, schedule_from_json
from treadle.training.start import Start, begins_anew

if TYPE_CHECKING:
    from treadle.training.checkpoints import Checkpoint
    from treadle.training.config import TrainingSettings


def arrivals_start(latest: Checkpoint | None, steps: int, settings: TrainingSettings) -> Start:
    """Plan `steps` steps from the newest weights on, without a cool-down: more will arrive.

    What is trained like this may be gone on from. A model that had cooled down or grown is warmed up again.
    """
    place = Place() if latest is None else Place(latest.step, 0, float(latest.document["data"]["epochs"]))
    end = float(place.step + steps)
    schedule = Schedule(
        Budget("steps", end),
        measure="steps",
        begin=float(place.step),
        cooldown_start=end,
        end=end,
        warmup_steps=settings.warmup_steps,
        cooldown=0.0,
        warmup_from=_warmup_from(latest),
    )
    return Start("fresh" if latest is None else "continued", latest, place, schedule, trunk=True, newest=place.step)


def _warmup_from(latest: Checkpoint | None) -> int:
    if latest is None:
        return 0
    if not latest.trunk or begins_anew(latest):
        return latest.step
    return schedule_from_json(latest.document["schedule"]["plan"]).warmup_from
