"""Curves of runs for a chart or a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, UsageError
from treadle.base.names import did_you_mean
from treadle.recipes.runs import asked_of, resolved
from treadle.store.models import ModelCards
from treadle.telemetry.curves import open_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.store.workspace import WorkspaceFolder
    from treadle.telemetry.curves import Curve


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which part of a curve, and how finely."""

    by: str
    points: int
    first: int | None
    last: int | None


def curves(
    workspace: WorkspaceFolder, words: Sequence[str], metrics: Sequence[str], stretch: Stretch
) -> list[dict[str, Any]]:
    """For each run and metric: `x`, `mean`, `min`, `max`. One run alone must have a curve; of several, some may not."""
    names = {card.id: card.name for card in ModelCards(workspace).all()}
    found: list[dict[str, Any]] = []
    for word in dict.fromkeys(words):
        run = resolved(workspace, word)
        curve = open_curve(run.curves)
        if curve is None or not curve.rows:
            if len(words) == 1:
                raise NotReadyError(
                    f"Run {run.id} has no curve: only trainings write one, from their first step on. "
                    "`treadle runs list --kind train` shows them."
                )
            continue
        _check(curve, metrics)
        asked = asked_of(run)
        model = None if asked is None else names.get(asked.model)
        found += [{"run": run.id, "model": model, **row} for row in _read(curve, metrics, stretch)]
    return found


def _read(curve: Curve, metrics: Sequence[str], stretch: Stretch) -> list[dict[str, Any]]:
    moment = None if stretch.by == "step" else stretch.by  # a column of the curve, too
    columns = list(dict.fromkeys([*metrics, *([moment] if moment else [])]))
    buckets = curve.buckets(columns, stretch.points, stretch.first, stretch.last)
    x: list[Any] = list(buckets.steps) if moment is None else list(buckets.values[moment]["max"])
    rows = []
    for metric in metrics:
        values = buckets.values[metric]
        kept = [place for place, value in enumerate(values["mean"]) if value is not None and x[place] is not None]
        rows.append(
            {
                "metric": metric,
                "width": buckets.width,
                "x": [x[place] for place in kept],
                "steps": [] if moment is None else [buckets.steps[place] for place in kept],
                "mean": [values["mean"][place] for place in kept],
                "min": [values["min"][place] for place in kept] if buckets.width > 1 else [],
                "max": [values["max"][place] for place in kept] if buckets.width > 1 else [],
            }
        )
    return rows


def _check(curve: Curve, metrics: Sequence[str]) -> None:
    for metric in metrics:
        if metric not in curve.columns:
            near = did_you_mean(metric, curve.columns)
            raise UsageError(f"No metric `{metric}`.{near} There are: {', '.join(curve.columns)}.")
