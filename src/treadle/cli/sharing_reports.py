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
    return [*lines, *wrapped(f"Next: {report['next_step']}", 2)]


def _import(report: Report, _: Mapping[str, Any]) -> list[str]:
    shape = f"{report['family']}, {units.count(report['parameters'])} parameters, {report['vocabulary']:,} token ids"
    lines = [f"Model `{report['name']}` ({shape}) is ready."]
    lines.append(fact("from", f"{report['format']}, {report['sha256'][:12]}, licence {report['licence'] or 'unknown'}"))
    lines.append(fact("context", f"{report['context']:,} positions, {report['tokenizer']} tokenizer"))
    for note in report["notes"]:
        lines += wrapped(note, 2)
    return [*lines, f"Next: {report['next_step']}"]


SHARING_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "export": _export,
    "import": _import,
}
