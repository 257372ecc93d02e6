"""Where the pages of a crawl go, and where they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, NotFoundError, UsageError
from treadle.models.catalog import FAMILIES
from treadle.recipes.settings import settings_of_model
from treadle.store.crawls import CrawlCards
from treadle.store.datasets import DatasetCards
from treadle.store.models import ModelCards

if TYPE_CHECKING:
    from treadle.store.crawls import CrawlCard
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder


def check_target(workspace: WorkspaceFolder, model: ModelCard | None, dataset: str | None) -> None:
    """Refuse what pages cannot go to, and a machine on which crawling is not installed."""
    try:
        import httpcore  # noqa: F401 - only whether it is there
        import selectolax.lexbor  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("Crawling needs an extra. Install it: pip install 'treadle[crawl]'") from error
    if dataset is not None:
        DatasetCards(workspace).get(dataset)
    if model is not None:
        family = FAMILIES.get(settings_of_model(workspace, model).values()["family"]["name"])
        if family.needs != "tokens":
            raise UsageError(f"`{model.name}` learns from {family.needs}, not from the text of pages.")


def facts(workspace: WorkspaceFolder, card: CrawlCard) -> dict[str, Any]:
    """Where the pages of a crawl are, for its status."""
    from treadle.data.crawl.frontier import FILE, Counts, Frontier

    folder = CrawlCards(workspace).folder(card)
    found: dict[str, Any] = {"target": _target(workspace, card), "complete": "", "troubles": []}
    if not (folder / FILE).is_file():
        return found | asdict(Counts.none())
    try:
        opened = Frontier(folder, read_only=True)
    except NotFoundError:  # its first moment
        return found | asdict(Counts.none())
    with opened as frontier:
        complete = frontier.fact("complete", "")
        return found | asdict(frontier.counts()) | {"complete": complete, "troubles": frontier.troubles(10)}


def pages(workspace: WorkspaceFolder, card: CrawlCard, state: str, count: int) -> list[dict[str, Any]]:
    """Some addresses of a crawl's frontier; none before its first moment."""
    from treadle.data.crawl.frontier import FILE, Frontier

    folder = CrawlCards(workspace).folder(card)
    if not (folder / FILE).is_file():
        return []
    try:
        opened = Frontier(folder, read_only=True)
    except NotFoundError:
        return []
    with opened as frontier:
        return [{**row, "pending": bool(row["pending"])} for row in frontier.listed(state, count)]


def _target(workspace: WorkspaceFolder, card: CrawlCard) -> str:
    if card.model is None:
        return f"dataset {card.dataset}"
    try:
        return f"model {ModelCards(workspace).get(card.model).name}"
    except NotFoundError:
        return f"model {card.model}, which is gone"
