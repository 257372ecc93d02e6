"""The few facts of a model that a list shows; imports no numpy, so that `treadle list` is quick."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from treadle.models.catalog import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.models.family import Family


def unit_of_family(name: str) -> str:
    """What its examples are counted in; empty for a family that is not known here, as one of a plugin that left."""
    if name not in FAMILIES:
        return ""
    family: Family = FAMILIES.get(name)
    return family.unit


def newest_facts(folder: Path) -> dict[str, Any]:
    """Steps, epochs and best held-out loss for the list of models, from the checkpoints' documents alone."""
    facts: dict[str, Any] = {"steps": 0, "epochs": 0.0, "held_out": None, "best_step": None}
    newest = -1
    for path in folder.glob("checkpoints/step-*/checkpoint.json"):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # `show` names damaged checkpoints; the list goes on
        if document["sequence"] > newest:
            newest, facts["steps"] = document["sequence"], document["step"]
            facts["epochs"] = round(float(document["data"]["epochs"]), 6)
        loss = document["metrics"].get("held_out_loss")
        if loss is not None and (facts["held_out"] is None or loss < facts["held_out"]):
            facts["held_out"], facts["best_step"] = loss, document["step"]
    return facts
