"""Changing the settings that a model keeps; a change of layers grows its newest checkpoint without a change of answers.

One lock for all of it: nobody trains meanwhile. The larger checkpoint is written first and the card last, so after a
kill in between the same command finds the checkpoint grown already and writes the card.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.config.compose import Sources, compose
from treadle.config.constraints import changes_refused, kept_with_model
from treadle.config.schema import GROUPS
from treadle.config.tree import CALL, COMMAND_LINE
from treadle.models.catalog import FAMILIES
from treadle.models.growth import grown_moments, grown_weights, places_of_old_layers
from treadle.recipes.settings import settings_of_model
from treadle.store.models import CARD_FILE, ModelCards
from treadle.training.checkpoints import CheckpointFolder, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.config.settings import Settings
    from treadle.models.growth import Placing
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

_LAYERS = "family.layers"
_RELATIVE = re.compile(rf"{re.escape(_LAYERS)}=\+([0-9]+)")
_OF_THE_CARD = "model"
_SHORT = {"auto_train": "training.auto_train"}
"""What may be set without its section."""


def change(workspace: WorkspaceFolder, name: str, overrides: Sequence[str], placing: Placing) -> dict[str, Any]:
    """Set what `overrides` say, for good; the fields of the operation's report.

    Raises `UsageError` for what the model's weights cannot follow, and `NotReadyError` while it is being trained.
    """
    cards = ModelCards(workspace)
    overrides = [_whole(one) for one in overrides]
    with cards.writing(cards.get(name)):
        card = cards.get(name)
        before = settings_of_model(workspace, card)
        latest = CheckpointFolder(cards.folder(card) / "checkpoints").latest()
        after = _composed(workspace, card, [_absolute(one, before) for one in overrides])
        grown = None
        if latest is not None:
            _refuse(before, after)
            if _layers(after) != latest.record.config.get("layers"):
                grown = _grow(CheckpointFolder(cards.folder(card) / "checkpoints"), latest, after, placing)
        kept = kept_with_model(after, (COMMAND_LINE, CALL, _OF_THE_CARD))
        cards.update(replace(card, settings=kept))
        now = settings_of_model(workspace, cards.get(card.id))
    return {
        "model": card.name,
        "changed": _changed(before, now),
        "settings": {key: _value(now, key) for key in sorted(_named(overrides))},
        "grown": grown,
        "next_step": f"treadle train {card.name}" if grown or latest is None else f"treadle show {card.name} --origins",
    }


def _composed(workspace: WorkspaceFolder, card: ModelCard, flags: Sequence[str]) -> Settings:
    file = ModelCards(workspace).folder(card) / CARD_FILE
    return compose(Sources(workspace_file=workspace.settings_file, model_file=file, flags=flags))


def _whole(override: str) -> str:
    key, equals, value = override.partition("=")
    return f"{_SHORT.get(key, key)}{equals}{value}"


def _named(overrides: Sequence[str]) -> set[str]:
    return {override.partition("=")[0] for override in overrides}


def _absolute(override: str, before: Settings) -> str:
    """Check one change; `family.layers=+2` becomes the number that it means."""
    key = override.partition("=")[0]
    if key in {*GROUPS, "experiment"} or "." not in key:
        raise UsageError(
            f"`{override}` cannot be set on a model that exists; give single settings, such as training.batch_size=8."
        )
    match = _RELATIVE.fullmatch(override)
    if match is None:
        return override
    layers = _layers(before)
    if layers is None:
        raise UsageError(f"Models of the family {before.values()['family']['name']} have no layers to add to.")
    return f"{_LAYERS}={layers + int(match[1])}"


def _refuse(before: Settings, after: Settings) -> None:
    """Raise `UsageError` for changes that weights cannot follow; more layers are none of them."""
    old = before
    was, becomes = _layers(before), _layers(after)
    if was is not None and becomes is not None and becomes > was:
        old = replace(before, family=before.family.model_copy(update={"layers": becomes}))
    refused = changes_refused(old, after)
    if refused:
        raise UsageError("\n".join(refused))


def _grow(folder: CheckpointFolder, latest: Checkpoint, after: Settings, placing: Placing) -> dict[str, Any]:
    """Write the newest checkpoint once more, with more layers; what is trained next goes on from it."""
    record = latest.record
    family = FAMILIES.get(record.family)
    config = {**record.config, "layers": _layers(after)}
    count = int(config["layers"])
    places = places_of_old_layers(int(record.config["layers"]), count, placing)
    shape = family.config_class().model_validate(config)
    settings = record.settings or {}
    seed = int(settings.get("training", {}).get("seed", 1))
    start = family.initial_weights(shape, record.vocabulary, record.context, seed)
    weights = grown_weights(latest.weights(), start, places)
    document = latest.document
    grown = {"from": int(record.config["layers"]), "to": count, "placing": placing, "old_layers_at": places}
    written = folder.write(
        Snapshot(
            step=latest.step,
            record=replace(record, config=config, settings={**settings, "family": config}),
            weights=weights,
            optimizer=grown_moments(latest.optimizer(), weights, places),
            data=document["data"],
            # What follows goes on from here, not from a smaller one before the last cool-down.
            schedule={**document["schedule"], "trunk": True},
            plan=document["plan"],
            metrics=latest.metrics,
            lineage={**document["lineage"], "parent": latest.path.name, "grown": grown},
            callbacks=document["callbacks"],
        )
    )
    return {
        **grown,
        "parameters": sum(array.size for array in weights.values()),
        "step": latest.step,
        "checkpoint": str(written.path),
    }


def _layers(settings: Settings) -> int | None:
    found = getattr(settings.family, "layers", None)
    return found if isinstance(found, int) else None


def _changed(before: Settings, after: Settings) -> list[dict[str, Any]]:
    return [
        {"key": key, "before": _value(before, key), "after": _value(after, key), "origin": str(origin)}
        for key, origin in after.origins.items()
        if key not in before.origins or _value(before, key) != _value(after, key)
    ]


def _value(settings: Settings, key: str) -> Any:  # noqa: ANN401 - any plain setting
    found: Any = settings.values()
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
