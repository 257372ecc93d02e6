"""The curve of a model's training, from its history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, NotReadyError
from treadle.base.units import loss_of
from treadle.models.catalog import FAMILIES
from treadle.recipes.pictures import check_target, draw_curves
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder


def plot_history(workspace: WorkspaceFolder, card: ModelCard, path: Path) -> None:
    """Draw the loss of each step, and the held-out losses; raises `NotReadyError` before the first training."""
    check_target(path)
    rows = history(ModelCards(workspace).folder(card))
    if not rows:
        raise NotReadyError(f"`{card.name}` has no history yet: train it first. `treadle train {card.name}`")
    draw_curves(rows, f"{card.name}: loss by step", _measure(rows, card.family), path)


def _measure(rows: Sequence[Mapping[str, Any]], family: str) -> str:
    """What the losses are measured in; a preset may have another name than its family, such as `vit`."""
    if family in FAMILIES.names():
        return loss_of(FAMILIES.get(family).unit)
    return loss_of("pictures" if any(row.get("accuracy") is not None for row in rows) else "tokens")


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
