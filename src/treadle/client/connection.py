"""Requests to a `treadle ui`: JSON in, JSON or a stream of events out, errors as the ones that the operation raised."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from treadle.base import errors
from treadle.base.errors import ResourceError, TreadleError, UsageError
from treadle.base.hashing import hash_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 4 * 1024 * 1024
_TRIES = 6


class RemoteError(TreadleError):
    """What the server refused or failed to do, where no error of ours has that name."""

    def __init__(self, message: str, kind: str, status: int) -> None:
        """Carry the server's words, its kind of error, and the status."""
        super().__init__(message)
        self.kind, self.status = kind, status


class Connection:
    """The way to one server. Each request has a connection of its own, so any number of threads may use it."""

    def __init__(self, url: str, token: str | None) -> None:
        """Remember the way; nothing is asked yet."""
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.username:
            raise UsageError(f"{url} is no address of a Treadle; give one such as http://127.0.0.1:8080.")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._token = token
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port

    def json(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON is any tree of plain values
        """Ask and read the answer as JSON."""
        with self._asked(method, path, None if body is None else json.dumps(body).encode()) as answer:
            return json.loads(answer.read())

    def events(self, operation: str, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Carry out an operation that streams; raises what it raised. Whoever stops reading stops the work."""
        body = json.dumps(given).encode()
        with self._asked("POST", f"/api/v1/operations/{operation}", body, seconds=None) as answer:
            for line in answer:
                if not line.startswith(b"data: "):
                    continue
                event = json.loads(line[6:])
                if event["type"] == "error":
                    raise error_of(event["data"], 409)
                yield event

    def news(self, cursor: str) -> Iterator[dict[str, Any]]:
        """Everything that happens there, behind `cursor`; each event carries the cursor behind it."""
        path, here = "/api/v1/events?cursor=" + quote(cursor), cursor
        with self._asked("GET", path, None, seconds=60.0) as answer:  # a sign of life comes every 15 s
            for line in answer:
                if line.startswith(b"id: "):
                    here = line[4:].decode().strip()
                elif line.startswith(b"data: "):
                    yield {**json.loads(line[6:]), "cursor": here}

    def upload(self, path: Path, name: str, into: str | None = None) -> str:
        """Send a file in pieces, going on after interruptions; returns the upload's id."""
        size = path.stat().st_size
        facts = {"name": name, "size": size, "sha256": hash_file(path)}
        begun = self.json("POST", "/api/v1/uploads", facts | ({} if into is None else {"into": into}))
        identity, offset, tries = str(begun["id"]), int(begun["offset"]), 0
        with path.open("rb") as file:
            while offset < size:
                file.seek(offset)
                try:
                    offset = self._piece(identity, offset, file)
                    tries = 0
                except (ResourceError, RemoteError) as error:
                    tries += 1
                    if tries == _TRIES or (isinstance(error, RemoteError) and error.kind != "Offset"):
                        raise
                    time.sleep(0.1 * 2**tries)  # the server may just be finding out that the last piece broke off
                    offset = int(self.json("GET", f"/api/v1/uploads/{identity}")["offset"])
        return identity

    def _piece(self, identity: str, offset: int, file: IO[bytes]) -> int:
        headers = {"upload-offset": str(offset), "content-type": "application/octet-stream"}
        with self._asked("PATCH", f"/api/v1/uploads/{identity}", file.read(_PIECE), headers) as answer:
            return int(json.loads(answer.read())["offset"])

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str] | None = None,
        *,
        seconds: float | None = 120.0,
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is not an error, to be read inside the context."""
        if self._secure:
            way: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=seconds, context=ssl.create_default_context()
            )
        else:
            way = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        sent = {"content-type": "application/json", "connection": "close", **(headers or {})}
        if self._token is not None:
            sent["authorization"] = f"Bearer {self._token}"
        try:
            with contextlib.closing(way):
                way.request(method, path, body, sent)
                answer = way.getresponse()
                if answer.status >= 400:
                    raise error_of(_facts(answer.read()), answer.status)
                yield answer
        except (OSError, http.client.HTTPException) as error:
            raise ResourceError(
                f"{self.url} cannot be reached or broke off ({str(error) or type(error).__name__}). "
                "Is `treadle ui` running there?"
            ) from error


def _facts(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"error": "The answer is not one of a Treadle.", "kind": "Http"}


def error_of(told: dict[str, Any], status: int) -> TreadleError:
    """The error that the operation raised there, by its name."""
    kind, message = str(told.get("kind", "")), str(told.get("error", ""))
    found = getattr(errors, f"{kind}Error", None)
    if isinstance(found, type) and issubclass(found, TreadleError):
        made: TreadleError = found(message)
        return made
    return RemoteError(message, kind, status)
