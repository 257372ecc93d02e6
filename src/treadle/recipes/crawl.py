"""Crawling: fetch a site politely, keep every page once, and give it to a model or dataset while the crawl goes on."""

from __future__ import annotations

import shlex
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treadle import __version__
from treadle.base.errors import NotReadyError, TreadleError
from treadle.base.files import locked
from treadle.data.crawl.config import CrawlSettings
from treadle.data.crawl.crawler import Crawler
from treadle.data.crawl.documents import PageReader
from treadle.data.crawl.feeding import Feeding
from treadle.data.crawl.fetching import Fetcher
from treadle.data.crawl.frontier import Counts, Frontier
from treadle.data.crawl.parser import PageParser
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.sandbox import Work
from treadle.recipes.crawl_boundaries import boundaries_of
from treadle.recipes.datasets import open_named
from treadle.recipes.standing import queue_if_due
from treadle.store.crawls import CrawlCards
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from treadle.data.document import Document, Refusal
    from treadle.data.versions import Dataset, DatasetVersions
    from treadle.jobs.context import RunContext
    from treadle.operations.crawl import CrawlPayload

_REPORT_SECONDS = 0.25
_REPORT_SHARE = 20.0
"""Counting a large frontier takes a while; at most this part of the time goes into it."""


def run(context: RunContext, payload: CrawlPayload) -> dict[str, Any]:
    """Go on with the crawl's round, or begin one; not `ok` only when there is not one page."""
    workspace = context.workspace
    settings = CrawlSettings.model_validate(payload.settings)
    card = CrawlCards(workspace).get(payload.crawl)
    folder = CrawlCards(workspace).folder(card)
    objects = ObjectStore(workspace.objects)
    boundaries = boundaries_of(workspace, payload.seeds, settings)
    target = _Target(context, payload, settings)
    with ExitStack() as stack:
        stack.enter_context(_alone(folder, card.name))
        frontier = stack.enter_context(Frontier(folder))
        fresh = frontier.begin(
            boundaries,
            time.time(),
            room=frontier.kept_pages() < settings.max_pages,
            fresh_seconds=settings.fresh_hours * 3600,
        )
        reader = stack.enter_context(PageReader(objects, target.work, card.name))
        drop = settings.chrome == "drop" and target.drops_chrome
        feeding = stack.enter_context(Feeding(frontier, target.versions, reader, target.add, drop_chrome=drop))
        agent = f"Treadle/{__version__} (crawler; obeys robots.txt for `treadle`)"
        fetcher = stack.enter_context(
            Fetcher(agent, allow_private=payload.allow_private, connections=settings.parallel)
        )
        parser = stack.enter_context(PageParser())
        crawler = Crawler(frontier, fetcher, parser, objects, settings, boundaries)
        progress = _Progress(context, frontier, feeding)
        context.emit("crawl_started", crawl=card.name, round=frontier.round, fresh=fresh, seeds=list(payload.seeds))
        over = crawler.run(context.stop_requested, progress)
        feeding.finish(context.stop_requested, all_of_it=over)
        progress.show()
        counts = frontier.counts()
        return {**_answer(card.name, counts, feeding, over=over), **target.facts(), "troubles": frontier.troubles(10)}


class _Target:
    """The dataset that the pages go to: a model's, or a named one."""

    def __init__(self, context: RunContext, payload: CrawlPayload, settings: CrawlSettings) -> None:
        self._context = context
        workspace = context.workspace
        self._model = None if payload.model is None else ModelCards(workspace).get(payload.model)
        self._job: int | None = None
        named = open_named(workspace, payload.model or payload.dataset or "")
        self.name = named.name
        self._named = named
        self.versions: DatasetVersions = named.versions
        if self._model is not None:
            self.work = Work(ReadSettings(html=settings.mode))
            mode: str = settings.mode
        else:
            cleaning = named.settings.model_dump(mode="json")
            self.work = Work(named.settings.reading(), "treadle.data.steps.cleaning:cleaner", cleaning)
            mode = named.settings.html
        self.drops_chrome = mode in {"main", "mixed", "fast"}

    def add(self, items: Iterable[Document | Refusal]) -> Dataset:
        """Store documents as a new version, and let a standing model begin to train if there is enough."""
        self._context.require_claim()
        dataset = self._named.add(items, checked=False)
        self._context.kept()
        if self._model is not None:
            try:
                job = queue_if_due(self._context.workspace, self._model).job
            except TreadleError as error:  # what was fed is kept, whatever is wrong with training on it
                self._context.emit("note", message=str(error))
            else:
                if job is not None and job != self._job:
                    self._job = job
                    self._context.emit("note", message=f"Job {job} trains `{self.name}` on what has arrived.")
        return dataset

    def facts(self) -> dict[str, Any]:
        """What the answer says of it."""
        latest = self.versions.latest()
        name = shlex.quote(self.name)
        next_step = f"treadle train {name}" if self._model is not None else f"treadle data report {name}"
        return {
            "model": self.name if self._model is not None else None,
            "dataset": None if self._model is not None else self.name,
            "version": latest.number if latest else None,
            "documents": latest.manifest.documents if latest else 0,
            "training_job": self._job,
            "next_step": next_step if self._job is None else f"treadle jobs follow {self._job}",
        }


class _Progress:
    """Tells those who follow how the crawl goes on, and lets it feed the data."""

    def __init__(self, context: RunContext, frontier: Frontier, feeding: Feeding) -> None:
        self._context, self._frontier, self._feeding = context, frontier, feeding
        self._next = 0.0
        self._kept = -1

    def moved(self) -> None:
        """See `Watcher`."""
        self._feeding.go_on()
        if time.monotonic() >= self._next:
            self.show()

    def show(self) -> None:
        """Tell where the pages are."""
        began = time.monotonic()
        counts = self._frontier.counts()
        facts = {key: value for key, value in asdict(counts).items() if isinstance(value, int)}
        self._context.emit("crawling", **facts, accepted=self._feeding.fed.accepted)
        if counts.pages != self._kept:
            self._kept = counts.pages
            self._context.kept()
        self._next = time.monotonic() + max(_REPORT_SECONDS, _REPORT_SHARE * (time.monotonic() - began))


def _answer(name: str, counts: Counts, feeding: Feeding, *, over: bool) -> dict[str, Any]:
    fed = feeding.fed
    return {
        "ok": counts.pages > 0 or not over,
        "crawl": name,
        "complete": over,
        **asdict(counts),
        "accepted": fed.accepted,
        "text_bytes": fed.bytes,
        "duplicates": fed.duplicates,
        "refused": dict(sorted(fed.refused.items())),
        "refusals": fed.examples,
    }


def _alone(folder: Path, name: str) -> ExitStack:
    """Be the only process that crawls this crawl."""
    stack = ExitStack()
    try:
        stack.enter_context(locked(folder / ".lock", wait=False))
    except BlockingIOError as error:
        raise NotReadyError(
            f"`{name}` is being crawled by another process. Wait for it: `treadle jobs list` shows it."
        ) from error
    return stack
