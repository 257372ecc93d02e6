"""What a crawl is told about a page by the process that looks through it. No parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
"""Types of pages that have links; others are kept as they are."""


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What of a page matters to the crawl."""

    links: tuple[str, ...] = ()
    """Normalised addresses, each once, in the order of the page."""
    feeds: tuple[str, ...] = ()
    canonical: str | None = None
    """The address that the page calls its proper one, where that is another."""
    keep: bool = True
    """False for a page that asks not to be kept (noindex)."""
    generator: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer's body holds for the crawl."""

    facts: PageFacts = field(default_factory=PageFacts)
    is_list: bool = False
    """It is a sitemap or a feed."""
    pages: tuple[str, ...] = ()
    """Addresses that a sitemap or feed names."""
    lists: tuple[str, ...] = ()
    """Further sitemaps."""
