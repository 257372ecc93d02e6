"""How answers about the machine, the disk and plugins read in a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import bars, fact
from treadle.cli.places import near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_BARS = 60


def _status(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    sets = ", ".join(report["instruction_sets"]) or "no vector sets"
    load = "" if report["load"] is None else f", load {report['load']:.2f}"
    return [
        f"Treadle {report['version']} on {report['host']}, Python {report['python']}",
        fact("processor", f"{report['processor']}, {report['cores']} cores ({sets}){load}"),
        fact("memory", f"{units.size(report['memory_available'])} free of {units.size(report['memory_total'])}"),
        fact("disk", f"{units.size(report['disk_free'])} free"),
        fact("workspace", f"{near(report['workspace'], arguments)} ({report['database']})"),
    ]


def _history(report: Report, _: Mapping[str, Any]) -> list[str]:
    times = report["time"]
    if not times:
        return ["Nothing was sampled then. Workers and treadle ui take samples while they live."]
    every = max(1, -(-len(times) // _BARS))
    busy = [max(report["processor"][place : place + every]) for place in range(0, len(times), every)]
    used = [
        max(report["memory_used"][place : place + every]) / report["memory_total"][place]
        for place in range(0, len(times), every)
    ]
    span = f"{_clock(times[0])} to {_clock(times[-1])}"
    return [
        fact("processor", f"{bars(busy, 0, 1)}  at most {max(busy):.0%}"),
        fact("memory", f"{bars(used, 0, 1)}  at most {max(used):.0%}"),
        fact("disk", f"{units.size(report['disk_free'][-1])} free"),
        fact("time", span),
    ]


def _disk(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"{units.size(report['total'])} in this workspace, {units.size(report['free'])} free on its disk"]
    for row in sorted(report["kinds"], key=lambda row: -row["bytes"]):
        clean = f"  ({row['clean']})" if row["clean"] else ""
        lines.append(f"  {units.size(row['bytes']):>9}  {row['kind']:<10} {row['what']}{clean}")
    lines += [f"  {units.size(row['bytes']):>9}  of it model `{row['model']}`" for row in report["models"][:10]]
    return lines


def _clean(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    rows = [f"  {units.size(row['bytes']):>9}  {near(row['path'], arguments)}" for row in report["entries"][:20]]
    return [*rows, report["said"]]


def _plugins(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{row['kind']:<16} {row['name']:<20} {row['package'] or '-'} {row['version'] or ''}"
        + (" (stands behind the built-in of that name)" if row["replaces"] else "")
        for row in report["plugins"]
    ] or ["No plugins are installed."]
    lines.append("What can be plugged in, by the group of entry points, and what is built in:")
    return lines + [f"  {row['group']:<28} {', '.join(row['built_in'])}" for row in report["kinds"]]


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


SYSTEM_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "system.status": _status,
    "system.history": _history,
    "system.disk": _disk,
    "system.clean": _clean,
    "plugins.list": _plugins,
}
