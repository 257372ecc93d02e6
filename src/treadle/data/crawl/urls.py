"""Addresses of pages: one spelling for each, and the signs of a trap.

Two addresses that name the same page by the rules of RFC 3986 (section 6.2) get the same text: case of scheme and
host, default ports, percent-encoding, dot segments, fragments.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import urljoin, urlsplit

from treadle.base.errors import UsageError

MOST_CHARACTERS: Final = 8192
"""No address that is longer is even looked at."""
_PORTS: Final = {"http": 80, "https": 443}
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_SIX = re.compile(r"[0-9a-f:.]+")
_LEGAL_PATH = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]")
_LEGAL_QUERY = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")
_SPACES = re.compile(r"[\t\r\n]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_TRACKING = re.compile(
    r"(utm_\w+|fbclid|gclid|gclsrc|dclid|msclkid|yclid|mc_cid|mc_eid|igshid|_hsenc|_hsmi|mkt_tok|ref_src|vero_id"
    r"|oly_enc_id|oly_anon_id|wickedid|twclid|_openstat|phpsessid|jsessionid|sid)",
    re.IGNORECASE,
)
_MOST_SEGMENTS: Final = 24
_MOST_PARAMETERS: Final = 24
_REPEATS: Final = 3


class AddressError(UsageError):
    """A text that is no address of a page."""


@lru_cache(maxsize=1 << 16)
def normalise(address: str, *, strip_tracking: bool = False) -> str:
    """The one spelling of an address; raises `AddressError` for what is none of http or https."""
    text = _SPACES.sub("", address.strip(" \t\r\n\f\v\0"))
    if len(text) > MOST_CHARACTERS:
        raise AddressError(f"{text[:60]}... is too long for an address.")
    try:
        parts = urlsplit(text)
        scheme, name, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressError(f"{_shown(text)} is no address: {error}.") from error
    if scheme not in _PORTS:
        raise AddressError(f"{_shown(text)} is no address of a web page: it must begin with http:// or https://.")
    host = _host(name, text)
    place = "" if port in (None, _PORTS[scheme]) else f":{port}"
    path = _without_dots(_escaped(parts.path, _LEGAL_PATH)) or "/"
    query = _escaped(parts.query, _LEGAL_QUERY)
    if strip_tracking and query:
        query = "&".join(part for part in query.split("&") if not _TRACKING.fullmatch(part.partition("=")[0]))
    return f"{scheme}://{host}{place}{path}{'?' if query else ''}{query}"


def resolve(base: str, link: str, *, strip_tracking: bool = False) -> str | None:
    """The address that `link` on the page `base` leads to; None if it leads to no page."""
    if not link or link[0] == "#":
        return None
    scheme = _SCHEME.match(link)
    if scheme and scheme[1].lower() not in _PORTS:
        return None
    try:
        whole = link if scheme and link[len(scheme[0]) :].startswith("//") else _joined(base, link)
        return normalise(whole, strip_tracking=strip_tracking)
    except (AddressError, ValueError):
        return None


@lru_cache(maxsize=1 << 16)
def _joined(base: str, link: str) -> str:
    return urljoin(base, link[:MOST_CHARACTERS])


def origin_of(address: str) -> str:
    """`SCHEME://HOST[:PORT]` of a normalised address."""
    end = address.index("/", 8)
    return address[:end]


def path_of(address: str) -> str:
    """Path and query of a normalised address."""
    return address[address.index("/", 8) :]


def name_of(address: str) -> str:
    """Host name of a normalised address, without port."""
    host = origin_of(address).partition("://")[2]
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def folder_of(address: str) -> str:
    """What counts against the quota of a folder: the path without its last part, or all of it before a query."""
    path, question, _ = path_of(address).partition("?")
    return f"{path}?" if question else path[: path.rindex("/") + 1]


def trap(address: str, most_characters: int) -> str | None:
    """Why an address looks as if there were no end of its kind; None if it does not."""
    if len(address) > most_characters:
        return "too_long"
    path, _, query = path_of(address).partition("?")
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > _MOST_SEGMENTS or query.count("&") >= _MOST_PARAMETERS:
        return "too_many_parts"
    if len(segments) > _REPEATS and _repeats(segments):
        return "repeated_parts"
    return None


def _repeats(segments: list[str]) -> bool:
    """Whether one part comes more than three times, or a run of parts three times in a row."""
    if any(segments.count(segment) > _REPEATS for segment in set(segments)):
        return True
    for length in range(2, len(segments) // _REPEATS + 1):
        for first in range(len(segments) - _REPEATS * length + 1):
            run = segments[first : first + length]
            if segments[first : first + _REPEATS * length] == run * _REPEATS:
                return True
    return False


def _host(name: str, text: str) -> str:
    name = name.rstrip(".")
    if ":" in name:
        if _SIX.fullmatch(name) is None:
            raise AddressError(f"{_shown(text)} names a host that cannot exist.")
        return f"[{name}]"
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii").lower()
        except UnicodeError as error:
            raise AddressError(f"{_shown(text)} names a host that cannot exist.") from error
    if _HOST.fullmatch(name) is None or len(name) > 253:
        raise AddressError(f"{_shown(text)} names a host that cannot exist.")
    return name


def _escaped(text: str, illegal: re.Pattern[str]) -> str:
    """Percent-encode what must be, and nothing else."""
    if "%" in text:
        text = _ESCAPE.sub(_escape, text)
    return illegal.sub(_encode, text) if illegal.search(text) else text


def _escape(match: re.Match[str]) -> str:
    if match[1] is None:
        return "%25"
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else f"%{match[1].upper()}"


def _encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))


def _without_dots(path: str) -> str:
    if "/." not in path:
        return path
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if len(kept) > 1:
                kept.pop()
        elif part != ".":
            kept.append(part)
    if parts[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept) if kept[0] == "" else "/" + "/".join(kept)


def _shown(text: str) -> str:
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"
