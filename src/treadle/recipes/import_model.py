"""A model of somebody else becomes one of this workspace: read and checked first, then there all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, UsageError
from treadle.base.files import write_json
from treadle.config.compose import Sources, compose
from treadle.config.constraints import kept_with_model
from treadle.config.override_text import overrides_of
from treadle.data.prepared import DECIDED
from treadle.data.tokenizers.tokenizer import save_tokenizer, tokenizer_from_description
from treadle.jobs.inbox import INBOX
from treadle.models.catalog import FAMILIES
from treadle.models.streamed_arrays import StreamedArrays
from treadle.recipes.incoming import read_incoming
from treadle.recipes.opened import parameters_of, use_of
from treadle.store.models import ModelCards
from treadle.training.checkpoints import CheckpointFolder, ModelRecord, Snapshot
from treadle.training.optimizers.roles import role
from treadle.training.schedules import Budget, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.config.settings import Settings
    from treadle.recipes.incoming import Incoming
    from treadle.store.workspace import WorkspaceFolder

_SIZES: Final = ((900_000, "nano"), (4_000_000, "tiny"), (18_000_000, "small"), (50_000_000, "medium"))
"""Up to so many parameters, the preset whose batch and rates fit."""
_CONTEXT: Final = 1024
"""Positions of a model with rotary ones, unless more are asked for: each takes memory in training and sampling."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    path: Path
    name: str
    tokenizer: Path | None = None
    context: int | None = None
    overrides: Sequence[str] = ()


def import_model(workspace: WorkspaceFolder, request: Request) -> dict[str, Any]:
    """Make a model of what lies at a path; the fields of the operation's report."""
    cards = ModelCards(workspace)
    cards.require_free(request.name)
    path = request.path.expanduser().absolute()
    incoming = read_incoming(path, request.tokenizer)
    context, weights, notes = _with_context(incoming, request.context)
    settings = _settings(workspace, incoming, context, weights, request.overrides)
    record = ModelRecord(
        incoming.family,
        settings.values()["family"],
        incoming.vocabulary,
        context,
        incoming.tokenizer,
        settings.to_dict(),
    )
    origin = {
        "name": path.name,
        "format": incoming.format,
        "sha256": incoming.sha256,
        "licence": _text(incoming.facts.get("licence")),
    }
    snapshot = _snapshot(incoming, record, weights, origin, settings)

    def fill(folder: Path) -> None:
        (folder / INBOX).mkdir()
        _save_codes(folder / "tokenizer", incoming.tokenizer)
        CheckpointFolder(folder / "checkpoints").write(snapshot)

    card = cards.create_from(request.name, kept_with_model(settings), origin, fill)
    use = use_of(settings, card.name)
    return {
        "id": card.id,
        "name": card.name,
        "format": incoming.format,
        "family": incoming.family,
        "parameters": parameters_of(record),
        "vocabulary": incoming.vocabulary,
        "context": context,
        "tokenizer": str((incoming.tokenizer or {}).get("kind")),
        "step": incoming.step,
        "licence": origin["licence"],
        "sha256": incoming.sha256,
        "notes": [*incoming.notes, *notes],
        "folder": str(cards.folder(card)),
        "next_step": use,
    }


def _writes_text(incoming: Incoming) -> bool:
    found: bool = FAMILIES.get(incoming.family).needs == "tokens"
    return found


def _with_context(
    incoming: Incoming, asked: int | None
) -> tuple[int, Mapping[str, NDArray[np.float32]], Sequence[str]]:
    """How many positions the model gets, and its weights for so many."""
    stated, weights = incoming.context, incoming.weights
    if asked is not None and not _writes_text(incoming):
        raise UsageError("--context is for models of text.")
    if asked is not None and not 2 <= asked <= stated:
        raise UsageError(f"--context must be 2 to {stated:,}, which is what the model was made for, not {asked:,}.")
    learned = "position.weight" in weights
    if asked is None and (learned or incoming.format == "package" or stated <= _CONTEXT):
        return stated, weights, ()
    context = asked or _CONTEXT
    if learned:
        weights = {**weights, "position.weight": np.ascontiguousarray(weights["position.weight"][:context])}
    note = f"It was made for {stated:,} positions and reads {context:,} here; --context N takes more or fewer."
    return context, weights, (note,) if context < stated else ()


def _settings(
    workspace: WorkspaceFolder,
    incoming: Incoming,
    context: int,
    weights: Mapping[str, NDArray[np.float32]],
    overrides: Sequence[str],
) -> Settings:
    """Settings of the new model: its shape, the rates of a size like its own or those it brings, and what was typed."""
    shape = {key: value for key, value in incoming.config.items() if key != "name"}
    flags = [*_choices(incoming, weights), *overrides_of("family", shape)]
    if _writes_text(incoming):
        flags.append(f"data.sequence_length={context}")
    brought = [flag for section in ("data", "training") for flag in _brought(incoming, section)]
    settings = compose(Sources(workspace_file=workspace.settings_file, flags=[*flags, *brought, *overrides]))
    if settings.values()["family"] != {**settings.values()["family"], **incoming.config}:
        raise UsageError("The shape of an imported model is that of its weights; leave out settings of family.")
    return settings


def _choices(incoming: Incoming, weights: Mapping[str, NDArray[np.float32]]) -> list[str]:
    stated = incoming.settings.get("choices")
    if isinstance(stated, dict) and stated:
        return [f"{group}={_word(stated[group])}" for group in ("family", "size") if group in stated]
    if incoming.family != "gpt":
        return [f"family={_word(incoming.family)}"]
    count = sum(array.size for array in weights.values())
    size = next((name for most, name in _SIZES if count <= most), "base")
    return ["family=gpt", f"size={size}"]


def _word(value: Any) -> str:  # noqa: ANN401 - whatever the package says
    if not isinstance(value, str) or not value.replace("_", "").replace("-", "").isalnum():
        raise DataError(f"The package names a preset {str(value)[:40]!r}, which is no name.")
    return value


def _brought(incoming: Incoming, section: str) -> tuple[str, ...]:
    """The values that a package brings for a section, flat."""
    values = incoming.settings.get(section)
    if not isinstance(values, dict):
        return ()
    kept = {key: value for key, value in _leaves(values) if f"{section}.{key}" != "data.sequence_length"}
    return overrides_of(section, kept)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _shapes(record: ModelRecord) -> dict[str, tuple[int, ...]]:
    family = FAMILIES.get(record.family)
    found: dict[str, tuple[int, ...]] = family.weight_shapes(
        family.config_class().model_validate(dict(record.config)), record.vocabulary, record.context
    )
    return found


def _snapshot(
    incoming: Incoming,
    record: ModelRecord,
    weights: Mapping[str, NDArray[np.float32]],
    origin: Mapping[str, Any],
    settings: Settings,
) -> Snapshot:
    """The first checkpoint: no moments yet, on no data, with nothing measured here."""
    shapes = _shapes(record)
    moments: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        matrix = settings.training.optimizer.name == "muon" and role(name, shape) == "matrix"
        for kind in ("momentum",) if matrix else ("first_moment", "second_moment"):
            moments[f"{kind}/{name}"] = shape
    steps = float(max(incoming.step, 1))
    plan = Schedule(Budget("steps", steps), "steps", 0.0, steps, steps, 0, 0.0)
    data = {"dataset": None, "position": 0, "epochs_before": incoming.epochs, "examples_per_epoch": 1}
    told = {key: incoming.facts[key] for key in ("metrics", "evidence", "data") if key in incoming.facts}
    return Snapshot(
        step=incoming.step,
        record=record,
        weights=StreamedArrays(shapes, lambda name: np.ascontiguousarray(weights[name], np.float32)),
        optimizer=StreamedArrays(moments, lambda name: np.zeros(moments[name], np.float32)),
        data={**data, "epochs": incoming.epochs, "skipped_examples": 0},
        schedule={"plan": plan.to_json(), "seconds": 0.0, "trunk": True, "finished": True, "recoveries": 0},
        plan={},
        metrics={},
        lineage={
            "run": None,
            "dataset": None,
            "parent": None,
            "plan_changes": [],
            "imported": {**origin, "told": told},
        },
        callbacks={},
    )


def _save_codes(folder: Path, tokenizer: Any) -> None:  # noqa: ANN401 - plain JSON
    """Put the learned codes where trainings look for them: a tokenizer, classes of pictures, phrases of clips."""
    if tokenizer is None:
        return
    kind = tokenizer.get("kind")
    if kind in DECIDED:
        write_json(folder / DECIDED[kind], tokenizer)
    else:
        save_tokenizer(tokenizer_from_description(tokenizer), folder / "tokenizer.json")


def _text(value: Any) -> str | None:  # noqa: ANN401 - whatever the file says
    return value[:200] if isinstance(value, str) else None
