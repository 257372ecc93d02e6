"""How a terminal shows models that leave and come in, and what they get right of a list of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]


def _export(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    lines = [f"`{report['model']}`, step {report['step']:,}, is in {near(report['path'], arguments)}."]
    lines += [
        fact("file", f"{near(row['path'], arguments)} ({units.size(row['bytes'])}, {row['sha256'][:12]})")
        for row in report["files"]
    ]
    lines.append(fact("format", f"{report['format']}, {report['precision']}"))
    if report["kept_wider"]:
        lines.append(fact("", f"{units.counted(len(report['kept_wider']), 'tensor')} kept with more bits"))
    if report["cost"] is not None:
        cost = report["cost"]
        lines.append(fact("cost", f"{cost['nats_per_token']:+.4f} nats/token on {cost['targets']:,} held-out tokens"))
    lines.append(fact("licence", report["licence"]))
    return [*lines, f"Next: {report['next_step']}"]  # in one line, so that it can be copied


def _import(report: Report, _: Mapping[str, Any]) -> list[str]:
    shape = f"{report['family']}, {units.count(report['parameters'])} parameters, {report['vocabulary']:,} token ids"
    lines = [f"Model `{report['name']}` ({shape}) is ready."]
    lines.append(fact("from", f"{report['format']}, {report['sha256'][:12]}, licence {report['licence'] or 'unknown'}"))
    lines.append(fact("context", f"{report['context']:,} positions, {report['tokenizer']} tokenizer"))
    for note in report["notes"]:
        lines += wrapped(note, 2)
    return [*lines, f"Next: {report['next_step']}"]


def answers(figures: Report) -> list[str]:
    """What a model got right of a list of questions."""
    computed = f"{figures['engine']} {figures['precision']}"
    lines = [f"{figures['model']} · checkpoint at step {figures['step']:,} · {computed}"]
    lines += _figures("all", figures)
    for group, row in figures["groups"].items():
        lines += _figures(group, row)
    for reason, number in figures["skipped"].items():
        lines.append(fact("left out", f"{units.counted(number, 'question')}: {reason}"))
    return lines


def _figures(label: str, row: Report) -> list[str]:
    if not row["answered"]:
        return [fact(label, "no question could be read")]
    error = "" if row["standard_error"] is None else f" ± {row['standard_error']:.1%}"
    said = f"{row['accuracy']:.1%}{error} right, {row['accuracy_normalised']:.1%} by length, chance {row['chance']:.1%}"
    return [fact(label, f"{said} ({row['answered']:,})")]


def answers_beside(tasks: Report) -> list[str]:
    """Two models on the same questions."""
    beside, names = tasks["beside"], [figures["model"] for figures in tasks["models"]]
    lines = ["questions"]
    for name, figures in zip(names, tasks["models"], strict=True):
        lines += _figures(name, figures)
    one, other = (
        f"only {name} {beside[key]:,}" for name, key in zip(names, ("only_first", "only_second"), strict=True)
    )
    lines.append(
        fact("", f"of {beside['questions']:,}: both {beside['both']:,}, neither {beside['neither']:,}, {one}, {other}")
    )
    return [*lines, fact("", f"as uneven by chance alone: {beside['chance']:.2f}")]


SHARING_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "export": _export,
    "import": _import,
}
