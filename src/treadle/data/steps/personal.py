"""What points to a person in text from the web: e-mail addresses and addresses of computers, replaced by signs."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAIL = "<e-mail>"
ADDRESS = "<ip-address>"
_MAIL = re.compile(r"\b[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-zA-Z]{2,24}\b")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")


def masked(pieces: Iterable[str], facts: dict[str, object]) -> Iterator[str]:
    """Replace e-mail addresses and public IPv4 addresses; version numbers and private addresses stay."""
    count = 0
    for piece in pieces:
        text = piece
        if "@" in text:
            text, found = _MAIL.subn(MAIL, text)
            count += found
        parts = _ADDRESS.split(text)
        if len(parts) > 1:
            hits = _ADDRESS.findall(text)
            public = [_is_public(hit) for hit in hits]
            count += sum(public)
            signs = [ADDRESS if one else hit for hit, one in zip(hits, public, strict=True)]
            text = "".join(part + sign for part, sign in zip(parts, [*signs, ""], strict=True))
        yield text
    if count:
        facts["masked"] = count


def _is_public(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text).is_global
    except ValueError:
        return False
