"""One question to one address, and every way it can end; redirects are told, not followed.

Limits: time in all, bytes after unpacking, header bytes (100 KiB, by h11), content types. A body of a type that is not
wanted, or of a status that has none, is not read.
"""

from __future__ import annotations

import ssl
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import httpcore

from treadle.data.crawl.addresses import CheckedBackend, Deadline, PrivateAddressError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

Trouble = Literal[
    "private_address",
    "no_address",
    "no_connection",
    "insecure",
    "timed_out",
    "too_large",
    "content_type",
    "bad_answer",
    "unreadable",
    "parser_crashed",
    "parser_stalled",
]
PAGES: Final[Mapping[str, str]] = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "application/pdf": ".pdf",
}
"""Types that are read as pages, and the extension that a file of such a type has."""
LISTS: Final = frozenset(
    {"application/xml", "text/xml", "application/rss+xml", "application/atom+xml", "application/rdf+xml"}
)
"""Types of sitemaps and feeds."""
_PACKED: Final = frozenset({"application/gzip", "application/x-gzip"})
_PASSING: Final = frozenset({"no_connection", "timed_out", "bad_answer"})
_CHUNK: Final = 1 << 16


class FetchError(Exception):
    """No answer, or one that was not read."""

    def __init__(self, trouble: Trouble, said: str) -> None:
        super().__init__(said)
        self.trouble: Trouble = trouble
        self.said = said

    @property
    def passing(self) -> bool:
        """Whether asking again later may help."""
        return self.trouble in _PASSING


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name; the first of each."""
    type: str
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, or nothing."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one answer may take."""

    seconds: float
    bytes: int
    types: frozenset[str] | None = frozenset((*PAGES, *LISTS, *_PACKED))
    """Content types whose bodies are read; None for any."""
    cut: bool = False
    """Read the beginning of a body that is larger, instead of none of it."""


class Fetcher:
    """Asks hosts over kept connections; many threads may use it at the same time."""

    def __init__(self, agent: str, *, allow_private: bool, connections: int) -> None:
        """`agent` is how we name ourselves."""
        self._deadline = Deadline()
        self._agent = agent
        backend = CheckedBackend(self._deadline, allow_private=allow_private)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=4 * connections,
            max_keepalive_connections=2 * connections,
            keepalive_expiry=15.0,
            network_backend=backend,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def fetch(self, address: str, limits: FetchLimits, etag: str = "", last_modified: str = "") -> Answer:
        """Ask for an address, only for news if `etag` or `last_modified` is known; raises `FetchError`."""
        self._deadline.at = time.monotonic() + limits.seconds
        try:
            return self._fetch(address, limits, etag, last_modified)
        except PrivateAddressError as error:
            said = f"{error} Crawl it with --allow-private if it is yours."
            raise FetchError("private_address", said) from error
        except UnknownNameError as error:
            raise FetchError("no_address", str(error)) from error
        except httpcore.ConnectError as error:
            trouble: Trouble = "insecure" if "SSL" in str(error) or "certificate" in str(error) else "no_connection"
            raise FetchError(trouble, str(error) or "No connection.") from error
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise FetchError("timed_out", f"No whole answer within {limits.seconds:g} s.") from error
        except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.UnsupportedProtocol, OSError) as error:
            raise FetchError("bad_answer", str(error) or type(error).__name__) from error
        except (zlib.error, ValueError) as error:
            raise FetchError("bad_answer", f"The answer is damaged: {error}.") from error

    def _fetch(self, address: str, limits: FetchLimits, etag: str, last_modified: str) -> Answer:
        headers = [
            (b"Host", address.partition("://")[2].partition("/")[0].encode("ascii")),
            (b"User-Agent", self._agent.encode("ascii")),
            (b"Accept", b"text/html,application/xhtml+xml,text/plain,text/markdown,application/pdf,*/*;q=0.1"),
            (b"Accept-Encoding", b"gzip, deflate"),
        ]
        if etag:
            headers.append((b"If-None-Match", etag.encode("latin-1", "ignore")))
        if last_modified:
            headers.append((b"If-Modified-Since", last_modified.encode("latin-1", "ignore")))
        with self._pool.stream("GET", address, headers=headers) as response:
            found: dict[str, str] = {}
            for name, value in response.headers:
                found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip())
            type_ = found.get("content-type", "").partition(";")[0].strip().lower() or "text/html"
            if response.status != 200:
                body = _drained(response.iter_stream()) if response.status in {301, 302, 303, 304, 307, 308} else b""
                return Answer(response.status, found, type_, body)
            if limits.types is not None and type_ not in limits.types:
                raise FetchError("content_type", f"It is {type_[:60]}, which is not read.")
            if not limits.cut:
                _check_length(found, limits.bytes)
            unpack = _unpacker(found.get("content-encoding", ""))
            return Answer(200, found, type_, _read(response.iter_stream(), unpack, limits))


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds that a server asks us to wait, if it does so in a way that can be read."""
    value = answer.header("retry-after")
    if not value:
        return None
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def _drained(chunks: Iterable[bytes]) -> bytes:
    """Read a short body, so that the connection can be kept, and forget it."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > _CHUNK:
            break
    return b""


def _check_length(headers: Mapping[str, str], most: int) -> None:
    length = headers.get("content-length", "")
    if length.isdigit() and len(length) < 20 and int(length) > most:
        raise FetchError("too_large", f"It has {int(length):,} bytes; more than {most:,} are not read.")


def _read(chunks: Iterable[bytes], unpack: Callable[[bytes], Iterable[bytes]], limits: FetchLimits) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        for part in unpack(chunk):
            size += len(part)
            parts.append(part)
            if size > limits.bytes:
                if limits.cut:
                    return b"".join(parts)[: limits.bytes]
                raise FetchError("too_large", f"It has more than {limits.bytes:,} bytes, which are not read.")
    return b"".join(parts)


def _unpacker(encoding: str) -> Callable[[bytes], Iterable[bytes]]:
    """Unpacks chunk by chunk, never much at once, so that a bomb is found out before it has gone off."""
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return lambda chunk: (chunk,)
    if name not in {"gzip", "x-gzip", "deflate"}:
        raise FetchError("bad_answer", f"It is packed as {name[:40]}, for which nobody asked.")
    packed = zlib.decompressobj(wbits=47 if name != "deflate" else 15)

    def unpack(chunk: bytes) -> Iterable[bytes]:
        nonlocal packed
        rest = chunk
        while rest:
            try:
                yield packed.decompress(rest, _CHUNK)
            except zlib.error:
                if name != "deflate" or packed.unconsumed_tail:
                    raise
                packed = zlib.decompressobj(wbits=-15)  # some servers leave the header of zlib out
                continue
            rest = packed.unconsumed_tail
            if packed.eof:
                return

    return unpack
