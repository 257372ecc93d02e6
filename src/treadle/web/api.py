"""The HTTP API: every operation of the table under `/api/v1/operations/NAME`, with the same arguments and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from treadle.base.errors import TreadleError
from treadle.web.answers import JsonAnswer, RefusedError, error_facts, to_json
from treadle.web.door import door, level_for, offered
from treadle.web.openapi import arguments_schema, description
from treadle.web.requests import json_body
from treadle.web.sessions import COOKIE, LASTS_SECONDS, LOG_IN_FIRST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

router = APIRouter()
STREAMS: Final = ("interactive", "following")
_END: Final = object()


@router.get("/api/v1/operations")
def table(request: Request) -> Response:
    """All operations that may be called, with the schema of their arguments."""
    may = door(request).identity.may
    found = [
        {
            "name": entry.name,
            "method": entry.method,
            "kind": entry.kind,
            "effect": entry.effect,
            "level": level_for(entry),
            "summary": entry.summary,
            "description": entry.description,
            "examples": list(entry.examples),
            "schema": arguments_schema(entry),
        }
        for entry in offered().values()
        if may(level_for(entry, {}))
    ]
    return JsonAnswer({"operations": found})


@router.get("/api/v1/openapi.json")
def openapi(request: Request) -> Response:
    """The description of this API, for clients and their generators."""
    return JsonAnswer(description(str(request.base_url).rstrip("/")))


@router.post("/api/v1/operations/{name}")
async def operate(request: Request, name: str) -> Response:
    """Carry out an operation: its answer, the job that was queued, or a stream of events."""
    given = await json_body(request)
    here = door(request)
    if here.entry(name, given).kind not in STREAMS:
        return JsonAnswer(await run_in_threadpool(lambda: here.call(name, **given)))
    events = await run_in_threadpool(here.events, name, given)
    first = await run_in_threadpool(_next, events)  # what is wrong with the request is told by the status
    headers = {"cache-control": "no-store"}
    return StreamingResponse(_stream(events, first), media_type="text/event-stream", headers=headers)


def _next(events: Iterator[dict[str, Any]]) -> Any:  # noqa: ANN401 - an event or the end
    return next(events, _END)


async def _stream(events: Generator[dict[str, Any], None, None], first: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - or the end
    """The events one by one; a client that goes away stops the work."""
    event = first
    waited = 0
    try:
        while event is not _END:
            if event["type"] == "waiting":  # nothing new: now and then a sign of life, so that a lost client is seen
                waited += 1
                if waited % 250 == 0:
                    yield b": alive\n\n"
            else:
                yield _sse(event)
            event = await run_in_threadpool(_next, events)
    except (TreadleError, OSError) as error:
        yield _sse({"type": "error", "data": error_facts(error)})
    finally:
        await run_in_threadpool(events.close)


def _sse(event: dict[str, Any]) -> bytes:
    return f"data: {to_json(event)}\n\n".encode("utf-8", "backslashreplace")


@router.get("/api/v1/session")
def session(request: Request) -> Response:
    """Who asks, what they may, and the token that pages send with changes."""
    identity = door(request).identity
    if identity.name == "nobody":
        raise RefusedError(401, LOG_IN_FIRST, "Unauthorized")
    told = {"name": identity.name, "level": identity.level, "csrf": identity.csrf, "accounts": not identity.local}
    return JsonAnswer(told)


@router.post("/api/v1/session")
async def log_in(request: Request) -> Response:
    """Log in with `name` and `password`; the answer sets the cookie of the session."""
    given = await json_body(request)
    name, password = given.get("name"), given.get("password")
    if not isinstance(name, str) or not isinstance(password, str) or len(given) != 2:
        raise RefusedError(422, "Send `name` and `password`, both texts.", "Usage")
    if len(password) > 1000 or len(name) > 100:
        raise RefusedError(422, "The name or the password is too long.", "Usage")
    address = request.client.host if request.client else "?"
    identity = await run_in_threadpool(request.app.state.sessions.log_in, name, password, address)
    answer = JsonAnswer({"name": name})
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, identity, max_age=LASTS_SECONDS, httponly=True, samesite="strict", secure=secure, path="/"
    )
    return answer


@router.delete("/api/v1/session")
def log_out(request: Request) -> Response:
    """End the session."""
    request.app.state.sessions.log_out(request.cookies.get(COOKIE, ""))
    answer = JsonAnswer({"ok": True})
    answer.delete_cookie(COOKIE, path="/")
    return answer
