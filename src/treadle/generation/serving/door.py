"""What stands before every request: names of this server, pages of other sites, and keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from treadle.base.listening import is_loopback
from treadle.generation.serving.answers import error_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send


class Door:
    """An ASGI application that lets through who has a key, or, where none are needed, programs of this machine.

    Without keys a page of a web site could make a browser on this machine ask, so requests must name this machine and
    come from no foreign page.
    """

    def __init__(self, inner: ASGIApp, who: Callable[[str], str | None] | None) -> None:
        """Guard `inner`; `who` tells whose key a token is, and None that no keys are needed."""
        self._inner, self._who = inner, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its client's name, or answer it with the reason for refusing it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client, status, reason = self._client(headers, scope)
        if status:
            await _refuse(send, status, reason)
            return
        scope.setdefault("state", {})["client"] = client
        await self._inner(scope, receive, send)

    def _client(self, headers: dict[str, str], scope: Scope) -> tuple[str, int, str]:
        if self._who is not None:
            if scope["path"] == "/health":
                return "", 0, ""
            scheme, _, token = headers.get("authorization", "").partition(" ")
            name = self._who(token.strip()) if scheme.lower() == "bearer" else None
            return (
                (name, 0, "")
                if name
                else ("", 401, "Send the header `Authorization: Bearer KEY` with a key of this server.")
            )
        if not _names_this_machine(headers.get("host", "")):
            return "", 421, "Without keys this server answers to 127.0.0.1 and localhost only."
        origin = headers.get("origin")
        if origin is not None and not _names_this_machine(origin.partition("://")[2]):
            return "", 403, "Pages of other sites may not use this server."
        return (scope.get("client") or ("",))[0], 0, ""


def _names_this_machine(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


async def _refuse(send: Send, status: int, reason: str) -> None:
    kind = "authentication_error" if status == 401 else "permission_error"
    body = json.dumps(error_body(reason, kind, code="invalid_api_key" if status == 401 else None)).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
