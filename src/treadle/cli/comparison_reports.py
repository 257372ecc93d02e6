"""How a terminal shows two models side by side, and where something came from."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import bars, fact
from treadle.cli.places import near
from treadle.cli.sharing_reports import answers_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Report = dict[str, Any]

_WIDTH = 40
_TEXT = 78
_DOCUMENTS = 10
"""Documents that a terminal lists."""
_UNCHOSEN = "built-in"


def _compare(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    first, second = report["models"]
    lines = [_row("", first["name"], second["name"])]
    for label, key, show in (
        ("family", "family", str),
        ("parameters", "parameters", units.count),
        ("vocabulary", "vocabulary", "{:,}".format),
        ("documents", "documents", "{:,}".format),
        ("step", "step", "{:,}".format),
        ("epochs", "epochs", "{:.1f}".format),
        ("held out", "held_out", "{:.3f} nats".format),
    ):
        lines.append(_row(label, *("-" if one[key] is None else show(one[key]) for one in (first, second))))
    lines += _measured(report)
    lines += answers_beside(report["tasks"]) if report["tasks"] else []
    if report["differing"]:
        lines.append("settings that differ")
        lines += [_row(row["key"], *("none" if one is None else str(one) for one in row["values"]))
                  for row in report["differing"]]  # fmt: skip
    lines += _curves(report["curves"])
    if report["plot"]:
        lines.append(f"  picture     {near(report['plot'], arguments)}")
    return [line.rstrip() for line in lines]


def _measured(report: Report) -> list[str]:
    rows = {(row["data_of"], row["model"]): row for row in report["measured"]}
    names = [one["name"] for one in report["models"]]
    lines = ["measured now on what is held out"]
    lines += [_row(f"data of {data}", *(_figure(rows[data, model]) for model in names)) for data in names]
    for row in report["measured"]:
        if row["problem"]:
            lines += textwrap.wrap(f"{row['model']} on the data of {row['data_of']}: {row['problem']}", _TEXT,
                                   initial_indent="  ", subsequent_indent="    ")  # fmt: skip
    return lines


def _figure(row: Mapping[str, Any]) -> str:
    if row["loss"] is None:
        return "-"
    if row["accuracy"] is not None:
        return f"{row['accuracy']:.2%} right"
    return f"{row['bits_per_byte']:.3f} bits/byte"


def _curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Each loss by step as a row of bars, on one scale for both."""
    losses = {name: [float(row["loss"]) for row in rows] for name, rows in curves.items() if rows}
    if not losses:
        return []
    low, high = min(map(min, losses.values())), max(map(max, losses.values()))
    lines = ["loss by step"]
    for name, values in losses.items():
        count = min(_WIDTH, len(values))
        parts = [values[len(values) * part // count : len(values) * (part + 1) // count] for part in range(count)]
        means = [sum(part) / len(part) for part in parts]
        last = curves[name][-1]
        lines.append(
            f"  {name:<18} {bars(means, low, high)}  {values[0]:.2f} -> {values[-1]:.2f} at step {last['step']:,}"
        )
    return lines


def lineage(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    """Where something came from, each link on a line, what is missing at the end."""
    lines = []
    if (sample := report["sample"]) is not None:
        how = f"{sample['engine']} {sample['precision']}, seed {sample['seed']}"
        lines.append(fact("sample", f"{near(sample['file'], arguments)} ({how}): {sample['text']!r}"))
    if (model := report["model"]) is not None:
        copied = "" if model["copied_from"] is None else f", copied from `{model['copied_from']['name']}`"
        lines.append(fact("model", f"`{model['name']}` ({model['id']}){copied}"))
    if (checkpoint := report["checkpoint"]) is not None:
        lines.append(fact("checkpoint", f"step {checkpoint['step']:,}, weights {checkpoint['weights_sha256'][:12]}"))
        kept = [f"{row['name']}{'' if row['kept'] else ' (not kept)'}" for row in checkpoint["before"]]
        lines += [fact("", f"went on from {', then '.join(kept)}")] if kept else []
    if (run := report["run"]) is not None:
        job = "" if run["job"] is None else f", job {run['job']}"
        lines.append(fact("run", f"{run['id']} ({run['kind'] or 'unknown'}, {run['outcome'] or 'no result'}{job})"))
    chosen = [row for row in report["settings"] if row["layer"] != _UNCHOSEN and row["value"] is not None]
    if report["settings"]:
        shown = ", ".join(f"{row['key']}={row['value']}" for row in chosen) or "none"
        lines += _folded("settings", f"{len(report['settings'])} in all; chosen: {shown}")
    lines += _sources(report, arguments)
    return lines + [line for text in report["missing"] for line in _folded("missing", text)]


def _sources(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    dataset, documents = report["dataset"], report["documents"]
    if dataset is None:
        return []
    lines = [fact("dataset", f"version {dataset['version']}, {dataset['id'][:12]}, {dataset['bytes']:,} bytes")]
    for row in documents[:_DOCUMENTS]:
        gone = ", the file is gone" if row["file"] is not None and not row["file"]["there"] else ""
        source = near(row["source"], arguments)
        lines.append(fact("document", f"{row['id'][:12]} from {source} ({row['bytes']:,} bytes{gone})"))
    more = len(documents) - _DOCUMENTS
    return [*lines, fact("", f"and {more:,} more documents; --json lists them")] if more > 0 else lines


def _folded(label: str, text: str) -> list[str]:
    first, rest = fact(label, ""), " " * 14
    return textwrap.wrap(
        text, _TEXT, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def _row(label: str, first: str, second: str) -> str:
    return f"  {label:<34} {first:<20} {second}"


COMPARISON_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "compare": _compare,
}
