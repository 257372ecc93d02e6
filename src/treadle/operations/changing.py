"""Operations that change a model which exists: set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.jobs.inbox import inbox_of
from treadle.jobs.presence import announce
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What was changed in a model."""

    model: str
    changed: list[dict[str, Any]]
    """Settings with another value than before: `key`, `before`, `after`, `origin`."""
    settings: dict[str, Any]
    """Every setting that was named, as it is now."""
    grown: dict[str, Any] | None
    """For new layers: `from`, `to`, `placing`, `old_layers_at`, `parameters`, `step`, `checkpoint`."""
    next_step: str
    job: int | None = None
    """The training of what waits, if the model was told to train by itself and there is enough."""


@operation(
    "light",
    examples=(
        "treadle set bard training.batch_size=8 generation.temperature=0.7",
        "treadle set diary auto_train=on",
        "treadle set bard family.layers=+2",
        "treadle set bard family.layers=8 --placing end",
    ),
)
def set_(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    overrides: Annotated[list[str], "settings as key=value, kept with the model"],
    *,
    placing: Annotated[
        Literal["spread", "end"], "where new layers go: spread among the old ones, or after the last"
    ] = "spread",
) -> ChangeReport:
    """Change settings that a model keeps, for all that it does from now on.

    A model that has learned takes more layers (`family.layers=+2`) and computes what it did before: new layers begin
    as the identity, and learn when training goes on. `treadle show MODEL --limits` says what may change.
    `auto_train=on` makes it a standing model: it trains by itself whatever it is fed.
    """
    if not overrides:
        raise UsageError("Say what to change, such as training.batch_size=8; `treadle show NAME --origins` lists all.")
    report = ChangeReport(**load("treadle.recipes.change:change")(workspace, model, overrides, placing))
    if "training.auto_train" not in report.settings:
        return report
    card = ModelCards(workspace).get(model)
    inbox_of(workspace, card.id).mkdir(exist_ok=True)
    outlook = load("treadle.recipes.standing:queue_if_due")(workspace, card)
    if outlook.job is not None:
        announce(workspace, "train")
    return replace(report, job=outlook.job)
