"""robots.txt of each host: asked for before anything else, kept for a day, and what follows where it is not to be had.

As RFC 9309 has it: not there (4xx) allows all; not reachable (5xx, no connection) allows nothing for now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from treadle.data.crawl.answers import Told
from treadle.data.crawl.fetching import FetchError, FetchLimits, retry_after
from treadle.data.crawl.robots import MOST_BYTES, Robots, parse_robots
from treadle.data.crawl.urls import origin_of, resolve

if TYPE_CHECKING:
    from treadle.data.crawl.config import CrawlSettings
    from treadle.data.crawl.fetching import Answer, Fetcher
    from treadle.data.crawl.frontier import Frontier
    from treadle.data.crawl.pace import Host
    from treadle.data.crawl.rules import Boundaries

_DAY: Final = 86_400.0
_MOST_HOPS: Final = 5
_BUSY_FROM: Final = 500


class RobotFiles:
    """Knows each host's robots.txt."""

    def __init__(self, frontier: Frontier, fetcher: Fetcher, settings: CrawlSettings, boundaries: Boundaries) -> None:
        self._frontier = frontier
        self._fetcher = fetcher
        self._settings = settings
        self._boundaries = boundaries

    def needed(self, host: Host, now: float) -> bool:
        """Whether it must be asked for before anything else of the host is."""
        return host.robots is None or now - host.robots_time > _DAY

    def ask(self, origin: str) -> Told:
        """Ask for it, following a few redirects; runs in a thread."""
        address = f"{origin}/robots.txt"
        limits = FetchLimits(self._settings.seconds, MOST_BYTES, types=None, cut=True)
        try:
            for _ in range(_MOST_HOPS):
                answer = self._fetcher.fetch(address, limits)
                location = resolve(address, answer.header("location")) if 300 <= answer.status < 400 else None
                if location is None:
                    break
                address = location
            else:
                return Told(error=FetchError("bad_answer", "robots.txt redirects too often."))
        except FetchError as error:
            return Told(error=error, trouble=error.passing)
        return Told(answer=answer, trouble=answer.status >= _BUSY_FROM or answer.status == 429)

    def keep(self, host: Host, told: Told, now: float) -> set[str]:
        """Keep what came; give the origins on which there is more to ask for now."""
        if told.error is not None and not told.trouble:
            self._frontier.give_up(host.id, told.error.trouble)  # such as a private address: nothing will be answered
            return set()
        if told.trouble:
            told.wait = None if told.answer is None else retry_after(told.answer, now)
            return set()
        answer = told.answer
        host.robots = _read(answer)
        host.robots_time = now
        self._frontier.set_robots(host.id, host.robots.to_json(), now)
        if not self._settings.sitemaps:
            return set()
        named = [resolve(f"{host.origin}/", name) for name in host.robots.sitemaps] or [f"{host.origin}/sitemap.xml"]
        sitemaps = [name for name in named if name is not None]
        self._frontier.add(sitemaps, 0, None, self._boundaries, "list")
        return {origin_of(name) for name in sitemaps}


def _read(answer: Answer | None) -> Robots:
    return parse_robots(answer.body) if answer is not None and answer.status == 200 else Robots()
