"""The first page: what runs, what is next, what came out last; on an empty workspace, the first three clicks."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse

from treadle.web.door import door
from treadle.web.page import page

router = APIRouter()


@router.get("/", response_class=HTMLResponse)
def home(request: Request) -> HTMLResponse:
    """Show the workspace at a glance."""
    here = door(request)
    listed = here.call("list")
    jobs = here.call("jobs.list", state="all", count=6)
    active = [job for job in jobs["jobs"] if job["state"] in {"running", "stopping"}]
    waiting = [job for job in jobs["jobs"] if job["state"] in {"ready", "blocked"}]
    ended = [job for job in jobs["jobs"] if job["ended"]]
    ended.sort(key=lambda job: job["ended"], reverse=True)
    return page(
        request,
        "home.html",
        models=listed["models"],
        units={model["name"]: model["unit"] for model in listed["models"]},
        damaged=listed["damaged"],
        active=active,
        waiting=waiting,
        ended=ended[:6],
        paused=jobs["paused"],
    )
