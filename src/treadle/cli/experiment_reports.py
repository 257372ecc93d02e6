"""How experiments read in a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_WIDTH = 80


def _report(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    ranked = sorted(report["rows"], key=lambda row: (row["mean"] is None, row["mean"] or 0.0))
    wide = min(36, max(len("cell"), *(len(row["label"]) for row in ranked)))
    seeds = units.counted(report["seeds"], "seed")
    lines = [f"{report['name']} · {report['question']} · {seeds} · {report['budget']} each", ""]
    lines.append(f"  {'cell':<{wide}}  {report['unit']:<18} {'params':>8} {'steps':>7} {'wall':>7} {'memory':>8}")
    lines += [_row(row, wide, best=row["label"] in report["verdict"]["best"]) for row in ranked]
    lines += ["", *textwrap.wrap(report["verdict"]["sentence"], _WIDTH, break_on_hyphens=False)]
    lines += [f"Failed: {key}: {error}" for key, error in report["failed"].items()]
    if report["report"]:
        lines.append(f"Report: {near(report['report'], arguments)}")
    if report["done"] < report["wanted"]:
        lines.append(f"Next: {report['command']}")
    return lines


def _row(row: Report, wide: int, *, best: bool) -> str:
    mark = "*" if best else " "
    label = f"{mark} {row['label'][:36]:<{wide}}"
    if row["mean"] is None:
        return f"{label}  -"
    spread = "" if row["deviation"] is None else f" ± {row['deviation']:.4f}"
    loss = f"{row['mean']:.4f}{spread}"
    costs = f"{units.count(row['parameters']):>8} {row['steps']:>7,.0f} {units.duration(row['seconds']):>7}"
    return f"{label}  {loss:<18} {costs} {units.size(row['memory_bytes']):>8}"


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = []
    for row in report["experiments"]:
        state = f"{row['done']} of {row['wanted']} done"
        lines.append(f"{row['name']} · {row['question']} · {row['cells']} cells, {row['budget']} each · {state}")
        lines += textwrap.wrap(row["verdict"], _WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines = lines or ["No experiments yet."]
    return [*lines, f"Studies to run: {', '.join(report['studies'])} (treadle experiment --study NAME)"]


def _deleted(report: Report, _: Mapping[str, Any]) -> list[str]:
    models = units.counted(report["models"], "model")
    return [f"Experiment `{report['name']}` and its {models} are in the trash: {report['trash']}"]


EXPERIMENT_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "experiment": _report,
    "experiment.run": _report,
    "experiment.show": _report,
    "experiment.list": _list,
    "experiment.delete": _deleted,
}
