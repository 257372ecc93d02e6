"""The page of training: live curves, samples, what runs now, and the form for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from treadle.base.errors import TreadleError
from treadle.web.door import door
from treadle.web.forms import fields_of
from treadle.web.page import chosen_model, page
from treadle.web.setting_fields import near_rows, setting_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.web.door import Door

router = APIRouter()
LENGTHS = ("epochs", "more", "steps", "minutes")
_DRAWN = 8
"""Runs of the model that are drawn at first: each goes on where the one before ended."""


@router.get("/train")
def train(request: Request) -> Response:
    """Training of the chosen model."""
    ask = door(request)
    listed = ask.call("list")["models"]
    name, _ = chosen_model(request, [one["name"] for one in listed])
    if name is None:
        return page(request, "train.html", models=listed, shown=None)
    return page(request, "train.html", models=listed, **_context(ask, name))


def _context(ask: Door, name: str) -> dict[str, Any]:
    shown = ask.call("show", model=name)
    runs = ask.call("runs.list", model=name, kind="train", count=100)["runs"]
    others = ask.call("runs.list", kind="train", count=100)["runs"]
    now = _now(ask, name, runs)
    drawn = [run["id"] for run in runs if run["step"] is not None][:_DRAWN]
    if now["job"] and now["job"]["run"] and now["job"]["run"] not in drawn:
        drawn.insert(0, now["job"]["run"])
    return {
        "shown": shown,
        "runs": runs,
        "others": [run for run in others if run["model"] != name],
        "drawn": drawn,
        "now": now,
        "lengths": fields_of("train", only=LENGTHS),
        "sections": _sections(ask, name, shown),
        "ready": bool(shown["documents"]["accepted"]),
    }


def _sections(ask: Door, name: str, shown: Mapping[str, Any]) -> list[Any]:
    """Fields of the settings; none where a file of settings is wrong, which the page then says."""
    try:
        rows = ask.call("config.show", model=name)["settings"]
    except TreadleError:
        return []
    return setting_fields(near_rows(rows, ask.workspace.root), shown["limits"], has_weights=bool(shown["checkpoints"]))


def _now(ask: Door, name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The training that runs or waits, or else the last one that can go on; and whether the queue is paused."""
    listed = ask.call("jobs.list", model=name, count=50)
    trainings = [job for job in listed["jobs"] if job["kind"] == "train"]
    active = [job for job in trainings if job["state"] in {"running", "stopping"}]
    waiting = [job for job in trainings if job["state"] in {"ready", "blocked"}]
    past = [job for job in trainings if job["state"] in {"done", "failed", "cancelled"}]
    job = next(iter([*active, *waiting, *past]), None)
    run = next((run for run in runs if job is not None and run["id"] == job["run"]), None)
    return {
        "job": job,
        "run": run or next(iter(runs), None),
        "paused": bool(listed["paused"]),
        "waiting": len(waiting) - (0 if active else 1 if waiting else 0),
        "can_go_on": job is not None and job["state"] in {"failed", "cancelled"} and job["run"] is not None,
    }
