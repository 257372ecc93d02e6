"""The pages of runs: all of them with filters, curves and comparison; one of them in full; what came of what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from treadle.base.errors import TreadleError
from treadle.web.door import door
from treadle.web.page import page
from treadle.web.setting_fields import near_rows

router = APIRouter()
OUTCOMES = ("all", "done", "stopped", "failed", "running", "waiting", "lost", "unknown")
_DRAWN = 4


@router.get("/runs")
def runs(
    request: Request,
    of: str = "",
    kind: str = "train",
    outcome: str = "all",
    where: str = "",
    at: Annotated[str, Query(max_length=12)] = "",
    count: Annotated[int, Query(ge=1, le=2000)] = 100,
) -> Response:
    """Runs, newest first, as the filters in the address say."""
    ask = door(request)
    asked: dict[str, Any] = {
        "model": of or None,
        "kind": kind or None,
        "outcome": outcome if outcome in OUTCOMES else "all",
        "where": where.split(),
        "at": int(at) if at.isdecimal() else None,
        "count": count,
    }
    problem = ""
    found: dict[str, Any] = {"runs": [], "total": 0}
    try:
        found = ask.call("runs.list", **asked)
    except TreadleError as error:  # a filter that names nothing: the page stays, and says so
        problem = str(error)
    drawn = [run["id"] for run in found["runs"] if run["kind"] == "train" and run["step"] is not None][:_DRAWN]
    return page(
        request,
        "runs.html",
        found=found,
        problem=problem,
        drawn=drawn,
        outcomes=OUTCOMES,
        filters={"of": of, "kind": kind, "outcome": outcome, "where": where, "at": at, "count": count},
    )


@router.get("/runs/lineage")
def lineage(request: Request) -> Response:
    """What came of what, drawn by the page's script and told as a table."""
    asked = request.query_params.get("model")
    return page(request, "lineage.html", graph=door(request).call("runs.lineage", model=asked), asked=asked)


@router.get("/runs/{run}")
def one_run(request: Request, run: str) -> Response:
    """One run in full."""
    ask = door(request)
    found = ask.call("runs.show", run=run)
    job = found["run"]["job"]
    log = ""
    if job is not None and found["run"]["outcome"] != "waiting":
        try:
            log = ask.call("jobs.log", job=job)["text"]
        except TreadleError:
            log = ""
    found["settings"] = near_rows(found["settings"], ask.workspace.root)
    changed = [row for row in found["settings"] if row["origin"] not in {"built-in", ""}]
    return page(request, "run.html", found=found, one=found["run"], changed=changed, log=log[-20_000:])
