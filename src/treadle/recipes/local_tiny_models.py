"""Which model the backend `local-tiny` draws with, and what of it must be known before it is loaded. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, TreadleError, UsageError
from treadle.base.units import counted
from treadle.store.models import ModelCards
from treadle.training.checkpoints import MODEL_FILE, CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

FAMILY = "video_flow"
_LEARNED = 400
"""Steps before which clips of moving shapes are blots."""


def chosen(workspace: WorkspaceFolder, asked: str | None) -> tuple[ModelCard, Checkpoint]:
    """The model and checkpoint of `NAME` or `NAME@CHECKPOINT`; without a name, the only one of its family.

    Raises:
        NotFoundError: There is none, or several.
        UsageError: It is of another family.
    """
    name, _, which = (asked or _only(workspace)).partition("@")
    card = ModelCards(workspace).get(name)
    checkpoint = _folder(workspace, card).find(which or "best")
    if checkpoint.record.family != FAMILY:
        raise UsageError(
            f"`{name}` is of the family {checkpoint.record.family}; local-tiny needs one of {FAMILY}: "
            f"treadle new NAME --family {FAMILY}"
        )
    return card, checkpoint


def clip_frames(workspace: WorkspaceFolder, asked: str | None) -> int | None:
    """How many frames that model draws at a time; None where there is none that could be taken."""
    try:
        _, checkpoint = chosen(workspace, asked)
    except TreadleError:
        return None
    return checkpoint.record.context


def settled(workspace: WorkspaceFolder, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run with the name of the model that will be taken; raises as `chosen` does, before it is queued."""
    asked = settings.get("model")
    card, _ = chosen(workspace, asked)
    return {**settings, "model": asked or card.name}


def green(name: str, checkpoint: Checkpoint) -> str | None:
    """What to say of a model that has hardly learned anything; None = it has."""
    if checkpoint.step >= _LEARNED:
        return None
    return f"`{name}` has made only {counted(checkpoint.step, 'step')}: expect noise. Train it on: treadle train {name}"


def weights_of(card: ModelCard, checkpoint: Checkpoint) -> dict[str, Any]:
    """What is kept in a video of the weights that made it: enough to find them again, and to know others from them."""
    return {
        "model": card.name,
        "model_id": card.id,
        "step": checkpoint.step,
        "weights": checkpoint.document["files"][MODEL_FILE]["sha256"],
    }


def still_there(workspace: WorkspaceFolder, options: Mapping[str, Any]) -> str | None:
    """`NAME@STEP` of the weights that `weights_of` told of, if this workspace still has them, whatever it is named."""
    cards = ModelCards(workspace)
    for card in cards.all():
        if card.id == options.get("model_id"):
            by_step = {one.step: one for one in _folder(workspace, card).all()}  # of a step reached twice, the newer
            same = (step for step, one in by_step.items() if weights_of(card, one)["weights"] == options.get("weights"))
            return next((f"{card.name}@{step}" for step in same), None)
    return None


def _folder(workspace: WorkspaceFolder, card: ModelCard) -> CheckpointFolder:
    return CheckpointFolder(ModelCards(workspace).folder(card) / "checkpoints")


def _only(workspace: WorkspaceFolder) -> str:
    found = []
    for card in ModelCards(workspace).all():
        latest = _folder(workspace, card).latest()
        if latest is not None and latest.record.family == FAMILY:
            found.append(card.name)
    if len(found) != 1:
        known = (
            f"There are {', '.join(found)}; name one: --model {found[0]}"
            if found
            else (
                f"There is none yet. Make one in minutes: treadle new mover --family {FAMILY}; "
                "treadle feed mover bundled:shapes; treadle train mover"
            )
        )
        raise NotFoundError(f"local-tiny needs a trained model of the family {FAMILY}. {known}")
    return found[0]
