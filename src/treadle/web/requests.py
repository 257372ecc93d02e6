"""Bodies of requests: JSON that is what it seems, and not too much of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from treadle.web.answers import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BYTES = 8 * 1024 * 1024
_GREATEST = 2**63 - 1
_DEEPEST = 16


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "Send JSON, with the header `Content-Type: application/json`.", "Usage")
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            raise RefusedError(413, "The request is larger than 8 MB. Send files as uploads.", "Usage")
        pieces.append(piece)
    return parse_object(b"".join(pieces))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object, refusing what no text, number or path can be."""
    if not body:
        return {}
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"The body is not JSON ({str(error)[:80]}). Send an object.", "Usage") from error
    if not isinstance(value, dict):
        raise RefusedError(400, "The body is not a JSON object. Send the arguments by name.", "Usage")
    _check(value, 0)
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _check(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise RefusedError(422, "The arguments are nested too deeply.", "Usage")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int) and abs(value) > _GREATEST:
        raise RefusedError(422, "A number is too large; the greatest is 2^63 - 1.", "Usage")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)


def _check_text(value: str) -> None:
    if "\0" in value:
        raise RefusedError(422, "A text holds a NUL character, which no name and no file may have.", "Usage")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(422, "A text holds half a surrogate pair, which is no character.", "Usage") from error
