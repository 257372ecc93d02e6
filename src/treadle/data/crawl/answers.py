"""What becomes of one answer: a page that is kept, a redirect, a tombstone, a list of addresses, a refusal.

`ask` runs in threads and touches nothing but the network, the process that parses, and the object store; `Settling`
writes what came of it into the frontier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from treadle.data.crawl.fetching import PAGES, Answer, FetchError, FetchLimits, retry_after
from treadle.data.crawl.found import HTML, Found
from treadle.data.crawl.parser import ParsingError
from treadle.data.crawl.urls import origin_of, resolve

if TYPE_CHECKING:
    from treadle.data.crawl.config import CrawlSettings
    from treadle.data.crawl.fetching import Fetcher
    from treadle.data.crawl.frontier import Candidate, Frontier, State
    from treadle.data.crawl.parser import PageParser
    from treadle.data.crawl.rules import Boundaries
    from treadle.store.objects import ObjectStore

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BUSY: Final = frozenset({429, 500, 502, 503, 504, 408})
_MOST_ATTEMPTS: Final = 3
_PATIENT_ATTEMPTS: Final = 20
"""How often a server may say that it is too busy, before a page is given up."""
_REFUSED: Final = frozenset(
    {"content_type", "too_large", "private_address", "parser_crashed", "parser_stalled", "unreadable"}
)
"""Troubles that lie in what was asked for, not in the way to it."""


@dataclass(slots=True)
class Told:
    """What came of asking."""

    answer: Answer | None = None
    error: FetchError | None = None
    found: Found = field(default_factory=Found)
    body: str = ""
    """Id of the object that holds the bytes, where they are to be kept."""
    trouble: bool = False
    """The host did not answer, or is too busy."""
    wait: float | None = None
    """Seconds that the host wants to be left alone."""
    kept: int = 0
    """1 if a page was kept of which there was nothing before."""


def ask(fetcher: Fetcher, parser: PageParser, objects: ObjectStore, page: Candidate, settings: CrawlSettings) -> Told:
    """Ask for a page, have it looked through, and store its bytes."""
    told = Told()
    limits = FetchLimits(settings.seconds, round(settings.megabytes * 1e6))
    try:
        told.answer = answer = fetcher.fetch(page.url, limits, page.etag, page.last_modified)
        told.trouble = answer.status in {429, 503}
        if answer.status == 200 and (answer.type in HTML or answer.type not in PAGES):
            told.found = parser.look_through(page.url, answer, strip_tracking=settings.strip_tracking)
    except FetchError as error:
        told.error = error
        told.trouble = error.trouble in {"no_connection", "timed_out"}
        return told
    except ParsingError as error:
        told.error = FetchError(error.trouble, str(error))
        return told
    if answer.status == 200 and (told.found.is_list or _is_page(answer, page, told.found)):
        told.body = objects.put(answer.body)
    return told


def _is_page(answer: Answer, page: Candidate, found: Found) -> bool:
    return answer.type in PAGES and page.kind == "page" and found.facts.keep


class Settling:
    """Writes what came of asking into the frontier."""

    def __init__(self, frontier: Frontier, settings: CrawlSettings, boundaries: Boundaries) -> None:
        self._frontier = frontier
        self._settings = settings
        self._boundaries = boundaries

    def settle(self, page: Candidate, told: Told, now: float) -> set[str]:
        """Keep what came of asking for a page; give the origins on which there is more to ask for now."""
        if told.error is not None:
            self._failed(page, told, now)
            return set()
        answer = told.answer
        if answer is None:
            return set()
        if answer.status == 200:
            return self._arrived(page, answer, told, now)
        if answer.status == 304 and page.body is not None:
            self._frontier.settle_unchanged(page, now)
        elif answer.status in _REDIRECTS:
            return self._redirected(page, answer, now)
        elif answer.status in _BUSY:
            told.wait = retry_after(answer, now)
            self._postpone(page, now, f"status_{answer.status}", patient=told.trouble)
        elif answer.status in {404, 410}:
            self._missing(page, answer.status, now)
        else:
            self._frontier.settle_failed(page, "failed", f"status_{answer.status}", now, answer.status)
        return set()

    def _arrived(self, page: Candidate, answer: Answer, told: Told, now: float) -> set[str]:
        if told.found.is_list:
            return self._listed(page, answer, told, now)
        if page.kind == "list":
            self._frontier.settle_failed(page, "left_out", "no_sitemap", now, 200)
            return set()
        if answer.type not in PAGES:
            self._frontier.settle_failed(page, "refused", "content_type", now, 200)
            return set()
        facts = told.found.facts
        ids = self._frontier.add(facts.links, page.depth + 1, page.id, self._boundaries)
        if self._settings.sitemaps:
            self._frontier.add(facts.feeds, page.depth, page.id, self._boundaries, "list")
        if not facts.keep:
            self._frontier.settle_failed(page, "refused", "noindex", now, 200)
        else:
            self._frontier.settle_kept(page, answer, told.body, ids, now)
            told.kept = int(page.body is None)
            self._copy_of(page, facts.canonical)
        return {origin_of(link) for link in (*facts.links, *facts.feeds)}

    def _copy_of(self, page: Candidate, canonical: str | None) -> None:
        """Leave a page to the one that it calls its proper address, if that is one that can be read."""
        if (
            canonical is None
            or not self._boundaries.verdict(canonical, page.depth, self._frontier.extra_hosts()).allowed
        ):
            return
        target = self._frontier.add([canonical], page.depth, page.id, self._boundaries)[0]
        row = self._frontier.page(target)
        if row is not None and row["state"] in {"waiting", "kept"}:
            self._frontier.settle_copy(page, target)

    def _listed(self, page: Candidate, answer: Answer, told: Told, now: float) -> set[str]:
        if page.kind != "list":
            self._frontier.set_kind(page.id, "list")
        found = told.found
        ids = self._frontier.add(found.pages, page.depth + 1, page.id, self._boundaries)
        self._frontier.add(found.lists, page.depth + 1, page.id, self._boundaries, "list")
        self._frontier.settle_kept(page, answer, told.body, ids, now, state="list")
        return {origin_of(link) for link in (*found.pages, *found.lists)}

    def _redirected(self, page: Candidate, answer: Answer, now: float) -> set[str]:
        location = resolve(page.url, answer.header("location"), strip_tracking=self._settings.strip_tracking)
        if location is None:
            self._frontier.settle_failed(page, "failed", "bad_redirect", now, answer.status)
            return set()
        if page.url in self._boundaries.seeds:
            self._frontier.welcome(location)
        with_target = self._frontier.add([location], page.depth, page.id, self._boundaries, page.kind)
        if not self._frontier.settle_redirect(page, with_target[0], answer.status, now):
            self._frontier.abandon(with_target[0])
        return {origin_of(location)}

    def _missing(self, page: Candidate, status: int, now: float) -> None:
        if page.kind == "list":
            self._frontier.settle_failed(page, "left_out", "no_sitemap", now, status)
        elif status == 410 or page.body is not None:
            self._frontier.settle_failed(page, "gone", "gone", now, status)
        else:
            self._frontier.settle_failed(page, "failed", "not_found", now, status)

    def _failed(self, page: Candidate, told: Told, now: float) -> None:
        error = told.error
        if error is None:
            return
        if error.passing:
            self._postpone(page, now, error.trouble)
        else:
            state: State = "refused" if error.trouble in _REFUSED else "failed"
            self._frontier.settle_failed(page, state, error.trouble, now)

    def _postpone(self, page: Candidate, now: float, reason: str, *, patient: bool = False) -> None:
        """Ask for a page again, a few times; `patient` where its host as a whole is being left alone."""
        if page.attempts + 1 >= (_PATIENT_ATTEMPTS if patient else _MOST_ATTEMPTS):
            self._frontier.settle_failed(page, "failed", reason, now)
        else:
            self._frontier.postpone(page, now if patient else now + 2.0**page.attempts, reason)
