"""The page of the models: cards, and of one model all that is known of it and can be done to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from treadle.config.compose import CONF
from treadle.config.presets import options
from treadle.web.door import door, offered
from treadle.web.forms import fields_of
from treadle.web.page import page
from treadle.web.setting_fields import near_rows, setting_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.web.door import Door
    from treadle.web.forms import Field

router = APIRouter()
_SHARING = ("export", "import")
_SIZES = ("nano", "tiny", "small", "medium", "base")
"""From the smallest up; sizes of plugins stand behind them."""


@router.get("/models")
def models(request: Request, model: str | None = None) -> Response:
    """All models as cards; with `?model=NAME` that one in full."""
    ask = door(request)
    if model is not None:
        return page(request, "model.html", **_one(ask, model))
    listed = ask.call("list")
    jobs = ask.call("jobs.list", state="open", count=200)["jobs"]
    return page(
        request,
        "models.html",
        cards=[{**one, "jobs": _counts(jobs, one["name"])} for one in listed["models"]],
        damaged=listed["damaged"],
        of_experiments=listed["of_experiments"],
        sharing=_sharing(),
        new_fields=_new_fields(),
    )


def _one(ask: Door, name: str) -> dict[str, Any]:
    shown = ask.call("show", model=name)
    rows = near_rows(ask.call("config.show", model=name)["settings"], ask.workspace.root)
    has_weights = bool(shown["checkpoints"])
    refused = shown["documents"]["refused"]
    return {
        "shown": shown,
        "rows": rows,
        "sections": setting_fields(rows, shown["limits"], has_weights=has_weights),
        "limits": _grouped(shown["limits"]),
        "has_weights": has_weights,
        "refused": sorted(refused.items()),
        "best": next((row for row in shown["checkpoints"] if "best" in row["roles"]), None),
        "jobs": ask.call("jobs.list", model=name, state="open")["jobs"],
        "runs": ask.call("runs.list", model=name, count=12)["runs"],
        "classifies": shown["unit"] == "pictures" and has_weights,
        "sharing": _sharing(),
    }


def _new_fields() -> list[Field]:
    """The fields for a new model; its size and family are chosen among those that there are."""
    known = {"size": sorted(options(CONF, "size"), key=_by_size), "family": options(CONF, "family")}
    fields = fields_of("new", only=("name", "size", "family", "tokenizer", "standing", "overrides"))
    return [
        replace(field, kind="choice", choices=tuple(known[field.name])) if field.name in known else field
        for field in fields
    ]


def _by_size(name: str) -> tuple[int, str]:
    return (_SIZES.index(name) if name in _SIZES else len(_SIZES)), name


def _counts(jobs: list[dict[str, Any]], name: str) -> dict[str, int]:
    own = [job for job in jobs if job["model"] == name]
    running = sum(job["state"] in {"running", "stopping"} for job in own)
    return {"running": running, "waiting": len(own) - running}


def _grouped(limits: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Limits with the same words, together."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for limit in limits:
        words = (str(limit["possible"]), str(limit["because"]))
        row = found.setdefault(words, {"possible": words[0], "because": words[1], "settings": []})
        row["settings"].append({"key": limit["key"], "value": "none" if limit["value"] is None else limit["value"]})
    return list(found.values())


def _sharing() -> set[str]:
    """Which of the operations that move models in and out are there."""
    return {name for name in _SHARING if name in offered()}
