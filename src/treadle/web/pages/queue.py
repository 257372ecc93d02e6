"""The page of the queue: what runs, what waits and why, what has ended, what is queued again and again."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from treadle.jobs.asked import said
from treadle.web.door import door
from treadle.web.page import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.web.door import Door

router = APIRouter()
_SHOWN_PAST = 20


@router.get("/queue")
def queue(request: Request, count: int = _SHOWN_PAST) -> Response:
    """All queues; the script of the page fetches it again whenever a job has changed, and takes the lists out."""
    ask = door(request)
    listed = ask.call("jobs.list", count=max(1, min(count, 500)))
    worker = ask.call("worker.status", remind=True)
    return page(
        request,
        "queue.html",
        running=[_row(job) for job in listed["jobs"] if job["state"] in {"running", "stopping"}],
        queues=_queues(listed["jobs"], listed["paused"]),
        past=[_row(job) for job in listed["jobs"] if job["state"] in {"done", "failed", "cancelled"}],
        paused=listed["paused"],
        worker=worker,
        schedules=ask.call("schedule.list"),
        count=count,
    )


@router.get("/queue/{job}")
def one_job(request: Request, job: int) -> Response:
    """One job: what was asked, what happened, what it printed; and a form to change it while it waits."""
    ask = door(request)
    found = ask.call("jobs.show", job=job)
    run = found["job"]["run"] if found["job"]["kind"].startswith(("transfer", "video")) else None
    return page(
        request,
        "queue_job.html",
        shown=[] if run is None else ask.call("gallery.list", words=[run])["items"],
        job=_row(found["job"]),
        asked=found["asked"],
        settings=_settings(found["payload"]),
        has_settings="settings" in found["payload"],
        result=_plain(found["result"] or {}),
        events=[event for event in found["events"] if event["type"] != "progress"],
        log=_log(ask, found["job"]),
    )


def _row(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job with what the page says of it in place of names of states."""
    name = job["model"] or job["queue"].partition(":")[2]
    state = "held" if job["held"] else job["state"]
    return {**job, "owner": name, "shown": state, "waits_for": _reason(job["waits_for"] or "")}


def _reason(waits: str) -> str:
    """Why a job waits, without the command that a button stands for, and without the number that stands beside it."""
    said = waits.partition("; `treadle ")[0]
    return said.partition("of its queue")[2].lstrip(", ") if said.startswith("number ") else said


def _queues(jobs: Sequence[Mapping[str, Any]], paused: Sequence[str]) -> list[dict[str, Any]]:
    """What waits, queue by queue: the lines of both lanes, in which jobs can be moved, and what is not in line."""
    names: dict[str, str] = {}
    lists: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for job in jobs:
        if job["state"] in {"ready", "blocked"}:
            lists[job["queue"]].append(_row(job))
            names[job["queue"]] = job["model"] or job["queue"]
    found = [
        {
            "id": queue,
            "name": names[queue],
            "paused": not {names[queue], queue}.isdisjoint(paused),
            "lines": [line for lane in ("heavy", "light") if (line := [job for job in rows if _stands_in(job, lane)])],
            "aside": [job for job in rows if job["state"] == "blocked"],
        }
        for queue, rows in lists.items()
    ]
    empty = [name for name in paused if name not in {*names, *names.values()}]
    found += [{"id": name, "name": name, "paused": True, "lines": [], "aside": []} for name in empty]
    return sorted(found, key=lambda one: str(one["name"]))


def _stands_in(job: Mapping[str, Any], lane: str) -> bool:
    return (job["state"], job["lane"]) == ("ready", lane)


def _settings(payload: Mapping[str, Any]) -> list[dict[str, str]]:
    """The snapshot of settings, flat, each with where it came from."""
    snapshot = dict(payload.get("settings") or {})
    origins = snapshot.pop("origins", {})
    snapshot.pop("choices", None)
    return [{"key": key, "value": said(value), "origin": str(origins.get(key, ""))} for key, value in _flat(snapshot)]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _plain(tree: Mapping[str, Any]) -> dict[str, str]:
    """The short facts of an answer."""
    return {
        key.replace("_", " "): said(value)
        for key, value in tree.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


def _log(ask: Door, job: Mapping[str, Any]) -> dict[str, Any]:
    """What its processes printed; nothing where it has not begun."""
    if job["run"] is None or (job["started"] is None and job["state"] in {"ready", "blocked"}):
        return {"text": "", "end": 0}
    return ask.call("jobs.log", job=job["id"])
