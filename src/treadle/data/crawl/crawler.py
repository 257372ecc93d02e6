"""The crawl itself: which host may be asked now, what to do with its answer, when it is over.

One thread keeps the frontier; others only ask and look through what came. A host is asked one thing at a time.
"""

from __future__ import annotations

import heapq
import itertools
import json
import queue
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from treadle.data.crawl.answers import Settling, Told, ask
from treadle.data.crawl.pace import FIRST_FAILURES, MOST_FAILURES, Host
from treadle.data.crawl.robot_files import RobotFiles
from treadle.data.crawl.robots import Robots

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from treadle.data.crawl.config import CrawlSettings
    from treadle.data.crawl.fetching import Fetcher
    from treadle.data.crawl.frontier import Candidate, Frontier, HostRow
    from treadle.data.crawl.parser import PageParser
    from treadle.data.crawl.rules import Boundaries
    from treadle.store.objects import ObjectStore

_AT_ONCE: Final = 16
"""Pages of a host that are read from the frontier at a time."""
_PATIENCE: Final = 0.2
_SHORTLY: Final = 0.001


class Watcher(Protocol):
    """Who is told how a crawl goes on, in the thread that keeps the frontier."""

    def moved(self) -> None:
        """Something may have happened; called often."""
        ...


class Crawler:
    """One round of one crawl."""

    def __init__(
        self,
        frontier: Frontier,
        fetcher: Fetcher,
        parser: PageParser,
        objects: ObjectStore,
        settings: CrawlSettings,
        boundaries: Boundaries,
    ) -> None:
        """Crawl with what was opened by the caller."""
        self._frontier = frontier
        self._settings = settings
        self._boundaries = boundaries
        self._settling = Settling(frontier, settings, boundaries)
        self._robots = RobotFiles(frontier, fetcher, settings, boundaries)
        self._fetcher = fetcher
        self._parser = parser
        self._objects = objects
        self._hosts: dict[str, Host] = {}
        self._line: list[tuple[float, int, Host]] = []
        self._numbers = itertools.count()
        self._told: queue.SimpleQueue[tuple[Host, Candidate | None, Future[Told]]] = queue.SimpleQueue()
        self._busy = 0
        self._asked_new = 0
        self._kept = frontier.kept_pages()

    def run(self, stop: Callable[[], bool], watcher: Watcher) -> bool:
        """Go on until the round is over or `stop` says so; tell whether it is over."""
        self._left()
        with ThreadPoolExecutor(self._settings.parallel, "treadle-crawl") as threads:
            while not stop():
                self._start(threads)
                if not self._busy and not self._line and not self._left():
                    self._frontier.complete(limit=not self.room)
                    return True
                self._listen(self._pause())
                watcher.moved()
            while self._busy:  # what was asked is kept, too
                self._listen(_PATIENCE)
                watcher.moved()
        return False

    @property
    def room(self) -> bool:
        """Whether more pages may be kept than there are and than are on their way."""
        return self._kept + self._asked_new < self._settings.max_pages

    def _left(self) -> bool:
        """Put all hosts with something to ask for into the line; tell whether there are any."""
        for row in self._frontier.hosts():
            if self._frontier.next_time(row.id, new=self.room) is not None:
                self._enqueue(self._host(row))
        return bool(self._line)

    def _host(self, row: HostRow) -> Host:
        host = self._hosts.get(row.origin)
        if host is None:
            robots = None if row.robots is None else Robots.from_json(json.loads(row.robots))
            host = Host(row.id, row.origin, row.ready_at, row.failures, robots, row.robots_time)
            self._hosts[row.origin] = host
        return host

    def _enqueue(self, host: Host) -> None:
        if not host.in_line and not host.busy:
            host.in_line = True
            heapq.heappush(self._line, (host.ready_at, next(self._numbers), host))

    def _pause(self) -> float:
        """Until when nothing can be begun, at most; an answer ends the pause."""
        if not self._line or self._busy >= self._settings.parallel:
            return _PATIENCE
        return min(_PATIENCE, max(0.0, self._line[0][0] - time.time()))

    def _start(self, threads: ThreadPoolExecutor) -> None:
        """Ask all hosts that may be asked, the one that has waited longest first."""
        while self._line and self._busy < self._settings.parallel and self._line[0][0] <= time.time():
            host = heapq.heappop(self._line)[2]
            host.in_line = False
            if not self._has_next(host):
                continue
            if self._robots.needed(host, time.time()):
                self._submit(threads, host, None)
                continue
            page = self._next(host)
            if page is not None:
                self._submit(threads, host, page)

    def _submit(self, threads: ThreadPoolExecutor, host: Host, page: Candidate | None) -> None:
        host.busy = True
        self._busy += 1
        if page is not None and page.body is None and page.kind == "page":
            self._asked_new += 1
        if page is None:
            future = threads.submit(self._robots.ask, host.origin)
        else:
            future = threads.submit(ask, self._fetcher, self._parser, self._objects, page, self._settings)
        future.add_done_callback(lambda done: self._told.put((host, page, done)))

    def _has_next(self, host: Host) -> bool:
        """Whether a page of a host may be asked for now; if only later, it goes back into the line."""
        if host.next and not self.room and host.next[0].body is None:
            host.next = None
        if not host.next:
            host.next = deque(self._frontier.candidates(host.id, time.time(), _AT_ONCE, new=self.room))
        if not host.next:
            later = self._frontier.next_time(host.id, new=self.room)
            if later is not None:
                host.ready_at = max(later, time.time() + _SHORTLY)
                self._enqueue(host)
        return bool(host.next)

    def _next(self, host: Host) -> Candidate | None:
        """The next page of a host that its robots.txt lets us ask for."""
        while self._has_next(host) and host.next:
            page = host.next.popleft()
            allowed, rule = (True, None) if host.robots is None else host.robots.decide(page.url)
            if allowed:
                return page
            self._frontier.set_aside(page.id, "robots", str(rule))
        return None

    def _listen(self, seconds: float) -> None:
        """Wait for an answer, and keep all that are there."""
        try:
            told = self._told.get(timeout=max(seconds, 0.0005))
        except queue.Empty:
            return
        while True:
            self._take(*told)
            try:
                told = self._told.get_nowait()
            except queue.Empty:
                return

    def _take(self, host: Host, page: Candidate | None, done: Future[Told]) -> None:
        host.busy = False
        self._busy -= 1
        if page is not None and page.body is None and page.kind == "page":
            self._asked_new -= 1
        told = done.result()
        now = time.time()
        with self._frontier.answering():
            added = self._robots.keep(host, told, now) if page is None else self._settling.settle(page, told, now)
            self._set_pace(host, told, now)
        self._kept += told.kept
        if page is None and told.error is not None:
            host.next = None
        if host.failures >= (FIRST_FAILURES if host.robots is None else MOST_FAILURES):
            self._frontier.give_up(host.id, "host_down")
            host.next = None
            host.failures = 0
            return
        for origin in added:
            self._enqueue(self._hosts.get(origin) or self._host(self._frontier.host(origin)))
        self._enqueue(host)

    def _set_pace(self, host: Host, told: Told, now: float) -> None:
        before = host.failures
        if told.trouble:
            host.after_trouble(now, self._settings.rate, told.wait)
            host.next = None
        else:
            host.after_answer(now, self._settings.rate)
        if told.trouble or before:
            self._frontier.pace(host.id, host.ready_at, host.failures)
