"""The page to log in, where there are accounts."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from treadle.web.door import door
from treadle.web.page import page

router = APIRouter()


@router.get("/login", response_class=HTMLResponse)
def login(request: Request, then: str = "/") -> Response:
    """Ask for name and password, unless somebody is logged in."""
    ours = then.startswith("/") and not then.startswith(("//", "/\\")) and then.isprintable()  # browsers skip tabs
    target = then if ours else "/"
    if door(request).identity.name != "nobody":
        return RedirectResponse(target, 303)
    return page(request, "login.html", then=target)
