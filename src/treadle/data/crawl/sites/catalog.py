"""Which handler knows which kind of site. A new one is one file beside this one, and one line here.

A handler is an object with `generator` (how pages of its kind name what made them, in lower case), `follows(address)`
and `page(markup)`. Plugins add handlers through the entry-point group `treadle.site_handler`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from treadle.registry.catalogue import Catalogue

SITE_HANDLERS = Catalogue("site_handler", {"mediawiki": "treadle.data.crawl.sites.mediawiki:HANDLER"})


class SiteHandler(Protocol):
    """Knows the pages that one kind of software makes."""

    generator: str
    """What `<meta name="generator">` of its pages begins with, in lower case."""

    def follows(self, address: str) -> bool:
        """Whether a link leads to something worth reading, and not to a form, a history, a login."""
        ...

    def page(self, markup: bytes) -> bytes:
        """The page without what is not its text."""
        ...


@lru_cache(maxsize=64)
def handler_of(generator: str) -> SiteHandler | None:
    """The handler of pages that name `generator`; None if no handler knows them."""
    said = generator.strip().lower()
    if not said:
        return None
    for name in SITE_HANDLERS.names():
        handler: SiteHandler = SITE_HANDLERS.get(name)
        if said.startswith(handler.generator):
            return handler
    return None
