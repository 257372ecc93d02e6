"""4-bit weights are let in where they cost little: measured once for each checkpoint, on text it never learned from."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, NotReadyError, ResourceError, UsageError
from treadle.base.files import read_json, write_json
from treadle.data.batch import MASKED
from treadle.generation.engine import Rows, open_engine
from treadle.recipes.opened import open_model
from treadle.recipes.opened_engine import engine_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from treadle.config.settings import Settings
    from treadle.data.batch import Batch
    from treadle.generation.engine import EngineModel
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

    HeldOut = Callable[[], Iterable[Batch]]

GATE_FILE: Final = "int4-gate.json"
_FORCED: Final = 100
"""The upper end of the setting."""
_ENOUGH: Final = 8192
"""Held-out targets after which the means are close enough: a standard error of about 0.002 nats between the two."""


def require_int4(model: EngineModel, folder: Path, margin: float, held_out: HeldOut) -> dict[str, Any]:
    """Raise `UsageError` if int4 loses more than `margin` nats per token against int8; returns what was measured.

    Raises `NotReadyError` where nothing is held out to measure on. A margin of 100 or more asks nothing.
    """
    if margin >= _FORCED:
        return {}
    found = _known(model, folder) or _measure(model, folder, held_out)
    lost = found["int4"] - found["int8"]
    if not lost <= margin:
        raise UsageError(
            f"int4 costs this checkpoint {lost:.3f} nats per token on held-out text (int4 {found['int4']:.3f}, int8 "
            f"{found['int8']:.3f}, over {found['targets']:,} tokens); at most {margin:g} is allowed. Leave precision "
            "at auto, or force it with generation.int4_margin=100."
        )
    return found


def check_before_sampling(workspace: WorkspaceFolder, card: ModelCard, settings: Settings, found: Checkpoint) -> None:
    """The same for whoever is about to sample from a checkpoint, on the newest version of the model's data."""

    def held_out() -> Iterable[Batch]:
        model = open_model(workspace, card.id)
        prepared = model.prepared(model.dataset(), settings, fix=False)
        return () if prepared is None else prepared.loader.evaluation(1)

    require_int4(engine_model(found), found.path, settings.generation.int4_margin, held_out)


def _known(model: EngineModel, folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = read_json(folder / GATE_FILE)
        right = model.packed is not None and found["source"] == model.packed.sha256
        return found if right and all(isinstance(found[key], float) for key in ("int8", "int4")) else None
    except (DataError, KeyError, TypeError):
        return None


def _measure(model: EngineModel, folder: Path, held_out: HeldOut) -> dict[str, Any]:
    batches = list(enough_of(held_out()))
    if not batches:
        raise NotReadyError(
            "int4 is measured on held-out text before it is used, and nothing is held out. Leave precision at auto, or "
            "force it with generation.int4_margin=100."
        )
    losses = {precision: mean_loss(replace(model, packed=None), precision, batches) for precision in ("int8", "int4")}
    found = {
        "source": "" if model.packed is None else model.packed.sha256,
        "targets": sum(int((batch.targets != MASKED).sum()) for batch in batches),
        **losses,
    }
    with contextlib.suppress(ResourceError, OSError):  # a folder of somebody else's: measured again next time
        write_json(folder / GATE_FILE, found)
    return found


def enough_of(batches: Iterable[Batch]) -> Iterable[Batch]:
    """As many batches as a comparison of two precisions needs."""
    seen = 0
    for batch in batches:
        yield batch
        seen += batch.targets.size
        if seen >= _ENOUGH:
            return


def mean_loss(model: EngineModel, precision: str, batches: Iterable[Batch]) -> float:
    """Mean loss in nats per target, as the native engine computes in this precision."""
    engine = open_engine(model, "native", precision, 1)
    total, targets = 0.0, 0
    try:
        for batch in batches:
            for inputs, wanted in zip(batch.inputs, batch.targets, strict=True):
                rows = Rows.of((token, 0, place, True) for place, token in enumerate(inputs.tolist()))
                x = engine.step(rows).astype(np.float64)  # (T, V)
                x -= x.max(axis=1, keepdims=True)
                there = np.flatnonzero(wanted != MASKED)
                total -= float((x[there, wanted[there]] - np.log(np.exp(x[there]).sum(axis=1))).sum())
                targets += there.size
    finally:
        engine.close()
    return total / max(1, targets)
