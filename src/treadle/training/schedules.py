"""How long to train and at which rate: warm-up, hold, cool-down, over a budget of steps, epochs or minutes.

The cool-down is a branch. The trunk is trained at the full rate, its last checkpoint (the stem) is kept, and training
to a larger target goes on from there: 10 epochs and then 20 end in the very weights of 20 at once.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from treadle.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Unit = Literal["epochs", "steps", "minutes"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train. Epochs and steps count from the model's beginning; minutes are those of this run."""

    unit: Unit
    amount: float

    def __post_init__(self) -> None:
        """Refuse nothing and less."""
        if not (0 < self.amount < math.inf):
            raise UsageError(f"The number of {self.unit} to train must be greater than 0, not {self.amount:g}.")

    def __str__(self) -> str:
        """Write it as people say it."""
        unit = self.unit.removesuffix("s") if self.amount == 1 else self.unit
        return f"{self.amount:g} {unit}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where training stands, between two steps."""

    step: int = 0
    """Optimizer steps behind these weights."""
    examples: int = 0
    """Position in the loader's order of the present dataset version."""
    epochs_before: float = 0.0
    """Passes over earlier dataset versions."""
    seconds: float = 0.0
    """Time spent on the present budget, over all the runs that resumed it."""

    def epochs(self, examples_per_epoch: int) -> float:
        """Passes over the data so far, with the broken part of the present one."""
        return self.epochs_before + self.examples / examples_per_epoch


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rates over one budget, in the measure that the budget counts in."""

    budget: Budget
    measure: Literal["steps", "examples", "seconds"]
    begin: float
    """Where this budget was begun, in its measure."""
    cooldown_start: float
    end: float
    warmup_steps: int
    cooldown: float
    """The share of the budget that was asked for; kept to see whether it has been changed since."""
    warmup_from: int = 0
    """Step after which the warm-up begins: 0, or where a model that had cooled down is warmed up again."""

    def measured(self, place: Place) -> float:
        """Translate a place into the budget's measure."""
        return {"steps": place.step, "examples": place.examples, "seconds": place.seconds}[self.measure]

    def done(self, place: Place) -> bool:
        """Whether the budget is used up."""
        return self.measured(place) >= self.end

    def fraction(self, place: Place) -> float:
        """Share of this budget that is used up, 0 to 1."""
        return min(1.0, max(0.0, (self.measured(place) - self.begin) / (self.end - self.begin)))

    def cooling(self, place: Place) -> bool:
        """Whether the next step belongs to the cool-down."""
        return self.cooldown_start < self.end and self.measured(place) >= self.cooldown_start

    def rate_scale(self, place: Place) -> float:
        """Factor on every peak rate for the step that follows `place`; above 0 up to the last one."""
        since = place.step + 1 - self.warmup_from
        warm = min(1.0, since / self.warmup_steps) if self.warmup_steps else 1.0
        if not self.cooling(place):
            return warm
        return warm * max(0.0, (self.end - self.measured(place)) / (self.end - self.cooldown_start))

    def total_steps(self, place: Place, examples_per_step: int) -> int | None:
        """Number of the last step, or None while it cannot be known (a budget of minutes)."""
        if self.measure == "steps":
            return math.ceil(self.end)
        if self.measure == "examples":
            return place.step + max(0, math.ceil((self.end - place.examples) / examples_per_step))
        return None

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON."""
        return asdict(self)


def schedule_from_json(data: Mapping[str, Any]) -> Schedule:
    """Read back what `Schedule.to_json` wrote."""
    return Schedule(**{**data, "budget": Budget(**data["budget"])})


def make_schedule(
    budget: Budget, place: Place, examples_per_epoch: int, warmup_steps: int, cooldown: float
) -> Schedule:
    """Plan a budget that begins at `place`; a cool-down that should have begun before then begins there."""
    if budget.unit == "steps":
        scale, offset, measure = 1.0, 0.0, "steps"
    elif budget.unit == "epochs":
        scale, offset, measure = float(examples_per_epoch), -place.epochs_before * examples_per_epoch, "examples"
    else:
        scale, offset, measure = 60.0, 0.0, "seconds"
    draft = Schedule(budget, measure, 0.0, 0.0, budget.amount * scale + offset, warmup_steps, cooldown)  # type: ignore[arg-type]  # a str of the three
    begin = draft.measured(place)
    start = max(begin, budget.amount * (1 - cooldown) * scale + offset)
    return Schedule(budget, draft.measure, begin, start, draft.end, warmup_steps, cooldown)
