"""The application: pages, API and static files behind one guard."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import treadle
from treadle.base.errors import TreadleError
from treadle.store.accounts import AccountsFile
from treadle.web import api, events, uploads
from treadle.web.answers import RefusedError, error_answer, error_facts, status_of
from treadle.web.hardware import hardware_watched
from treadle.web.hub import Hub
from treadle.web.page import page
from treadle.web.security import Guard, Place
from treadle.web.sessions import Sessions
from treadle.web.upload_files import remove_old

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from treadle.store.workspace import WorkspaceFolder

_FOLDER = Path(__file__).parent


def create_app(workspace: WorkspaceFolder, place: Place) -> FastAPI:
    """The whole web door of one workspace as an ASGI application."""
    hub = Hub(workspace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        remove_old(workspace)
        async with hardware_watched(workspace):
            yield
        hub.close()

    app = FastAPI(
        title="Treadle", version=treadle.__version__, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    accounts = AccountsFile(workspace)
    app.state.workspace = workspace
    app.state.hub = hub
    app.state.accounts = accounts
    app.state.sessions = Sessions(accounts)
    app.state.place = place
    for module in (api, events, uploads):
        app.include_router(module.router)
    for name in page_modules():
        app.include_router(importlib.import_module(f"treadle.web.pages.{name}").router)
    app.mount("/static", StaticFiles(directory=_FOLDER / "static"), name="static")
    for kind in (TreadleError, OSError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, cast("Any", _explain))
    app.add_middleware(cast("Any", Guard), place=place, accounts=accounts, sessions=app.state.sessions)
    return app


def page_modules() -> list[str]:
    """Names of the modules of pages, each of which holds a `router`."""
    return [module.name for module in pkgutil.iter_modules([str(_FOLDER / "pages")])]


def _explain(request: Request, error: Exception) -> Response:
    """Tell what went wrong: programs as JSON, people as a page."""
    if isinstance(error, HTTPException):
        said = {404: f"There is nothing at {request.url.path}. See the navigation."}.get(
            error.status_code, error.detail
        )
        error = RefusedError(error.status_code, str(said), "Http")
    elif isinstance(error, RequestValidationError):
        wrong = error.errors()[0]
        error = RefusedError(422, f"`{wrong['loc'][-1]}`: {wrong['msg']}.", "Usage")
    if request.method not in {"GET", "HEAD"} or request.url.path.startswith(("/api/", "/static/")):
        return error_answer(error)
    if "identity" not in request.scope.get("state", {}):
        return error_answer(error)
    return page(request, "error.html", status=status_of(error), facts=error_facts(error))
