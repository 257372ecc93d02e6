"""Operations that change a model which exists, or make another one of it: set, rename, copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.jobs.inbox import INBOX, inbox_of
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


@dataclass(frozen=True, slots=True)
class RenameReport:
    """A model under its new name."""

    id: str
    before: str
    name: str
    next_step: str


@dataclass(frozen=True, slots=True)
class CopyReport:
    """A new model, and of what it was made."""

    id: str
    name: str
    source: dict[str, str]
    """`id` and `name` of the model that it was made of."""
    step: int
    """Optimizer steps behind its newest checkpoint."""
    checkpoints: int
    folder: str
    next_step: str


@operation("light", examples=("treadle rename bard poet",))
def rename(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    name: Annotated[str, "its new name: letters, digits, '-', '_', '.'"],
) -> RenameReport:
    """Give a model another name. What trains, waits or reads goes on: only the name changes, the id stays."""
    cards = ModelCards(workspace)
    card = cards.get(model)
    renamed = cards.rename(card, name)
    return RenameReport(renamed.id, card.name, renamed.name, f"treadle show {renamed.name}")


@operation("light", examples=("treadle copy bard poet",))
def copy(
    workspace: WorkspaceFolder,
    model: Annotated[str, "name of the model"],
    name: Annotated[str, "name of the copy: letters, digits, '-', '_', '.'"],
) -> CopyReport:
    """Make a second model with what the first one has learned: weights, tokenizer, data, history and settings.

    From then on each goes its own way. Weights are shared on the disk until one of them removes its checkpoints. What
    waits in the queue stays with the first; `treadle jobs import-queue` copies it. A model may train meanwhile: its
    newest checkpoint counts.
    """
    cards = ModelCards(workspace)
    made = cards.copy(cards.get(model), name, (INBOX,))
    facts = load("treadle.recipes.listing:newest_facts")(cards.folder(made))
    count = sum(1 for _ in cards.folder(made).glob("checkpoints/step-*"))
    following = f"treadle train {made.name}" if count else f"treadle show {made.name}"
    source = dict(made.copied_from or {})
    return CopyReport(made.id, made.name, source, facts["steps"], count, str(cards.folder(made)), following)


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
