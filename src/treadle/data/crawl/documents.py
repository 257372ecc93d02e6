"""From kept pages to documents: the same readers as for files, so that a page is the same however it came.

The bytes of a page lie in the object store; a link with the extension of its type leads a reader to them. What a site
handler takes out is taken out there, by the process that reads (`sites/page_text.py`); a host's chrome goes here.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.data.crawl.chrome import SAMPLE, chrome_of, without_chrome
from treadle.data.crawl.fetching import PAGES
from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Self

    from treadle.data.crawl.frontier import KeptPage
    from treadle.data.readers.sandbox import Work
    from treadle.store.objects import ObjectStore

_PART = re.compile(r"(\d+)\.\w+(.*)", re.DOTALL)
_PREPARE = "treadle.data.crawl.sites.page_text:prepare"


@dataclass(frozen=True, slots=True)
class ReadPage:
    """What a reader found on a page."""

    page: KeptPage
    item: Document | Refusal


class PageReader:
    """Reads kept pages in a process of its own. Use it as a context."""

    def __init__(self, objects: ObjectStore, work: Work, crawl: str) -> None:
        """`work` is what is done with each page; `crawl` is the name of the crawl, which each document bears."""
        self._objects = objects
        self._crawl = crawl
        self._sandbox = Sandbox(replace(work, first=_PREPARE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._sandbox.close()

    def read(self, pages: Sequence[KeptPage]) -> list[ReadPage]:
        """Read pages, in their order."""
        found: list[ReadPage] = []
        with tempfile.TemporaryDirectory(prefix="treadle-crawl-") as folder:
            paths = [self._path(Path(folder), number, page) for number, page in enumerate(pages)]
            for item in self._sandbox.read(paths):
                part = _PART.fullmatch(item.source[len(folder) + 1 :])
                if part is not None:
                    found.append(self._named(item, pages[int(part[1])], part[2]))
        return found

    def _path(self, folder: Path, number: int, page: KeptPage) -> Path:
        """Where a reader finds a page: a link to its bytes."""
        path = folder / f"{number}{PAGES.get(page.type, '.html')}"
        path.symlink_to(self._objects.path(page.body))
        return path

    def _named(self, item: Document | Refusal, page: KeptPage, part: str) -> ReadPage:
        """An item that says which page, or part of a page, it is from."""
        source = f"{page.url}{part}"
        if isinstance(item, Refusal):
            return ReadPage(page, replace(item, source=source))
        return ReadPage(page, replace(item, source=source, metadata={**item.metadata, "crawl": self._crawl}))


def learned_chrome(found: Sequence[ReadPage]) -> dict[int, set[str]]:
    """The chrome of each host for which it is not known yet: that of the first `SAMPLE` of its pages."""
    texts: dict[int, list[str]] = defaultdict(list)
    for read in sorted(found, key=lambda read: read.page.place):
        host = texts[read.page.host] if read.page.chrome is None else []
        if isinstance(read.item, Document) and len(host) < SAMPLE:
            host.append(read.item.text)
    return {host: chrome_of(some) for host, some in texts.items()}


def cleaned(read: ReadPage, chrome: Collection[str]) -> Document | Refusal:
    """What was found on a page, without the chrome of its host."""
    item = read.item
    if isinstance(item, Refusal) or not chrome:
        return item
    text = item.text
    rest = without_chrome(text, chrome)
    if rest == text:
        return item
    try:
        return Document.from_text(rest, item.source, {**item.metadata, "chrome": "dropped"})
    except RefusedError:
        return Refusal(item.source, "empty", "It holds nothing but lines that other pages of its host hold, too.")
