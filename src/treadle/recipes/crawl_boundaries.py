"""What a crawl may follow: its own settings together with the rules of the workspace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.data.crawl.config import CrawlSettings, checked_settings
from treadle.data.crawl.frontier import FILE, Frontier
from treadle.data.crawl.robots import Robots
from treadle.data.crawl.rules import Boundaries, parse_rule
from treadle.data.crawl.urls import normalise
from treadle.store.crawls import CrawlCards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.store.crawls import CrawlCard
    from treadle.store.workspace import WorkspaceFolder


def checked(urls: Sequence[str], given: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The addresses in their one spelling, and all settings; raises `UsageError`."""
    settings = checked_settings(dict(given))
    seeds = [normalise(_with_scheme(url), strip_tracking=settings["strip_tracking"]) for url in urls]
    return tuple(dict.fromkeys(seeds)), settings


def _with_scheme(url: str) -> str:
    """An address as people write it, `example.org/docs`, becomes one of https."""
    head = url.partition("/")[0]
    return f"https://{url}" if "://" not in url and "." in head and ":" not in head.partition(".")[0] else url


def boundaries_of(workspace: WorkspaceFolder, seeds: Sequence[str], settings: CrawlSettings) -> Boundaries:
    """The boundaries of a crawl that begins at `seeds`."""
    return Boundaries(
        seeds=tuple(seeds),
        scope=settings.scope,
        blocked=tuple(map(parse_rule, CrawlCards(workspace).rules())),
        include=tuple(map(parse_rule, settings.include)),
        exclude=tuple(map(parse_rule, settings.exclude)),
        depth=settings.depth,
        url_length=settings.url_length,
        folder_pages=settings.folder_pages,
    )


def tested(workspace: WorkspaceFolder, url: str, card: CrawlCard | None) -> dict[str, Any]:
    """What decides about an address: the limits of addresses, the rules, the crawl's boundaries, robots.txt."""
    address = normalise(_with_scheme(url))
    if card is None:
        rule = next((rule for rule in map(parse_rule, CrawlCards(workspace).rules()) if rule.matches(address)), None)
        said = "no rule of this workspace matches" if rule is None else str(rule)
        return {"url": address, "allowed": rule is None, "reason": "rule" if rule else "", "rule": said, "state": None}
    settings = CrawlSettings.model_validate(card.settings)
    boundaries = boundaries_of(workspace, card.seeds, settings)
    folder = CrawlCards(workspace).folder(card)
    if not (folder / FILE).is_file():
        verdict = boundaries.verdict(address)
        return {
            "url": address,
            "allowed": verdict.allowed,
            "reason": verdict.reason,
            "rule": verdict.rule,
            "state": None,
        }
    with Frontier(folder, read_only=True) as frontier:
        row = frontier.find(address)
        robots = frontier.robots_of(address)
        verdict = boundaries.verdict(address, row["depth"] if row else 0, frontier.extra_hosts())
    found = {"url": address, "allowed": verdict.allowed, "reason": verdict.reason, "rule": verdict.rule}
    if verdict.allowed and robots is not None:
        allowed, line = Robots.from_json(json.loads(robots)).decide(address)
        if line is not None:
            found |= {"allowed": allowed, "reason": "robots", "rule": str(line)}
    state = None if row is None else f"{row['state']}{f' ({reason})' if (reason := row['reason']) else ''}"
    return {**found, "state": state}


def written(rule: str) -> str:
    """A rule in its one spelling; raises `UsageError`."""
    if not rule.strip():
        raise UsageError("Give the rule, such as: treadle crawl rules add domain:ads.example")
    return str(parse_rule(rule))
