"""What stands before every request: whom the server answers, who asks, and that a change was meant."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse

from treadle.base.listening import is_loopback
from treadle.web.answers import RefusedError, error_answer
from treadle.web.door import Identity
from treadle.web.sessions import COOKIE, LOG_IN_FIRST, csrf_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from treadle.store.accounts import AccountsFile
    from treadle.web.sessions import Sessions

CSRF_HEADER: Final = "x-treadle-csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = ("/login", "/static/", "/api/v1/session")
"""What may be had without having logged in."""
_POLICY = (
    b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    b"form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server listens, and the names that it may be called by."""

    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def answers_to(self, host: str) -> bool:
        """Whether a Host header names this server.

        A page elsewhere can make its own name lead to this address (DNS rebinding), so unknown names are refused; an
        address in figures cannot be made to lead anywhere else.
        """
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        given = {one.lower() for one in self.names}
        plain = port is None and (self.port in {0, 80} or name in given)  # a name may be that of a proxy before it
        if port != self.port and not plain:
            return False
        known = {"localhost", *given}
        if not self.local:
            known.add(socket.gethostname().lower())
            return name in known or _is_address(name)
        return name in known or (_is_address(name) and is_loopback(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """An ASGI application that lets through what may pass, with who asks in `scope["state"]["identity"]`."""

    def __init__(self, inner: ASGIApp, place: Place, accounts: AccountsFile, sessions: Sessions) -> None:
        """Stand before `inner`."""
        self._inner, self._place, self._accounts, self._sessions = inner, place, accounts, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason for refusing it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _HEADERS if pair[0] not in present)]
            await send(message)

        request = Request(scope)
        try:
            identity = who_asks(request, self._place, self._accounts, self._sessions)
            _check_origin(request, identity)
        except RefusedError as error:
            answer: Any = error_answer(error, {"www-authenticate": "Bearer"} if error.status == 401 else None)
            if error.status == 401 and _is_page(request):
                answer = RedirectResponse(f"/login?then={quote(_with_query(request))}", 303)
            await answer(scope, receive, guarded)
            return
        scope.setdefault("state", {})["identity"] = identity
        await self._inner(scope, receive, guarded)


def who_asks(request: Request, place: Place, accounts: AccountsFile, sessions: Sessions) -> Identity:
    """Who a request comes from; raises `RefusedError` where nobody is known who may come in."""
    if not place.answers_to(request.headers.get("host", "")):
        raise RefusedError(
            421, "This server does not answer to that name. Start it with `treadle ui --name NAME`.", "Host"
        )
    token = _token(request)
    if token is not None:
        key = accounts.read().key_of(token)
        if key is None:
            raise RefusedError(401, "No key has this token. Make one with `treadle key add NAME`.", "Unauthorized")
        return Identity(f"key {key.name}", key.level, local=False)
    if not accounts.read().users:
        if not place.local:
            raise RefusedError(401, "There are no users any more. Make one: treadle user add NAME", "Unauthorized")
        return Identity("you", "admin", csrf_of(place.secret))
    found = sessions.who(request.cookies.get(COOKIE, ""))
    if found is not None:
        return found
    if request.url.path.startswith(_OPEN):
        return Identity("nobody", "viewer", local=False)
    raise RefusedError(401, LOG_IN_FIRST, "Unauthorized")


def _check_origin(request: Request, identity: Identity) -> None:
    """A browser's request that changes something must come from a page of ours and carry its token."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    foreign = origin is not None and not _own(origin, request)
    if (foreign or site == "cross-site") and (request.method not in _SAFE or not _is_page(request)):
        raise RefusedError(403, "Pages of other sites may not use this server.", "Origin")
    if request.method in _SAFE or _token(request) is not None:
        return
    from_browser = origin is not None or site is not None or COOKIE in request.cookies
    if request.method == "POST" and request.url.path == "/api/v1/session":
        return  # the log-in itself: there is nothing yet that a foreign page could use
    given = request.headers.get(CSRF_HEADER, "")
    if from_browser and not (identity.csrf and hmac.compare_digest(given.encode(), identity.csrf.encode())):
        raise RefusedError(403, "The page's token is missing or old. Reload the page and try again.", "Csrf")


def _token(request: Request) -> str | None:
    """The key that a program sends; what a proxy asks of a browser (`Basic`) is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _own(origin: str, request: Request) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == request.headers.get("host", "").lower()


def _is_page(request: Request) -> bool:
    return request.method in _SAFE and not request.url.path.startswith(("/api/", "/static/"))


def _with_query(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
