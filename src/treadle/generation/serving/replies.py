"""An answer on its way: it is sent as it is written, and nobody writes for a client that has gone."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, NotFoundError, NotReadyError, ResourceError, TreadleError, UsageError
from treadle.generation.generate import Burst
from treadle.generation.scheduler import BusyError, Finished
from treadle.generation.serving.answers import error_body, event
from treadle.generation.serving.requests import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import Receive, Scope, Send

    from treadle.generation.scheduler import Told
    from treadle.generation.serving.answers import Answer, Choice
    from treadle.generation.serving.inbox import Inbox
    from treadle.generation.serving.metrics import Metrics

_MOST_AT_ONCE: Final = 512
"""Tokens of one chunk, about: making one takes the loop a few milliseconds at most."""
_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a scheduler for one request."""

    choices: Sequence[Choice]
    inbox: Inbox
    leave: Callable[[], None]
    """Forgets what is not written yet, and lets go of the model."""
    began: float
    """When the request came, by the monotonic clock."""
    route: str
    """As the metrics name it."""


class Reply:
    """A response whose body is written by an engine."""

    def __init__(self, asked: Asked, answer: Answer, metrics: Metrics, *, stream: bool) -> None:
        """Send `answer` whole, or as a stream of events."""
        self._asked, self._answer, self._metrics, self._stream = asked, answer, metrics, stream
        self._started = False
        self._first = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the interface
        """Send until all is written or the client has gone."""
        work = asyncio.create_task(self._work(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                self._metrics.gone += 1
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            self._asked.leave()

    async def _work(self, send: Send) -> None:
        try:
            await (self._send_stream(send) if self._stream else self._send_whole(send))
        except TreadleError as error:
            status, body, headers = refusal(error)
            if self._started:  # too late for another status: the stream tells it, and ends without its last event
                await send({"type": "http.response.body", "body": event(body), "more_body": False})
            else:
                self._count(status)
                await _send_all(send, status, [_JSON, *headers], json.dumps(body).encode())
        else:
            self._metrics.whole.add(time.monotonic() - self._asked.began)

    async def _send_whole(self, send: Send) -> None:
        while any(choice.finished is None for choice in self._asked.choices):
            await self._changed()
        body = await asyncio.to_thread(self._answer.whole, self._asked.choices)
        self._count(200)
        await _send_all(send, 200, [_JSON], body)

    async def _send_stream(self, send: Send) -> None:
        going = True
        while going:
            changed = await self._changed()
            going = any(choice.finished is None for choice in self._asked.choices)
            body = b"".join(self._answer.chunk(choice) for choice in changed if choice.worth_telling)
            if not going:
                body += self._answer.last(self._asked.choices)
            with self._asked.inbox.blocked():
                if not self._started:
                    self._count(200)
                    await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
                    self._started = True
                if body:
                    await send({"type": "http.response.body", "body": body, "more_body": going})
            await asyncio.sleep(0)  # others' turn, however much there is to send here

    def _count(self, status: int) -> None:
        self._metrics.requests[self._asked.route, status] += 1

    async def _changed(self) -> list[Choice]:
        """Wait for news and enter them; returns the choices that have some. Raises what went wrong."""
        changed: dict[int, Choice] = {}
        for index, told in await self._asked.inbox.take(_MOST_AT_ONCE):
            choice = changed[index] = self._asked.choices[index]
            _enter(choice, told)
        if self._first:
            self._first = False
            self._metrics.first_token.add(time.monotonic() - self._asked.began)
        return list(changed.values())


def _enter(choice: Choice, told: Told) -> None:
    if isinstance(told, Burst):
        choice.text.append(told.text)
        choice.ids += told.ids
        choice.logs += told.log_probabilities
        choice.likely += told.alternatives
    elif isinstance(told, Finished):
        choice.finished = told
    else:
        raise told


async def _gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_all(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    size = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, size]})
    await send({"type": "http.response.body", "body": body})


def refusal(error: TreadleError | BadRequestError) -> tuple[int, dict[str, Any], list[tuple[bytes, bytes]]]:
    """Status, body and headers that tell an error in OpenAI's form."""
    if isinstance(error, BadRequestError):
        return error.status, error_body(str(error), "invalid_request_error", error.param, error.code), []
    if isinstance(error, BusyError):
        again = [(b"retry-after", str(error.retry_after).encode())]
        return 503, error_body(str(error), "overloaded_error", code="overloaded"), again
    if isinstance(error, NotFoundError | NotReadyError):
        return 404, error_body(str(error), "invalid_request_error", "model", "model_not_found"), []
    if isinstance(error, UsageError | DataError):
        return 400, error_body(str(error), "invalid_request_error"), []
    status = 503 if isinstance(error, ResourceError) else 500
    return status, error_body(str(error), "server_error"), []
