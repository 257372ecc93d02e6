"""The curve of a model's training, from its history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, NotReadyError
from treadle.base.units import loss_of
from treadle.recipes.listing import unit_of_family
from treadle.recipes.pictures import check_target, draw_curves
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder


def plot_history(workspace: WorkspaceFolder, card: ModelCard, path: Path) -> None:
    """Draw the loss of each step, and the held-out losses; raises `NotReadyError` before the first training."""
    check_target(path)
    rows = history(ModelCards(workspace).folder(card))
    if not rows:
        raise NotReadyError(f"`{card.name}` has no history yet: train it first. `treadle train {card.name}`")
    draw_curves(rows, f"{card.name}: loss by step", loss_of(unit_of_family(card.network)), path)


def history(folder: Path) -> list[dict[str, Any]]:
    """The rows of a model's history, one a step; a last line that is being written is left out."""
    path = folder / "history" / "steps.jsonl"
    if not path.is_file():
        return []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    try:
        return [json.loads(line) for line in whole]
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}). Move it away; training goes on without it.") from error
