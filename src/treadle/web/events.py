"""The stream of everything that happens, as Server-Sent Events: history first, then what is new."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from treadle.base.errors import TreadleError
from treadle.web.security import who_asks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from treadle.web.hub import Hub, Watcher

router = APIRouter()
_ALIVE_SECONDS = 15.0
_AGAIN = b"retry: 1000\n\n"


@router.get("/api/v1/events")
async def events(
    request: Request,
    cursor: Annotated[str, Query(max_length=2000)] = "",
    last_event_id: Annotated[str, Header(max_length=2000)] = "",
) -> StreamingResponse:
    """Everything that happens in the workspace: `job.*` from the queues, `run.*` from what runs.

    Each event is JSON with `type`, `time`, `job`, `queue`, `model`, `run` and `data`; its id is a cursor. With a cursor
    (or `Last-Event-ID`, which browsers send by themselves) it goes on behind it; without one, what the running jobs
    said last comes first.
    """
    hub: Hub = request.app.state.hub
    watcher, missed = await run_in_threadpool(hub.watch, asyncio.get_running_loop(), last_event_id or cursor)

    async def stream() -> AsyncIterator[bytes]:
        try:
            yield _AGAIN
            async for message in iterate_in_threadpool(missed):
                yield message
            async for message in _live(request, watcher):
                yield message
        finally:
            hub.leave(watcher)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _live(request: Request, watcher: Watcher) -> AsyncIterator[bytes]:
    """What comes, until the client is too slow or its session is over."""
    checked = time.monotonic()
    while not watcher.dropped:
        yield await watcher.take(_ALIVE_SECONDS) or b": alive\n\n"
        if time.monotonic() - checked >= _ALIVE_SECONDS:
            checked = time.monotonic()
            if not _still_known(request):
                return


def _still_known(request: Request) -> bool:
    """Whether who began to watch may still come in: keys are taken away, sessions end, first users are made."""
    state = request.app.state
    try:
        who_asks(request, state.place, state.accounts, state.sessions)
    except TreadleError:
        return False
    return True
