"""How answers about jobs, workers and schedules read in a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_ROW = "{id:>5}  {kind:<{kinds}} {owner:<{owners}} {state:<10} {detail}"


def detached(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    """A job that was queued and left to itself."""
    state = "runs" if report["state"] == "running" else "is in its queue"
    place = f" as number {report['place']}" if report["place"] else ""
    owner = f" of `{arguments['model']}`" if arguments.get("model") else ""
    return [
        *(part for note in report.get("notes", ()) for part in wrapped(note, 0)),
        f"Job {report['job']} ({report['kind']}{owner}) {state}{place}.",
        f"Next: treadle jobs follow {report['job']}",
    ]


def other(report: Report, _: Mapping[str, Any]) -> list[str]:
    """What came of a job whose kind has no view of its own."""
    shown = [f"  {key:<13} {value}" for key, value in report.items() if isinstance(value, str | int | float)]
    return [f"Job {report['job']} is {report['outcome']}.", *shown]


def _list(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    if not report["jobs"] and (arguments.get("model") or arguments.get("state", "all") != "all"):
        return ["No such jobs; `treadle jobs list` shows all.", *(f"Paused: {queue}" for queue in report["paused"])]
    if not report["jobs"]:
        return ["No jobs. Commands such as treadle feed and treadle train queue them."]
    wide = {
        "kinds": max(9, *(len(row["kind"]) for row in report["jobs"])),
        "owners": max(18, *(len(row["model"] or row["queue"]) for row in report["jobs"])),
    }
    lines = [_ROW.format(id="job", kind="kind", owner="model, queue", state="state", detail="", **wide)]
    lines += [_line(row, wide) for row in report["jobs"]]
    lines += [f"Paused: {queue}" for queue in report["paused"]]
    if not report["worker"] and any(row["state"] in {"ready", "blocked"} for row in report["jobs"]):
        lines.append("No worker lives, so nothing starts. Start one: treadle worker run")
    return [line.rstrip() for line in lines]


def _line(row: Report, wide: dict[str, int]) -> str:
    now = time.time()
    if row["state"] in {"running", "stopping"}:
        detail = f"for {units.duration(now - row['started'])}"
    elif row["waits_for"]:
        detail = row["waits_for"]
    else:
        detail = f"{units.duration(now - (row['ended'] or now))} ago"
        detail += f": {row['error'].splitlines()[0]}" if row["error"] else ""
    owner = row["model"] or row["queue"]
    return _ROW.format(id=row["id"], kind=row["kind"], owner=owner, state=row["state"], detail=detail, **wide)


def _show(report: Report, _: Mapping[str, Any]) -> list[str]:
    job = report["job"]
    lines = [f"Job {job['id']} · {job['kind']} · {job['model'] or job['queue']} · {job['state']}"]
    labels = ("waits_for", "error", "priority", "attempts", "recoveries")
    lines += [fact(label.replace("_", " "), job[label]) for label in labels if job[label]]
    lines += [fact(label, said) for label, said in report["asked"].items()]
    lines += [fact(event["type"], _moment(event["time"])) for event in report["events"]]
    if report["folder"]:
        lines.append(fact("folder", report["folder"]))
    return lines


def _log(report: Report, _: Mapping[str, Any]) -> list[str]:
    return report["text"].splitlines() or [f"Nothing was printed ({report['path']})."]


def _said(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [report["said"]]


def _status(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = (
        []
        if report["live"]
        else ["No worker lives here. One starts with the next job; to keep one: treadle worker run"]
    )
    for row in report["workers"]:
        command = f", asked to {row['command']}" if row["command"] else ""
        lines.append(f"worker {row['host']} pid {row['facts'].get('pid')}, since {_moment(row['started'])}{command}")
    running = ", ".join(map(str, report["running"])) or "none"
    lines.append(f"jobs running: {running}; waiting: {report['waiting']}")
    gone = "ended without notice; its jobs went back into their queues."
    lines += [f"A worker on {row['host']} {gone}" for row in report["lost"]]
    if report["lost"]:
        lines.append("To look before anything starts: treadle worker stop, then treadle worker run --paused")
    return lines


def _install(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [f"Written: {report['path']}", "To enable it:", *(f"  {command}" for command in report["commands"])]


def _schedules(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{row['name']:<16} {row['cron']:<18} {row['kind']:<9} {row['model'] or '-':<16} "
        f"next {_moment(row['next_fire'])}"
        for row in report["schedules"]
    ] or ["No schedules."]
    return [*lines, report["warning"]] if report["warning"] else lines


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


QUEUE_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "detached": detached,
    "jobs.list": _list,
    "jobs.show": _show,
    "jobs.log": _log,
    "jobs.stop": _said,
    "jobs.discard": _said,
    "jobs.retry": _said,
    "jobs.pause": _said,
    "jobs.resume": _said,
    "jobs.move": _said,
    "jobs.hold": _said,
    "jobs.release": _said,
    "jobs.prioritise": _said,
    "jobs.prune": _said,
    "jobs.import-queue": _said,
    "jobs.edit": _said,
    "schedule.add": _schedules,
    "schedule.list": _schedules,
    "schedule.remove": _schedules,
    "worker.run": _said,
    "worker.start": _said,
    "worker.status": _status,
    "worker.drain": _said,
    "worker.stop": _said,
    "worker.install": _install,
}
