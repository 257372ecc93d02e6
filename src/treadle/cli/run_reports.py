"""How answers about runs read in a terminal."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import bars, fact, wrapped
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_BARS = 60


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["runs"]:
        return ["No such runs. Every job makes one: treadle train NAME"]
    at = report["at"]
    wide = max(5, *(len(row["model"] or "-") for row in report["runs"]))
    kinds = max(5, *(len(row["kind"]) for row in report["runs"]))
    asked = "" if at is None else f" {f'at {at:,}':>9}"
    lines = [
        f"{'run':<18} {'kind':<{kinds}} {'model':<{wide}} {'outcome':<8} {'steps':>7} {'loss':>7} {'best':>7}{asked}"
    ]
    for row in report["runs"]:
        step = "-" if row["step"] is None else f"{row['step']:,}"
        figures = f"{step:>7} {_figure(row['loss']):>7} {_figure(row['best']):>7}"
        figures += "" if at is None else f" {_figure(row['at']):>9}"
        model = row["model"] or "-"
        lines.append(f"{row['id']:<18} {row['kind']:<{kinds}} {model:<{wide}} {row['outcome']:<8} {figures}")
    more = report["total"] - len(report["runs"])
    return [*lines, f"{more:,} more: --count {report['total']}"] if more else lines


def _show(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    run = report["run"]
    lines = [f"{run['id']} · {run['kind']} of `{run['model'] or run['model_id'] or '-'}` · {run['outcome']}"]
    lines.append(fact("begun", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run["created"]))))
    if run["target"]:
        lines.append(fact("asked for", run["target"]))
    if run["step"] is not None:
        reached = f"step {run['step']:,}"
        reached += "" if run["epoch"] is None else f", {run['epoch']:.2f} epochs"
        reached += "" if run["seconds"] is None else f", {units.duration(run['seconds'])}"
        lines.append(fact("reached", reached))
    for label, key in (("loss", "loss"), ("held out", "last"), ("best", "best"), ("bits/byte", "bits_per_byte")):
        if run[key] is not None:
            place = f" at step {run['best_step']:,}" if key == "best" else ""
            lines.append(fact(label, f"{run[key]:.4f}{place}"))
    if run["memory_bytes"]:
        lines.append(fact("memory", units.size(run["memory_bytes"])))
    lines += [
        fact("kept", f"step {row['step']:,} ({', '.join(row['roles']) or 'no role'})") for row in report["checkpoints"]
    ]
    lines += [fact("sample", f"step {row['step']:,}: {row['text'][:50]!r}") for row in report["samples"][-3:]]
    if run["error"]:
        lines += wrapped(str(run["error"]), 2)
    changed = [row for row in report["settings"] if row["origin"] not in {"built-in", ""}]
    lines += [fact("setting", f"{row['key']}={row['value']}") for row in changed]
    lines.append(fact("folder", near(report["folder"], arguments)))
    return lines


def _samples(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for row in report["samples"]:
        lines += [f"step {row['step']:,} · epoch {row['epoch']:.2f} · {row['run']}", *str(row["text"]).splitlines(), ""]
    return lines[:-1] or ["No samples were written; `training.sample_every` says how often one is."]


def _compare(report: Report, _: Mapping[str, Any]) -> list[str]:
    runs = report["runs"]
    names = [row["model"] or row["id"] for row in runs]
    if len(set(names)) < len(names):
        names = [row["id"] for row in runs]
    wide = [max(10, len(name)) for name in names]
    keys = max([8, *(len(row["key"]) for row in report["differing"])])

    def line(label: str, values: list[str]) -> str:
        return f"  {label:<{keys}}  " + "  ".join(
            f"{value:>{width}}" for value, width in zip(values, wide, strict=True)
        )

    lines = [line("", names).rstrip()]
    for label, key in (("loss", "loss"), ("best", "best"), ("held out", "last"), ("bits/byte", "bits_per_byte")):
        if any(row[key] is not None for row in runs):
            lines.append(line(label, [_figure(row[key], 4) for row in runs]))
    lines.append(line("steps", ["-" if row["step"] is None else f"{row['step']:,}" for row in runs]))
    lines.append(line("time", ["-" if row["seconds"] is None else units.duration(row["seconds"]) for row in runs]))
    lines += [
        line(row["key"], ["none" if value is None else str(value) for value in row["values"]])
        for row in report["differing"]
    ]
    return [*lines, f"  {report['alike']} settings are alike."]


def _metrics(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for curve in report["curves"]:
        values = curve["mean"]
        lines.append(f"{curve['metric']} of {curve['model'] or '-'}, {curve['run']}")
        if not values:
            lines.append("  nothing was measured")
            continue
        every = max(1, -(-len(values) // _BARS))
        shown = [values[place] for place in range(0, len(values), every)]
        low, high = min(curve["min"] or values), max(curve["max"] or values)
        lines.append(f"  {bars(shown, min(shown), max(shown))}")
        first, last = curve["x"][0], curve["x"][-1]
        lines.append(f"  {values[0]:.4g} to {values[-1]:.4g}, between {low:.4g} and {high:.4g}")
        lines.append(f"  {report['by']} {first:,.4g} to {last:,.4g}, {curve['width']:,} steps a point")
    return lines


def _lineage(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["nodes"]:
        return ["No models yet, so nothing came of anything."]
    kinds = Counter(node["kind"] for node in report["nodes"])
    names = {node["id"]: f"{node['kind']} {node['label']}" for node in report["nodes"]}
    lines = [", ".join(units.counted(number, kind) for kind, number in kinds.items())]
    rows = [f"  {names[edge['source']]} -> {names[edge['target']]} ({edge['says']})" for edge in report["edges"]]
    return [*lines, *rows]


def _figure(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


RUN_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "runs.list": _list,
    "runs.show": _show,
    "runs.samples": _samples,
    "runs.compare": _compare,
    "runs.metrics": _metrics,
    "runs.lineage": _lineage,
}
