"""What stands before the HTTP door: the token, and the headers that tell a browser's page from a program."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Receive, Send], Awaitable[None]]


class OnlyWithToken:
    """An ASGI application that lets through what names this host, comes from no foreign page, and has the token.

    A page of a web site can make a browser on this machine ask `127.0.0.1`; it cannot set these headers freely.
    """

    def __init__(self, inner: Application, token: str, port: int) -> None:
        """Guard `inner`, which listens on `port` of the loopback address."""
        names = ("127.0.0.1", "localhost", "[::1]")
        self._inner = inner
        self._token = token.encode()
        self._hosts = {f"{name}:{port}" for name in names}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason for refusing it."""
        if scope["type"] == "http":
            status, reason = self._refusal({name.decode("latin-1"): value for name, value in scope["headers"]})
            if status:
                await _refuse(send, status, reason)
                return
        await self._inner(scope, receive, send)

    def _refusal(self, headers: dict[str, bytes]) -> tuple[int, str]:
        if headers.get("host", b"").decode("latin-1") not in self._hosts:
            return 421, "This server answers to 127.0.0.1 and localhost only."
        origin = headers.get("origin")
        if origin is not None and origin.decode("latin-1") not in self._origins:
            return 403, "Pages of other sites may not use this server."
        scheme, _, given = headers.get("authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
            return 401, "Send the header `Authorization: Bearer TOKEN` with the token that the server was started with."
        return 0, ""


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"ok": False, "error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
