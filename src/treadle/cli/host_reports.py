"""How answers about hosts read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_MOST_ROWS = 10
_DAY = 86_400.0


def _one(host: Report) -> list[str]:
    queue = ", ".join(f"{number} {state}" for state, number in host["jobs"].items() if number)
    lines = [f"{host['name']} · {host['place']}{f' · {queue}' if queue else ''}"]
    lines.append(fact("folder", host["root"]))
    if host["fingerprint"]:
        lines.append(fact("key", host["fingerprint"]))
    image = f"{host['image_name']} ({host['image'][:19]})" if host["image"] else "none is pinned"
    lines.append(fact("containers", f"{host['runtime']}, image {image}" if host["runtime"] else "none"))
    price = f", {host['price']:g} an hour" if host["price"] else ""
    lines.append(fact("runs", f"{units.counted(host['slots'], 'slot')}, GPUs of each: {host['gpus']}{price}"))
    return lines


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["hosts"]:
        return ["No hosts yet. Add one with: treadle host add NAME USER@ADDRESS"]
    return [line for host in report["hosts"] for line in _one(host)]


def _changed(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [*_one(report), report["said"]]


def _said(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [report["said"]]


def _doctor(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["hosts"]:
        return _list(report, _)
    lines = []
    for host in report["hosts"]:
        lines.append(f"{host['name']} · {host['place']}")
        for row in host["findings"]:
            mark = "ok" if row["ok"] else ("MISSING" if row["needed"] else "note")
            lines.append(fact(row["name"], f"{mark:<8}{row['found']}"))
            lines += [part for text in row["remedy"].splitlines() for part in wrapped(text, 14)]
    return lines


def _image(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [
        f"Runs on `{report['host']}` use {report['image_name']} from now on.",
        fact("digest", report["image"]),
        fact("took", units.duration(report["seconds"])),
    ]


def _checkpoints(report: Report, _: Mapping[str, Any]) -> list[str]:
    total = f"{units.counted(report['files'], 'file')}, {units.size(report['bytes'])}"
    lines = [f"{report['folder']} on `{report['host']}`: {total}, in {units.duration(report['seconds'])}."]
    for kind in ("missing", "changed", "refused", "unknown"):
        rows = report[kind]
        if rows:
            lines.append(fact(kind, f"{len(rows):,}"))
            lines += [part for row in rows[:_MOST_ROWS] for part in wrapped(row, 4)]
    if report["md5_agree"]:
        lines.append(fact("MD5", f"{units.counted(report['md5_agree'], 'file')} as upstream's table says"))
    lines.append(fact("manifest", report["manifest"]))
    return lines


def _run_row(run: Report) -> str:
    job = "-" if run["job"] is None else run["job"]
    here = {True: "yes", False: "no", None: "unknown"}[run["collected"]]
    days = units.duration(run["age"]) if run["age"] < _DAY else f"{run['age'] / _DAY:.0f} days"
    return f"{run['id']:<28} {run['state']:<10} {units.size(run['bytes']):>9} {days:>9} {job:>5}  {here}"


def _runs(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["runs"]:
        return [f"No runs lie in {report['folder']} on `{report['host']}`."]
    lines = [f"{'folder':<28} {'state':<10} {'size':>9} {'age':>9} {'job':>5}  collected"]
    lines += [_run_row(run) for run in report["runs"]]
    total = f"{units.counted(len(report['runs']), 'folder')} in {report['folder']}: {units.size(report['bytes'])}."
    if report["removable"]:
        size = units.size(report["removable_bytes"])
        total += f" {report['removable']} are over and collected ({size}): treadle host runs remove {report['host']}"
    return [*lines, *wrapped(total, 0)]


def _runs_removed(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [_run_row(run) for run in report["removed"][:_MOST_ROWS]] if report["dry_run"] else []
    lines += [part for one in report["kept"] for part in wrapped(f"kept {one['id']}: {one['reason']}", 2)]
    return [*lines, report["said"]]


HOST_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "host.add": _changed,
    "host.list": _list,
    "host.doctor": _doctor,
    "host.remove": _said,
    "host.image.build": _image,
    "host.image.pull": _image,
    "host.image.pin": _changed,
    "host.checkpoints.download": _checkpoints,
    "host.checkpoints.verify": _checkpoints,
    "host.checkpoints.manifest": _checkpoints,
    "host.runs.list": _runs,
    "host.runs.stop": _said,
    "host.runs.remove": _runs_removed,
}
