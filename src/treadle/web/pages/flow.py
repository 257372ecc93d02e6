"""The pages of the notes: the board, one task, findings, the log, reviews, and the files as they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from treadle.base.errors import NotFoundError
from treadle.web.door import door
from treadle.web.markdown import rendered
from treadle.web.page import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.web.door import Door

router = APIRouter()
PRIORITIES: Final = ("critical", "high", "medium", "low")
_WORDS: Final = {"To do": "open", "In progress": "going", "Waiting": "waiting", "Done": "done"}
_SHOWN_ENTRIES = 200


@router.get("/flow")
def board(request: Request, priority: str = "", owner: str = "") -> Response:
    """The board: tasks in columns by state, within a column by priority."""
    ask = door(request)
    found = _notes(ask, "flow.board")
    if found is None:
        return page(request, "flow_none.html")
    owners = sorted({task["owner"] for tasks in found["columns"].values() for task in tasks if task["owner"]})
    columns = [
        {"name": name, "key": _WORDS[name], "tasks": _chosen(tasks, priority, owner)}
        for name, tasks in found["columns"].items()
    ]
    return page(
        request,
        "flow.html",
        columns=columns,
        owners=owners,
        priorities=PRIORITIES,
        priority=priority,
        owner=owner,
        focus=ask.call("flow.focus"),
        suggested=ask.call("flow.next", number=3)["tasks"],
        today=found["today"],
    )


@router.get("/flow/task")
def task(request: Request, id: str) -> Response:  # noqa: A002 - the name in the address
    """One task with its fields, its parts, what is wrong with it, and its text as it reads."""
    found = door(request).call("flow.show", task=id)
    return page(
        request,
        "flow_task.html",
        task=found["task"],
        details=found,
        text=rendered(found["text"], found["task"]["path"]),
        priorities=PRIORITIES,
    )


@router.get("/flow/findings")
def findings(request: Request, preview: str = "") -> Response:
    """What is wrong in the notes, by kind, and what mending it would change."""
    ask = door(request)
    found = _notes(ask, "flow.check")
    if found is None:
        return page(request, "flow_none.html")
    kinds = [
        {
            "code": code,
            "about": about,
            "findings": [one for one in found["findings"] if one["code"] == code],
            "fixable": sum(one["fixable"] for one in found["findings"] if one["code"] == code),
        }
        for code, about in found["explanations"].items()
    ]
    shown = preview in found["explanations"] and ask.identity.may("operator")
    would = ask.call("flow.check", fix=True, dry_run=True, only=preview) if shown else None
    return page(request, "flow_findings.html", kinds=kinds, preview=preview, would=would)


@router.get("/flow/log")
def log(request: Request) -> Response:
    """The log, newest first, and which reviews are due."""
    ask = door(request)
    found = _notes(ask, "flow.read")
    if found is None:
        return page(request, "flow_none.html")
    entries = [{**one, "text": rendered(one["text"], found["path"] or "")} for one in found["log"][:_SHOWN_ENTRIES]]
    return page(request, "flow_log.html", entries=entries, reviews=ask.call("flow.review")["horizons"])


@router.get("/flow/read")
def read(request: Request, path: str | None = None) -> Response:
    """One file of the notes as it reads."""
    ask = door(request)
    found = _notes(ask, "flow.read") if path is None else ask.call("flow.read", path=path)
    if found is None:
        return page(request, "flow_none.html")
    return page(
        request,
        "flow_read.html",
        path=found["path"],
        files=found["files"],
        text=rendered(found["text"], found["path"] or ""),
    )


def _notes(ask: Door, operation: str) -> dict[str, Any] | None:
    """What an operation says of the notes; None where there are none yet."""
    try:
        return ask.call(operation)
    except NotFoundError:
        return None


def _chosen(tasks: Sequence[dict[str, Any]], priority: str, owner: str) -> list[dict[str, Any]]:
    return [
        task
        for task in tasks
        if priority in ("", task["priority"]) and owner.casefold() in ("", (task["owner"] or "").casefold())
    ]
