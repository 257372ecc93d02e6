"""The frontier: every address that a crawl knows, and what came of it. One transaction for each answer.

A crawl goes in rounds. In a round each page is asked for once; the next round asks again, only for news. A round that
was interrupted, however that happened, goes on where it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from treadle.data.crawl.urls import folder_of, name_of, origin_of
from treadle.store.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from treadle.data.crawl.fetching import Answer
    from treadle.data.crawl.rules import Boundaries

State = Literal["waiting", "kept", "copy", "redirect", "list", "failed", "robots", "refused", "gone", "left_out"]
Outcome = Literal["", "new", "unchanged", "changed"]
DEAD_SECONDS: Final = 7 * 86_400.0
"""What was not found, and what has gone, is not asked for again before."""
FILE: Final = "frontier.db"
_MOST_HOPS: Final = 10
_ROWS_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A page to ask for."""

    id: int
    url: str
    depth: int
    kind: str
    state: State
    attempts: int
    etag: str
    last_modified: str
    body: str | None


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as it was left."""

    id: int
    origin: str
    robots: str | None
    robots_time: float
    ready_at: float
    failures: int


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A page whose body waits to be given to the data."""

    id: int
    url: str
    body: str
    type: str
    size: int
    place: int
    host: int
    origin: str
    chrome: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the pages are. `unchanged` and `changed` are of the last round."""

    pages: int
    """Are kept."""
    pending: int
    """Are still to be asked for in this round."""
    failed: int
    refused_by_robots: int
    unchanged: int
    changed: int
    new: int
    gone: int
    """Were there once, or were said to have gone for good."""
    copies: int
    """Name another page as their proper address."""
    redirects: int
    unfed: int
    """Are kept and not in the data yet."""
    left_out: dict[str, int]
    """Addresses that were never asked for, by reason."""
    reasons: dict[str, int]
    """Failures and refusals by reason."""
    bytes: int
    round: int

    @classmethod
    def none(cls) -> Counts:
        """Those of a crawl that has not begun."""
        return cls(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {}, {}, 0, 0)


class Frontier:
    """The frontier of one crawl. Belongs to one thread; one process writes."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the frontier in the crawl's folder, or make one."""
        self._file = SqliteFile(folder / FILE, "crawl", read_only=read_only)
        self._place: int = 0 if read_only else self._file.rows("last_place")[0]["place"]
        self.round: int = int(self.fact("round", 0))
        self._hosts: dict[str, int] = {}
        self._extra: list[str] = self.fact("extra_hosts", [])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def fact(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - any JSON
        """Something that was remembered by name."""
        row = self._file.row("fact", name=name)
        return default if row is None else json.loads(row["value"])

    def remember(self, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON
        """Remember something by name."""
        self._file.run("set_fact", name=name, value=json.dumps(value))

    def begin(self, boundaries: Boundaries, now: float, *, room: bool = True, fresh_seconds: float = 0.0) -> bool:
        """Begin a round, or go on with one that is not over; tell whether it is a new one.

        One that ended at the limit of pages goes on if there is `room` now.
        """
        with self._file.transaction():
            self._follow_boundaries(boundaries)
            complete = self.fact("complete", "")
            fresh = self.round == 0 or complete == "yes" or (complete == "limit" and not room)
            self.remember("complete", "")
            if fresh:
                self.round += 1
                self.remember("round", self.round)
                self._file.run("ask_again", dead_before=now - DEAD_SECONDS, fresh_after=now - fresh_seconds)
                self._file.run("ask_tombstones_again", dead_before=now - DEAD_SECONDS)
            self.add(boundaries.seeds, 0, None, boundaries)
        return fresh

    def complete(self, *, limit: bool) -> None:
        """The round is over: nothing more is to be asked for, or the `limit` of pages is reached.

        A copy of a page that is not there after all is read in its place.
        """
        with self._file.transaction():
            self._file.run("own_copies")
            self.remember("complete", "limit" if limit else "yes")

    def _follow_boundaries(self, boundaries: Boundaries) -> None:
        """Decide anew about what is undecided or was left out, where the boundaries are other ones than before."""
        described = repr(boundaries)
        if self.fact("boundaries") == described:
            return
        for row in self._file.rows("undecided"):
            verdict = boundaries.verdict(row["url"], row["depth"], self._extra)
            if verdict.allowed and row["state"] == "left_out":
                self._file.run("let_in", id=row["id"])
            elif not verdict.allowed and row["kind"] == "page":
                self._file.run("set_aside", id=row["id"], state="left_out", reason=verdict.reason)
        self.remember("boundaries", described)

    def hosts(self) -> list[HostRow]:
        """Hosts with pages that are to be asked for."""
        return [_host(row) for row in self._file.rows("pending_hosts")]

    def host(self, origin: str) -> HostRow:
        """A host by its origin; made if it is not known."""
        return _host(self._file.row("host_of", origin=origin) or self._file.rows("add_host", origin=origin)[0])

    def candidates(self, host: int, now: float, count: int, *, new: bool) -> list[Candidate]:
        """The next pages of a host: those never asked for, the nearest first, then the oldest.

        Without `new` only those that were answered before.
        """
        rows = self._file.rows("next_pages", host=host, now=now, count=count, new=new)
        return [Candidate(**row) for row in rows]

    def next_time(self, host: int, *, new: bool) -> float | None:
        """When the next page of a host may be asked for; None if there is none."""
        row = self._file.row("next_time", host=host, new=new)
        return None if row is None else row["ready_at"]

    def set_robots(self, host: int, robots: dict[str, Any], now: float) -> None:
        """Keep what a robots.txt says."""
        self._file.run("set_robots", id=host, robots=json.dumps(robots), time=now)

    def pace(self, host: int, ready_at: float, failures: int) -> None:
        """Keep until when a host must be left alone, so that a new process does so, too."""
        self._file.run("set_host_pace", id=host, ready_at=ready_at, failures=failures)

    def kept_pages(self) -> int:
        """How many pages there are bodies of."""
        return int(self._file.rows("kept_pages")[0]["pages"])

    def settle_kept(
        self, page: Candidate, answer: Answer, body: str, links: Iterable[int], now: float, *, state: State = "kept"
    ) -> Outcome:
        """A page was answered with `body`; inside the transaction of `answering`."""
        outcome: Outcome = "unchanged" if page.body == body else "changed" if page.body else "new"
        moved = outcome != "unchanged" or page.state not in {"kept", "copy", "list"}
        self._settle(page.id, now, state=state, outcome=outcome, status=answer.status)
        if moved:
            self._place += 1
            self._file.run(
                "keep_body",
                id=page.id,
                type=answer.type,
                body=body,
                size=len(answer.body),
                place=self._place,
                unfed=int(state in {"kept", "copy"}),
                **validators(answer),
            )
            self._file.run("forget_links", page=page.id)
            self._file.many("add_links", [{"page": page.id, "target": link} for link in links])
        else:
            self._file.run("refresh_validators", id=page.id, **validators(answer))
        return outcome

    def settle_unchanged(self, page: Candidate, now: float) -> None:
        """The server says that nothing is new."""
        state: State = page.state if page.state in {"kept", "copy", "list"} else "kept"
        self._settle(page.id, now, state=state, outcome="unchanged", status=304, keep_target=True)

    def settle_redirect(self, page: Candidate, target: int, status: int, now: float) -> bool:
        """A page leads to another; False if that ends where it began, or not soon."""
        reason = "redirect_loop" if self._leads_to(target, page.id) else ""
        reason = reason or ("too_many_redirects" if self._hops_to(page.id) >= _MOST_HOPS else "")
        state: State = "failed" if reason else "redirect"
        self._settle(page.id, now, state=state, reason=reason, status=status, target=target)
        return not reason

    def abandon(self, page: int) -> None:
        """Do not ask for a page that was never asked for, and to which only too many redirects lead."""
        row = self.page(page)
        if row is not None and row["state"] == "waiting":
            self.set_aside(page, "left_out", "too_many_redirects")

    def settle_copy(self, page: Candidate, target: int) -> None:
        """A page that was just kept is a copy of another, which is the one to be read."""
        self._file.run("settle_copy", id=page.id, target=target)

    def settle_failed(self, page: Candidate, state: State, reason: str, now: float, status: int | None = None) -> None:
        """A page was not to be had."""
        self._settle(page.id, now, state=state, reason=reason, status=status)

    def set_kind(self, page: int, kind: str) -> None:
        """Say that an address is a page, or a list."""
        self._file.run("set_kind", id=page, kind=kind)

    def set_aside(self, page: int, state: State, reason: str) -> None:
        """Do not ask for a page in this round."""
        self._file.run("set_aside", id=page, state=state, reason=reason)

    def postpone(self, page: Candidate, ready_at: float, reason: str) -> None:
        """Ask for a page again later."""
        self._file.run("postpone", id=page.id, attempts=page.attempts + 1, ready_at=ready_at, reason=reason)

    def give_up(self, host: int, reason: str) -> int:
        """Ask for no page of a host any more in this round; tell how many that were."""
        return self._file.run("give_up_host", host=host, reason=reason)

    def answering(self) -> Any:  # noqa: ANN401 - a context manager
        """The transaction that one answer is kept in."""
        return self._file.transaction()

    def add(
        self, addresses: Sequence[str], depth: int, found_on: int | None, boundaries: Boundaries, kind: str = "page"
    ) -> list[int]:
        """Make addresses known, and give the ids of all of them; inside the transaction of `answering`."""
        if not addresses:
            return []
        asked = json.dumps(list(addresses))
        ids = {row["url"]: row["id"] for row in self._file.rows("known_pages", urls=asked)}
        for address in addresses:
            if address not in ids:
                ids[address] = self._insert(address, depth, found_on, kind, boundaries)
        return [ids[address] for address in addresses]

    def _insert(self, address: str, depth: int, found_on: int | None, kind: str, boundaries: Boundaries) -> int:
        origin = origin_of(address)
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = self.host(origin).id
        verdict = boundaries.verdict(address, depth, self.extra_hosts())
        allowed, reason = verdict.allowed, "" if verdict.allowed else verdict.reason
        if allowed and verdict.reason != "given":
            there = self._file.rows("folder_pages", host=host, path=folder_of(address))[0]["pages"]
            if there > boundaries.folder_pages:
                allowed, reason = False, "folder_full"
        state = "waiting" if allowed else "left_out"
        facts = {"url": address, "host": host, "depth": depth, "found_on": found_on, "kind": kind}
        row = self._file.rows("add_page", **facts, state=state, reason=reason, pending=int(allowed))[0]
        return int(row["id"])

    def extra_hosts(self) -> list[str]:
        """Hosts to which an address that was given redirects; they belong to the crawl."""
        return self._extra

    def welcome(self, address: str) -> None:
        """Let the host of an address belong to the crawl."""
        if name_of(address) not in self._extra:
            self._extra = [*self._extra, name_of(address)]
            self.remember("extra_hosts", self._extra)

    def page(self, page: int) -> dict[str, Any] | None:
        """All that is known of a page."""
        return self._file.row("page", id=page)

    def find(self, address: str) -> dict[str, Any] | None:
        """All that is known of an address."""
        return self._file.row("page_by_url", url=address)

    def robots_of(self, address: str) -> str | None:
        """What the robots.txt of an address's host said to us, if it was asked for."""
        row = self._file.row("host_of", origin=origin_of(address))
        return None if row is None else row["robots"]

    def _settle(
        self,
        page: int,
        now: float,
        *,
        state: State,
        reason: str = "",
        outcome: Outcome = "",
        status: int | None = None,
        target: int | None = None,
        keep_target: bool = False,
    ) -> None:
        if keep_target:
            row = self._file.row("page", id=page)
            target = None if row is None else row["target"]
        facts = {"state": state, "reason": reason, "outcome": outcome, "status": status, "target": target}
        self._file.run("settle", id=page, fetched=now, round=self.round, **facts)

    def _leads_to(self, start: int, end: int) -> bool:
        """Whether a chain of redirects leads from one page to another, or goes on for too long."""
        at: int | None = start
        for _ in range(_MOST_HOPS):
            if at == end:
                return True
            row = None if at is None else self._file.row("page", id=at)
            if row is None or row["state"] != "redirect":
                return False
            at = row["target"]
        return True

    def _hops_to(self, page: int) -> int:
        """How many redirects lead to a page, one after the other."""
        for hops in range(_MOST_HOPS):
            row = self._file.row("leads_here", id=page)
            if row is None:
                return hops
            page = row["id"]
        return _MOST_HOPS

    def unfed(self, after: int, count: int) -> list[KeptPage]:
        """Kept pages that are not in the data yet, in the order of their arrival, behind place `after`."""
        rows = self._file.rows("unfed_pages", after=after, count=count)
        return [KeptPage(**{**row, "chrome": _lines(row["chrome"])}) for row in rows]

    def still_pending(self, host: int, *, new: bool) -> bool:
        """Whether more pages of a host are to be asked for."""
        return bool(self._file.rows("pending_on_host", host=host, new=new)[0]["pending"])

    def set_chrome(self, host: int, lines: Iterable[str]) -> None:
        """Fix which lines of a host's pages count as chrome."""
        self._file.run("set_chrome", id=host, chrome=json.dumps(sorted(lines), ensure_ascii=False))

    def fed(self, pages: Iterable[tuple[int, int]]) -> None:
        """Pages (id, place) are in the data now; one that has changed meanwhile stays unfed."""
        for page, place in pages:
            self._file.run("fed", id=page, place=place)

    def counts(self) -> Counts:
        """Where the pages are."""
        rows = self._file.rows("counts")
        of: dict[str, int] = {}
        left_out: dict[str, int] = {}
        reasons: dict[str, int] = {}
        for row in rows:
            if row["kind"] == "page":
                of[row["state"]] = of.get(row["state"], 0) + row["pages"]
                into = {"left_out": left_out, "failed": reasons, "refused": reasons}.get(row["state"])
                if into is not None:
                    into[row["reason"]] = into.get(row["reason"], 0) + row["pages"]
        outcomes = {row["outcome"]: row["pages"] for row in self._file.rows("outcomes", round=self.round)}
        return Counts(
            pages=of.get("kept", 0),
            pending=sum(row["pending"] for row in rows),
            failed=of.get("failed", 0) + of.get("refused", 0),
            refused_by_robots=of.get("robots", 0),
            unchanged=outcomes.get("unchanged", 0),
            changed=outcomes.get("changed", 0),
            new=outcomes.get("new", 0),
            gone=of.get("gone", 0),
            copies=of.get("copy", 0),
            redirects=of.get("redirect", 0),
            unfed=sum(row["unfed"] for row in rows if row["state"] == "kept"),
            left_out=dict(sorted(left_out.items())),
            reasons=dict(sorted(reasons.items())),
            bytes=self._file.rows("bytes_kept")[0]["bytes"],
            round=self.round,
        )

    def troubles(self, count: int) -> list[dict[str, Any]]:
        """Pages that were not to be had, with their reasons."""
        return self._file.rows("failures", count=count)

    def listed(self, state: str, count: int) -> list[dict[str, Any]]:
        """Addresses: the `next` to be asked for, those that answered last (`asked`), or those in one state."""
        if state == "next":
            return self._file.rows("pages_to_ask", count=count)
        if state == "asked":
            return self._file.rows("pages_asked", count=count)
        return self._file.rows("pages_in_state", state=state, count=count)

    def export(self) -> Iterator[dict[str, Any]]:
        """Every kept page with its facts; a few at a time are in memory, and a crawl may go on meanwhile."""
        after = 0
        while rows := self._file.rows("export", after=after, count=_ROWS_AT_ONCE):
            after = rows[-1]["id"]
            for row in rows:
                del row["id"]
                yield row


def validators(answer: Answer) -> dict[str, str]:
    """What to ask with next time, so that only news is sent."""
    return {"etag": answer.header("etag")[:512], "last_modified": answer.header("last-modified")[:128]}


def _host(row: dict[str, Any]) -> HostRow:
    return HostRow(row["id"], row["origin"], row["robots"], row["robots_time"], row["ready_at"], row["failures"])


def _lines(stored: str | None) -> tuple[str, ...] | None:
    return None if stored is None else tuple(json.loads(stored))
