"""The cards of named datasets: how each is made, and which of its versions have names of their own."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.files import locked, write_text
from treadle.base.names import check_name, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

CARD_FILE = "dataset.yaml"


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """What a person decided about a dataset. Its documents stand in its versions."""

    name: str
    created: str
    """ISO 8601, UTC."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those that differ from the defaults."""
    tags: Mapping[str, int] = field(default_factory=dict)
    """Names of versions."""


class DatasetCards:
    """The named datasets of one workspace, read from their files each time."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Work on the datasets of `workspace`."""
        self._root = workspace.datasets

    def all(self) -> list[DatasetCard]:
        """All of them, by name."""
        return sorted((_read(path) for path in self._root.glob(f"*/{CARD_FILE}")), key=lambda card: card.name)

    def get(self, name: str) -> DatasetCard:
        """Find one; raises `NotFoundError` with the known names."""
        card = self.find(name)
        if card is None:
            known = [one.name for one in self.all()]
            said = (
                f"Known: {', '.join(known)}." if known else "There is none yet; make it with `treadle data new NAME`."
            )
            raise NotFoundError(f"Unknown dataset `{name[:64]}`.{did_you_mean(name, known)} {said}")
        return card

    def find(self, name: str) -> DatasetCard | None:
        """Find one; None if there is none of this name."""
        path = self._root / name / CARD_FILE
        return _read(path) if "/" not in name and path.is_file() else None

    def folder(self, card: DatasetCard) -> Path:
        """Folder of everything that belongs to the dataset."""
        return self._root / card.name

    def create(self, name: str, settings: Mapping[str, Any]) -> DatasetCard:
        """Make a dataset without versions; raises `UsageError` for a taken or impossible name."""
        check_name("dataset", name)
        if name.startswith("m-"):
            raise UsageError(f"{name!r} cannot be the name of a dataset: names beginning with m- are ids of models.")
        with locked(self._root / ".lock"):
            if self.find(name) is not None:
                raise UsageError(f"A dataset named `{name}` exists already. See it with `treadle data show {name}`.")
            created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            card = DatasetCard(name, created, dict(settings))
            self._write(card)
        return card

    def tag(self, name: str, tag: str, version: int | None) -> DatasetCard:
        """Give a version a name, or take the name away (None)."""
        check_name("tag", tag)
        if tag.isdecimal():
            raise UsageError(f"{tag!r} cannot be the name of a tag: it would be taken for a version's number.")
        with locked(self._root / ".lock"):
            card = self.get(name)
            tags = {key: value for key, value in card.tags.items() if key != tag}
            if version is not None:
                tags[tag] = version
            card = replace(card, tags=tags)
            self._write(card)
        return card

    def _write(self, card: DatasetCard) -> None:
        write_text(self.folder(card) / CARD_FILE, yaml.safe_dump(asdict(card), sort_keys=False, allow_unicode=True))


def _read(path: Path) -> DatasetCard:
    try:
        return DatasetCard(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path} is not the card of a dataset ({reason}). Restore it, or move its folder away."
        ) from error
