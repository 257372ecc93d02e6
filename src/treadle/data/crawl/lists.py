"""Sitemaps and feeds: which addresses they name. Read with a scanner that knows no entities, so none can explode."""

from __future__ import annotations

import html
import re
import zlib
from typing import Final

from treadle.data.crawl.urls import resolve

MOST_ADDRESSES: Final = 50_000
"""As many as the sitemap protocol allows in one file."""
_MOST_BYTES: Final = 64 << 20
_ROOT = re.compile(r"<(?:\w+:)?(urlset|sitemapindex|rss|feed|rdf)\b", re.IGNORECASE)
_LOCATION = re.compile(r"<(?:\w+:)?loc\s*>\s*(?:<!\[CDATA\[)?([^<\]]{1,8192})", re.IGNORECASE)
_ITEM_LINK = re.compile(r"<link\s*>\s*(?:<!\[CDATA\[)?([^<\]]{1,8192})", re.IGNORECASE)
_ATOM_LINK = re.compile(r"<(?:atom:)?link\b([^>]{1,8192})>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*=\s*["']([^"']{1,8192})["']""", re.IGNORECASE)
_RELATION = re.compile(r"""\brel\s*=\s*["']([^"']{1,200})["']""", re.IGNORECASE)


def kind_of_list(body: bytes) -> str | None:
    """`urlset`, `sitemapindex`, `rss`, `feed` or `rdf`, if it is a sitemap or a feed."""
    found = _ROOT.search(unpacked(body, 4096)[:4096].decode("utf-8", "replace"))
    return found[1].lower() if found else None


def addresses_in(address: str, body: bytes, *, strip_tracking: bool = False) -> tuple[list[str], list[str]]:
    """Of a sitemap or feed at `address`: the pages that it names, and further sitemaps."""
    text = unpacked(body, _MOST_BYTES).decode("utf-8", "replace")
    kind = kind_of_list(body)
    if kind in {"urlset", "sitemapindex"}:
        named = [match[1] for match in _LOCATION.finditer(text)]
    else:
        named = [match[1] for match in _ITEM_LINK.finditer(text)]
        for match in _ATOM_LINK.finditer(text):
            relation, target = _RELATION.search(match[1]), _HREF.search(match[1])
            if target and (relation is None or relation[1].lower() == "alternate"):
                named.append(target[1])
    found: dict[str, None] = {}
    for name in named[:MOST_ADDRESSES]:
        target_address = resolve(address, html.unescape(name.strip()), strip_tracking=strip_tracking)
        if target_address is not None and target_address != address:
            found[target_address] = None
    return ([], list(found)) if kind == "sitemapindex" else (list(found), [])


def unpacked(body: bytes, most: int) -> bytes:
    """The bytes of a list that may be packed with gzip, at most `most` of them."""
    if not body.startswith(b"\x1f\x8b"):
        return body[:most]
    try:
        return zlib.decompressobj(wbits=31).decompress(body, most)
    except zlib.error:
        return b""
