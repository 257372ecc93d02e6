"""A stored page on its way to its reader: what the handler of its kind of site calls no text is taken out first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from treadle.data.crawl.page_facts import generator_of
from treadle.data.crawl.sites.catalog import handler_of

if TYPE_CHECKING:
    from pathlib import Path

_GENERATOR: Final = b"enerator"
_HEAD: Final = 1 << 16
_HTML: Final = ".html"


def prepare(path: Path) -> None:
    """Put in the place of a page, which may be a link to a stored one, what its handler leaves of it."""
    if path.suffix != _HTML:
        return
    body = path.read_bytes()
    handler = handler_of(generator_of(body)) if _GENERATOR in body[:_HEAD] else None
    if handler is not None:
        text = handler.page(body)
        path.unlink()  # what it leads to stays as it came
        path.write_bytes(text)
