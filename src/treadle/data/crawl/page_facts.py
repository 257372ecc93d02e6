"""What a page says to a crawler: its links, its proper address, whether it wants to be kept."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from treadle.data.crawl.found import PageFacts
from treadle.data.crawl.urls import resolve

MOST_LINKS: Final = 5_000
_LISTS: Final = frozenset({"application/rss+xml", "application/atom+xml", "application/rdf+xml"})
_LONGEST_NAME: Final = 200
_COMMAS = re.compile(r"[\s,]+")


def page_facts(address: str, body: bytes, robots_header: str = "", *, strip_tracking: bool = False) -> PageFacts:
    """Look through a page of HTML; what is damaged in it is passed over."""
    tree = LexborHTMLParser(body)
    base = address
    words = set(_COMMAS.split(robots_header.lower().rpartition(":")[2].strip()))
    canonical: str | None = None
    generator = ""
    feeds: dict[str, None] = {}
    for node in tree.css("base[href], meta[name][content], link[rel][href]"):
        attributes = node.attributes
        if node.tag == "base":
            base = resolve(address, attributes["href"] or "") or base
        elif node.tag == "meta":
            name, content = (attributes["name"] or "").lower(), attributes["content"] or ""
            if name in {"robots", "treadle"}:
                words.update(_COMMAS.split(content.lower().strip()))
            elif name == "generator":
                generator = generator or content[:_LONGEST_NAME]
        else:
            relation = (attributes["rel"] or "").lower().split()
            if "canonical" in relation:
                canonical = canonical or resolve(base, attributes["href"] or "", strip_tracking=strip_tracking)
            elif "alternate" in relation and (attributes.get("type") or "").lower() in _LISTS:
                found = resolve(base, attributes["href"] or "", strip_tracking=strip_tracking)
                if found is not None:
                    feeds[found] = None
    links = () if words & {"nofollow", "none"} else _links(tree, base, address, strip_tracking=strip_tracking)
    proper = None if canonical == address else canonical
    return PageFacts(links, tuple(feeds), proper, not words & {"noindex", "none"}, generator)


def generator_of(body: bytes) -> str:
    """What a page says that it was made with; nothing if it does not say so."""
    named = LexborHTMLParser(body).css('meta[name="generator" i][content]')
    return next((content[:_LONGEST_NAME] for node in named if (content := node.attributes["content"])), "")


def _links(tree: LexborHTMLParser, base: str, address: str, *, strip_tracking: bool) -> tuple[str, ...]:
    written: dict[str, None] = {}
    for node in tree.css("a[href], area[href], iframe[src], frame[src]"):
        attributes = node.attributes
        if "nofollow" not in (attributes.get("rel") or ""):
            target = attributes.get("href") or attributes.get("src") or ""
            written[target.partition("#")[0].strip()] = None
    found: dict[str, None] = {}
    for target in written:
        link = resolve(base, target, strip_tracking=strip_tracking)
        if link is not None and link != address:
            found[link] = None
        if len(found) >= MOST_LINKS:
            break
    return tuple(found)
