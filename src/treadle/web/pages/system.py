"""The page of the machine: what it is busy with, workers, disk, plugins, and who may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from treadle.web.door import door, offered
from treadle.web.page import page

if TYPE_CHECKING:
    from treadle.web.door import Door

router = APIRouter()
_MINUTES = (15, 60, 360, 1440)
_CLEANED = {kind: kind for kind in ("packed", "runs", "uploads", "stills", "trash", "leftovers")}
"""Kinds of files to what `system.clean` calls them."""


@router.get("/system")
def system(request: Request, minutes: int = 60) -> Response:
    """The machine and the workspace as a whole."""
    ask = door(request)
    return page(
        request,
        "system.html",
        machine=ask.call("system.status"),
        history=ask.call("system.history", minutes=float(min(max(minutes, 1), 1440))),
        minutes=minutes,
        spans=_MINUTES,
        worker=ask.call("worker.status", remind=True),
        disk=ask.call("system.disk"),
        cleaned=_CLEANED,
        plugins=ask.call("plugins.list"),
        checks=ask.call("doctor")["checks"],
        accounts=_accounts(ask),
    )


def _accounts(ask: Door) -> dict[str, Any] | None:
    """Users and keys, for those who keep them."""
    if not ask.identity.may("admin") or "user.list" not in offered():
        return None
    return {"users": ask.call("user.list")["users"], "programs": ask.call("key.list")["keys"]}
