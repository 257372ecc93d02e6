"""The cards of the crawls: what a person asked for. What came of it stands in each crawl's frontier."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, NotFoundError
from treadle.base.files import locked, read_json, write_json
from treadle.base.names import check_name, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

CARD_FILE = "crawl.json"
RULES_FILE = "rules.json"


@dataclass(frozen=True, slots=True)
class CrawlCard:
    """One crawl as it was asked for last."""

    name: str
    created: str
    """ISO 8601, UTC."""
    seeds: tuple[str, ...]
    model: str | None
    """Id of the model that is fed, or None."""
    dataset: str | None
    """Name of the dataset that is added to, or None."""
    allow_private: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


class CrawlCards:
    """The crawls of one workspace, read from their files each time."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Work on the crawls of `workspace`."""
        self._root = workspace.root / "crawls"

    def all(self) -> list[CrawlCard]:
        """All of them, by name."""
        return sorted((_read(path) for path in self._root.glob(f"*/{CARD_FILE}")), key=lambda card: card.name)

    def find(self, name: str) -> CrawlCard | None:
        """Find one; None if there is none of this name."""
        path = self._root / name / CARD_FILE
        return _read(path) if "/" not in name and path.is_file() else None

    def get(self, name: str) -> CrawlCard:
        """Find one; raises `NotFoundError` with the known names."""
        card = self.find(name)
        if card is None:
            known = [one.name for one in self.all()]
            said = (
                f"Known: {', '.join(known)}."
                if known
                else "There is none yet; begin one with `treadle crawl ADDRESS --into MODEL`."
            )
            raise NotFoundError(f"Unknown crawl `{name[:64]}`.{did_you_mean(name, known)} {said}")
        return card

    def folder(self, card: CrawlCard) -> Path:
        """Folder of everything that belongs to the crawl."""
        return self._root / card.name

    def keep(self, card: CrawlCard) -> None:
        """Keep what was asked for, in place of what was asked for before."""
        check_name("crawl", card.name)
        write_json(self.folder(card) / CARD_FILE, asdict(card))

    def rules(self) -> list[str]:
        """The rules that every crawl of this workspace obeys, as they are written."""
        path = self._root / RULES_FILE
        found: list[str] = read_json(path)["blocked"] if path.is_file() else []
        return found

    def change_rules(self, add: str | None = None, remove: str | None = None) -> list[str]:
        """Add a rule, or take one away; return those that there are then."""
        self._root.mkdir(exist_ok=True)
        with locked(self._root / ".lock"):
            rules = [rule for rule in self.rules() if rule not in {add, remove}]
            if add is not None:
                rules.append(add)
            write_json(self._root / RULES_FILE, {"blocked": rules})
        return rules


def now() -> str:
    """This moment, as cards write it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _read(path: Path) -> CrawlCard:
    try:
        fields = read_json(path)
        return CrawlCard(**{**fields, "seeds": tuple(fields["seeds"])})
    except (TypeError, KeyError) as error:
        raise DataError(f"{path} is not the card of a crawl ({error}). Restore it, or move its folder away.") from error
