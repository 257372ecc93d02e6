"""Giving kept pages to the data while the crawl goes on: each page once, whatever is killed when.

Pages are read in a process, and stored in a thread, so that the network need not wait. Before a batch is stored the
frontier remembers it together with the newest version there was; who comes after a kill looks whether it was stored.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from treadle.data.crawl.chrome import SAMPLE
from treadle.data.crawl.documents import PageReader, ReadPage, cleaned, learned_chrome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from treadle.data.crawl.frontier import Frontier, KeptPage
    from treadle.data.document import Document, Refusal
    from treadle.data.versions import Dataset, DatasetVersions

_FEEDING: Final = "feeding"
_MOST_PAGES: Final = 100
_LOOK_AHEAD: Final = 500
_LEAST_PAUSE: Final = 1.0
_SHARE: Final = 5.0
"""A batch is followed by a pause of so many times its own time: storing a version costs more the more there is."""


@dataclass(slots=True)
class Fed:
    """What came of the pages that were given to the data."""

    accepted: int = 0
    bytes: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    """A few refusals, with their reasons."""
    versions: int = 0


class Feeding:
    """Gives pages to a dataset. All methods belong to the thread of the frontier. Use it as a context."""

    def __init__(
        self,
        frontier: Frontier,
        versions: DatasetVersions,
        reader: PageReader,
        add: Callable[[Iterable[Document | Refusal]], Dataset],
        *,
        drop_chrome: bool,
    ) -> None:
        """`add` stores documents in `versions` as a new version; it runs in another thread."""
        self._frontier = frontier
        self._versions = versions
        self._reader = reader
        self._add = add
        self._drop_chrome = drop_chrome
        self._thread = ThreadPoolExecutor(1, "treadle-feed")
        self._reading: Future[list[ReadPage]] | None = None
        self._storing: Future[Dataset] | None = None
        self._pages: Sequence[KeptPage] = ()
        self._began = self._not_before = 0.0
        self.fed = Fed()
        self._settle_interrupted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def go_on(self, *, all_of_it: bool = False) -> bool:
        """Do what can be done without waiting; tell whether something is under way.

        `all_of_it` also takes pages that wait for others of their host.
        """
        if self._reading is not None and self._reading.done():
            self._store(self._reading.result())
        elif self._storing is not None and self._storing.done():
            self._finish(self._storing.result())
        idle = self._reading is None and self._storing is None
        if idle and (all_of_it or time.monotonic() >= self._not_before):
            self._read(self._next(all_of_it=all_of_it))
        return self._reading is not None or self._storing is not None

    def finish(self, stop: Callable[[], bool], *, all_of_it: bool) -> None:
        """End what is under way; with `all_of_it` give all pages that are left, until `stop` says so."""
        while self._reading is not None or self._storing is not None or (all_of_it and not stop()):
            under_way = self.go_on(all_of_it=True) if all_of_it and not stop() else self._end_one()
            if not under_way:
                return
            time.sleep(0.005)

    def _end_one(self) -> bool:
        if self._reading is not None and self._reading.done():
            self._reading = None  # not stored: it is read again another time
        elif self._storing is not None and self._storing.done():
            self._finish(self._storing.result())
        return self._reading is not None or self._storing is not None

    def _next(self, *, all_of_it: bool) -> list[KeptPage]:
        """The next pages: those of hosts whose chrome is known, or can be found now."""
        chosen: list[KeptPage] = []
        held: dict[int, list[KeptPage]] = {}
        after, all_seen = -1, False
        while len(chosen) < _MOST_PAGES and not all_seen:
            pages = self._frontier.unfed(after, _LOOK_AHEAD)
            all_seen = not pages
            for page in pages:
                if page.chrome is not None or not self._drop_chrome:
                    chosen.append(page)
                    continue
                waiting = held.setdefault(page.host, [])
                waiting.append(page)
                if len(waiting) == SAMPLE:
                    chosen += waiting
            after = pages[-1].place if pages else after
        for host, waiting in held.items() if all_seen else ():
            if len(waiting) < SAMPLE and (all_of_it or not self._frontier.still_pending(host, new=True)):
                chosen += waiting
        return chosen if held else chosen[:_MOST_PAGES]

    def _read(self, pages: list[KeptPage]) -> None:
        if not pages:
            self._not_before = time.monotonic() + _LEAST_PAUSE
            return
        self._pages, self._began = pages, time.monotonic()
        self._reading = self._thread.submit(self._reader.read, pages)

    def _store(self, found: list[ReadPage]) -> None:
        self._reading = None
        latest = self._versions.latest()
        with self._frontier.answering():
            learned = learned_chrome(found) if self._drop_chrome else {}
            for host, lines in learned.items():
                self._frontier.set_chrome(host, lines)
            self._frontier.remember(
                _FEEDING,
                {
                    "after": latest.number if latest else 0,
                    "pages": [[page.id, page.place, page.url] for page in self._pages],
                },
            )
        items = [cleaned(read, learned.get(read.page.host, read.page.chrome or ())) for read in found]
        if items:
            self._storing = self._thread.submit(self._add, items)
        else:
            self._forget([(page.id, page.place) for page in self._pages])

    def _finish(self, dataset: Dataset) -> None:
        self._storing = None
        self._count(dataset)
        self._forget([(page.id, page.place) for page in self._pages])
        now = time.monotonic()
        self._not_before = now + max(_LEAST_PAUSE, _SHARE * (now - self._began))

    def _forget(self, pages: list[tuple[int, int]]) -> None:
        with self._frontier.answering():
            self._frontier.fed(pages)
            self._frontier.remember(_FEEDING, None)

    def _settle_interrupted(self) -> None:
        """After a kill: was the batch stored that was under way?"""
        left = self._frontier.fact(_FEEDING)
        if left is None:
            return
        sources = {url for _, _, url in left["pages"]}
        for number in self._versions.numbers():
            if number > left["after"] and _holds(self._versions.get(number), sources):
                self._count(self._versions.get(number))
                self._forget([(page, place) for page, place, _ in left["pages"]])
                return
        self._frontier.remember(_FEEDING, None)

    def _count(self, dataset: Dataset) -> None:
        manifest, refusals = dataset.manifest, dataset.refusals()
        parent = 0 if manifest.parent is None else self._versions.get(manifest.parent).manifest.bytes
        self.fed.accepted += manifest.accepted
        self.fed.bytes += manifest.bytes - parent
        self.fed.versions += 1
        for refusal in refusals:
            if refusal.reason == "duplicate":
                self.fed.duplicates += 1
                continue
            self.fed.refused[refusal.reason] += 1
            if len(self.fed.examples) < 10:
                said = {"source": refusal.source, "reason": refusal.reason, "detail": refusal.detail}
                self.fed.examples.append(said)


def _holds(dataset: Dataset, sources: set[str]) -> bool:
    """Whether this version added, or refused, something from one of these addresses."""
    skipped = dataset.manifest.documents - dataset.manifest.accepted
    new = (entry.source for number, entry in enumerate(dataset.entries()) if number >= skipped)
    given = (*new, *(refusal.source for refusal in dataset.refusals()))
    return any(source in sources or source.partition("#")[0] in sources for source in given)
