"""Operations on crawls: crawl start, status, pages, pause, resume, rules, export."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from treadle.base.errors import NotReadyError, UsageError
from treadle.jobs.handle import QueuedJob
from treadle.jobs.job import ACTIVE, WAITING
from treadle.jobs.presence import announce, worker_lives
from treadle.jobs.request import JobOptions, JobRequest
from treadle.operations.operation import SettingsSection, operation
from treadle.registry.catalogue import load
from treadle.store.crawls import CrawlCard, CrawlCards, now
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.jobs.job import Job
    from treadle.jobs.ledger import Ledger

_SETTINGS = SettingsSection("crawl", "treadle.data.crawl.config:CrawlSettings")
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class CrawlPayload:
    """Which crawl to go on with, as it was asked for."""

    crawl: str
    """Its name."""
    seeds: tuple[str, ...]
    model: str | None
    """Id of the model to feed."""
    dataset: str | None
    """Name of the dataset to add to."""
    allow_private: bool
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CrawlStatus:
    """Where the pages of one crawl are; numbers of addresses unless said otherwise."""

    name: str
    state: str
    """`running`, `waiting`, `paused`, `stopped` (goes on with the same command), `complete`, or `limited`, which is
    complete but for its limit of pages."""
    seeds: list[str]
    target: str
    """The model or dataset that its pages go to."""
    job: int | None
    """The job that crawls, or that waits to."""
    round: int
    pages: int
    """Are kept."""
    pending: int
    """Are still to be asked for in this round."""
    failed: int
    """Were not to be had, or were refused by type or size."""
    refused_by_robots: int
    unchanged: int
    """Of this round: had not changed since the last."""
    changed: int
    new: int
    gone: int
    copies: int
    """Name another page as their proper address."""
    redirects: int
    unfed: int
    """Are kept and not in the data yet."""
    left_out: dict[str, int]
    """Addresses that were never asked for, by reason."""
    reasons: dict[str, int]
    """Failures by reason."""
    bytes: int
    troubles: list[dict[str, Any]]
    """A few pages that were not to be had."""


@dataclass(frozen=True, slots=True)
class CrawlStatusList:
    """Crawls and where their pages are."""

    crawls: list[CrawlStatus]


@dataclass(frozen=True, slots=True)
class CrawlPages:
    """Some addresses of a crawl's frontier."""

    name: str
    which: str
    pages: list[dict[str, Any]]
    """Each with `url`, `state`, `reason`, `pending`, `status`, `depth`, `size`, `fetched` (seconds since 1970, 0 =
    never), `attempts`, `found_on`."""


@dataclass(frozen=True, slots=True)
class CrawlRules:
    """The rules of this workspace, and what they say about an address."""

    rules: list[str]
    said: str
    test: dict[str, Any] | None
    """`url`, `allowed`, `reason`, `rule` (what decided), `state` (what came of it in the crawl)."""


@dataclass(frozen=True, slots=True)
class CrawlExport:
    """A file of pages."""

    path: str
    pages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CrawlChange:
    """A crawl that was paused."""

    name: str
    jobs: list[int]
    said: str


@dataclass(frozen=True, slots=True)
class CrawlRequest(JobRequest):
    """A request for a crawl; asked for twice, the job that is there already is followed."""

    def submit(self, options: JobOptions | None = None, *, before: Callable[[str], None] | None = None) -> QueuedJob:
        """See `JobRequest`."""
        ledger = _ledger(self.workspace)
        there = _open_job(ledger, self.queue)
        queue = ledger.queue(self.queue)
        if queue is not None and queue.paused is not None:
            ledger.resume(self.queue)  # who asks for a crawl does not want it to rest
        if there is None:
            ledger.close()
            return JobRequest.submit(self, options, before=before)
        if there.payload != json.loads(json.dumps(self.payload)):
            ledger.close()
            raise NotReadyError(
                f"`{self.payload['crawl']}` is crawled by job {there.id} with other settings. Stop it first, then ask "
                f"again: treadle jobs stop {there.id}"
            )
        announce(self.workspace)
        return QueuedJob(self.workspace, ledger, there)


@operation(
    "heavy",
    noun="crawl",
    examples=(
        "treadle crawl start https://docs.example.org/ --into diary",
        "treadle crawl start https://example.org/blog/ --dataset blog --depth 3 --max-pages 500",
        "treadle crawl start http://localhost:8000/ --into diary --allow-private --rate 20",
    ),
)
def start(
    workspace: WorkspaceFolder,
    urls: Annotated[list[str], "addresses to begin at"],
    *,
    into: Annotated[str | None, "model to feed with the pages"] = None,
    dataset: Annotated[str | None, "dataset to add the pages to, instead"] = None,
    name: Annotated[str | None, "name of the crawl; the first host unless given"] = None,
    allow_private: Annotated[bool, "also ask hosts in private networks, and this machine"] = False,
    settings: Annotated[dict[str, Any], _SETTINGS] = {},  # noqa: B006 - never changed
) -> JobRequest:
    """Crawl a site into a model or dataset. The same command goes on after a stop, and later asks for news only.

    `treadle crawl ADDRESS` is short for it. robots.txt is obeyed, each host is asked one thing at a time, and the pages
    are fed while the crawl goes on. Ctrl-C leaves it running.
    """
    seeds, checked = load("treadle.recipes.crawl_boundaries:checked")(urls, settings)
    if (into is None) == (dataset is None):
        raise UsageError("Say where the pages go: --into MODEL or --dataset NAME.")
    if dataset is not None and "mode" in settings:
        raise UsageError("A dataset's own settings say how pages are read (html=...); leave --mode out.")
    model = None if into is None else ModelCards(workspace).get(into)
    load("treadle.recipes.crawl_targets:check_target")(workspace, model, dataset)
    cards = CrawlCards(workspace)
    chosen = name or load("treadle.data.crawl.urls:name_of")(seeds[0]).strip("[]").replace(":", ".")
    card = CrawlCard(chosen, now(), seeds, model.id if model else None, dataset, allow_private, checked)
    before = cards.find(chosen)
    if before is not None:
        if (before.model, before.dataset) != (card.model, card.dataset):
            raise UsageError(
                f"There is a crawl `{chosen}` already, and its pages go elsewhere. Give this one another --name."
            )
        if name is None and before.seeds != seeds:
            raise UsageError(
                f"There is a crawl `{chosen}` already, which began at {', '.join(before.seeds[:3])}. To go on with it "
                f"from these addresses give --name {chosen}; for another crawl, another name."
            )
        card = CrawlCard(chosen, before.created, seeds, card.model, dataset, allow_private, checked)
    announce(workspace, "crawl")
    request = _request(workspace, card)
    cards.keep(card)
    return request


@operation(
    "light",
    effect="reads",
    noun="crawl",
    examples=("treadle crawl status", "treadle crawl status docs.example.org --json"),
)
def status(
    workspace: WorkspaceFolder, name: Annotated[str | None, "name of the crawl; all of them unless given"] = None
) -> CrawlStatusList:
    """Show where the pages of a crawl are: kept, pending, failed, refused by robots.txt, unchanged, changed."""
    cards = CrawlCards(workspace)
    chosen = cards.all() if name is None else [cards.get(name)]
    with _ledger(workspace) as ledger:
        return CrawlStatusList([_status(workspace, ledger, card) for card in chosen])


@operation(
    "light",
    effect="reads",
    noun="crawl",
    examples=("treadle crawl pages docs.example.org", "treadle crawl pages docs.example.org --which failed --json"),
)
def pages(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the crawl"],
    *,
    which: Annotated[
        Literal["next", "asked", "kept", "copy", "redirect", "failed", "robots", "refused", "gone", "left_out"],
        "next = to be asked for, in this order; asked = the last that answered; or what came of them",
    ] = "next",
    count: Annotated[int, "at most this many"] = 50,
) -> CrawlPages:
    """List addresses of a crawl: what it asks for next, what answered last, or those of which the same came."""
    if not 1 <= count <= _MOST_PAGES:
        raise UsageError(f"--count must be between 1 and {_MOST_PAGES}, not {count}.")
    card = CrawlCards(workspace).get(name)
    return CrawlPages(card.name, which, load("treadle.recipes.crawl_targets:pages")(workspace, card, which, count))


@operation("light", noun="crawl", examples=("treadle crawl pause docs.example.org",))
def pause(workspace: WorkspaceFolder, name: Annotated[str, "name of the crawl"]) -> CrawlChange:
    """Let a crawl rest: what was asked for is kept, nothing more is asked until it is resumed."""
    card = CrawlCards(workspace).get(name)
    with _ledger(workspace) as ledger:
        queue = _queue_of(card.name)
        if ledger.queue(queue) is None:
            raise NotReadyError(f"`{name}` is not crawled. Go on with it: treadle crawl resume {name}")
        asked = ledger.pause(queue, "now")
    if worker_lives(workspace):
        announce(workspace)
    return CrawlChange(name, asked, f"`{name}` is paused. Go on with it: treadle crawl resume {name}")


@operation("following", noun="crawl", examples=("treadle crawl resume docs.example.org",))
def resume(workspace: WorkspaceFolder, name: Annotated[str, "name of the crawl"]) -> QueuedJob:
    """Go on with a crawl that was paused or stopped, as it was asked for last; one that is complete asks for news."""
    card = CrawlCards(workspace).get(name)
    announce(workspace, "crawl")
    return _request(workspace, card).submit()


@operation(
    "light",
    noun="crawl",
    examples=(
        "treadle crawl rules list",
        "treadle crawl rules add domain:ads.example",
        "treadle crawl rules remove domain:ads.example",
        "treadle crawl rules test https://docs.example.org/private/ --crawl docs.example.org",
    ),
)
def rules(
    workspace: WorkspaceFolder,
    action: Annotated[str, "list, add, remove or test"],
    value: Annotated[str, "the rule (exact:, domain:, prefix:, path:, regex:), or the address to test"] = "",
    *,
    crawl: Annotated[str | None, "test as this crawl would decide, robots.txt included"] = None,
) -> CrawlRules:
    """See and change what no crawl of this workspace may ask for, and test what decides about an address."""
    cards = CrawlCards(workspace)
    if action not in {"list", "add", "remove", "test"}:
        raise UsageError(f"`{action}` cannot be done with rules: list, add, remove or test.")
    if action == "list":
        return CrawlRules(cards.rules(), "", None)
    if action == "test":
        if not value:
            raise UsageError("Give the address: treadle crawl rules test ADDRESS")
        card = None if crawl is None else cards.get(crawl)
        found = load("treadle.recipes.crawl_boundaries:tested")(workspace, value, card)
        return CrawlRules(cards.rules(), "", found)
    rule = load("treadle.recipes.crawl_boundaries:written")(value)
    if action == "add":
        return CrawlRules(cards.change_rules(add=rule), f"No crawl asks for what {rule} matches.", None)
    if rule not in cards.rules():
        raise UsageError(f"There is no rule `{rule}`. There are: {', '.join(cards.rules()) or 'none'}.")
    return CrawlRules(cards.change_rules(remove=rule), f"The rule {rule} is gone.", None)


@operation(
    "light",
    effect="reads",
    noun="crawl",
    examples=(
        "treadle crawl export docs.example.org pages.jsonl",
        "treadle crawl export docs.example.org pages.warc.gz",
    ),
)
def export(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the crawl"],
    path: Annotated[Path, "file to write: .jsonl (one page a line), .warc or .warc.gz"],
) -> CrawlExport:
    """Write the kept pages, as they came, into one file."""
    card = CrawlCards(workspace).get(name)
    return CrawlExport(**load("treadle.recipes.crawl_export:export")(workspace, card, path))


def _request(workspace: WorkspaceFolder, card: CrawlCard) -> JobRequest:
    payload = CrawlPayload(card.name, card.seeds, card.model, card.dataset, card.allow_private, dict(card.settings))
    return CrawlRequest(workspace, _queue_of(card.name), "crawl", asdict(payload), "light")


def _queue_of(name: str) -> str:
    return f"crawl:{name}"


def _ledger(workspace: WorkspaceFolder) -> Ledger:
    ledger: Ledger = load("treadle.jobs.ledger:Ledger").open(workspace)
    return ledger


def _open_job(ledger: Ledger, queue: str) -> Job | None:
    return next(iter(ledger.jobs(queue, (*ACTIVE, *WAITING))), None)


def _status(workspace: WorkspaceFolder, ledger: Ledger, card: CrawlCard) -> CrawlStatus:
    queue = ledger.queue(_queue_of(card.name))
    job = None if queue is None else _open_job(ledger, queue.id)
    facts = load("treadle.recipes.crawl_targets:facts")(workspace, card)
    complete = facts.pop("complete")
    if queue is not None and queue.paused is not None and job is not None:
        state = "paused"
    elif job is not None:
        state = "waiting" if job.waiting else "running"
    else:
        state = {"": "stopped", "limit": "limited"}.get(complete, "complete")
    return CrawlStatus(name=card.name, state=state, seeds=list(card.seeds), job=job.id if job else None, **facts)
