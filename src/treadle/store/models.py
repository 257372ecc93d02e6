"""The cards of the models: what a person decided about each. What happened stands in checkpoints and runs."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from treadle.base.errors import DataError, NotFoundError, NotReadyError, UsageError
from treadle.base.files import locked, new_folder, remove_leftovers, write_text
from treadle.base.ids import new_id
from treadle.base.names import check_name, did_you_mean
from treadle.store.model_copies import copy_data, fill_copy, remove_unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

CARD_FILE = "model.yaml"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model's identity and the settings chosen for it. The id never changes; the name is one field."""

    id: str
    name: str
    created: str
    """ISO 8601, UTC."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """In the shape of a settings file: `defaults` chooses the presets of size and family, sections set single keys."""
    experiment: str | None = None
    """Id of the experiment that it is a cell of."""
    copied_from: Mapping[str, str] | None = None
    """Of a copy: `id` and `name` of the model that it was made of."""
    imported_from: Mapping[str, Any] | None = None
    """Of a model whose first weights came from elsewhere: `name`, `format`, `sha256` and `licence` of what came."""

    @property
    def family(self) -> str:
        """Name of the preset of the family."""
        return self._preset("family")

    @property
    def network(self) -> str:
        """Name of the family itself: a preset may have another one, such as `vit` or `gpt2`."""
        section: Mapping[str, Any] = self.settings.get("family", {})
        return str(section.get("name", self.family))

    @property
    def size(self) -> str:
        """Name of the preset of the size."""
        return self._preset("size")

    def _preset(self, group: str) -> str:
        key = f"override /{group}"
        return next((str(choice[key]) for choice in self.settings.get("defaults", []) if key in choice), "")


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a card takes 1 ms instead of 12, and a name reads all


class ModelCards:
    """The models of one workspace, read from their files each time: the files are the truth."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Work on the models of `workspace`."""
        self._workspace = workspace

    def all(self) -> list[ModelCard]:
        """All models whose cards can be read, by name."""
        return self._scan()[0]

    def damaged(self) -> list[DataError]:
        """What is wrong with the cards that cannot be read; each names its file and the remedy."""
        return self._scan()[1]

    def _scan(self) -> tuple[list[ModelCard], list[DataError]]:
        cards: list[ModelCard] = []
        damaged: list[DataError] = []
        for folder in sorted(self._workspace.models.glob("m-*")):
            if folder.is_symlink():
                continue
            try:
                cards.append(_read(folder / CARD_FILE))
            except DataError as error:
                damaged.append(error)
        return sorted(cards, key=lambda card: card.name), damaged

    def get(self, name: str) -> ModelCard:
        """Find a model by name or id; raises `NotFoundError` with the known names and the next step."""
        cards = self.all()
        for card in cards:
            if name in (card.name, card.id):
                return card
        known = [card.name for card in cards]
        hint = (
            f"Known: {', '.join(known)}." if known else f"There is none yet; make it with `treadle new {_plain(name)}`."
        )
        raise NotFoundError(f"Unknown model `{_plain(name)}`.{did_you_mean(name, known)} {hint}")

    def folder(self, card: ModelCard) -> Path:
        """Folder of everything that belongs to the model."""
        return self._workspace.models / card.id

    def create(self, name: str, settings: Mapping[str, Any], *, experiment: str | None = None) -> ModelCard:
        """Make a model all at once; raises `UsageError` for a taken or impossible name."""
        return self._create(ModelCard(new_id("m"), name, _now(), dict(settings), experiment))

    def create_from(
        self, name: str, settings: Mapping[str, Any], origin: Mapping[str, Any], fill: Callable[[Path], None]
    ) -> ModelCard:
        """The same of a model that knows something: `fill` writes it into the folder, which appears when it is done."""
        return self._create(ModelCard(new_id("m"), name, _now(), dict(settings), imported_from=dict(origin)), fill)

    def _create(self, card: ModelCard, fill: Callable[[Path], None] = lambda _: None) -> ModelCard:
        check_name("model", card.name)
        with locked(self._workspace.models / ".lock"):
            self._require_free(card.name)
            with new_folder(self.folder(card)) as folder:
                fill(folder)
                _write(folder / CARD_FILE, card)
            self._tend()
        return card

    def require_free(self, name: str) -> None:
        """Raise `UsageError` for a name that is taken or impossible, before anything is prepared."""
        self._require_free(check_name("model", name))

    def copy(self, source: ModelCard, name: str, empty: Iterable[str] = ()) -> ModelCard:
        """Make a second model that knows what `source` knows, all at once; `empty` names folders to make anew.

        Raises `UsageError` for a taken or impossible name.
        """
        check_name("model", name)
        with locked(self._workspace.models / ".lock"):
            self._require_free(name)
            self._tend()
            now = self._current(source)
            origin = {"id": now.id, "name": now.name}
            card = ModelCard(
                new_id("m"), name, _now(), now.settings, copied_from=origin, imported_from=now.imported_from
            )
            with new_folder(self.folder(card)) as folder:
                fill_copy(self.folder(now), folder, empty)
                copy_data(self._workspace, now.id, card.id)
                _write(folder / CARD_FILE, card)
            self._tend()
        return card

    def rename(self, card: ModelCard, name: str) -> ModelCard:
        """Give a model another name: one field of its card, so that it has the old name or the new one.

        Whoever trains or reads it goes on: they know it by its id. Raises `UsageError` for a taken or impossible name.
        """
        check_name("model", name)
        with locked(self._workspace.models / ".lock"):
            now = self._current(card)
            if now.experiment is not None:
                raise UsageError(
                    f"`{now.name}` is a cell of an experiment, which knows it by this name. Make a copy instead: "
                    f"treadle copy {now.name} {name}"
                )
            if now.name != name:
                self._require_free(name)
                now = replace(now, name=name)
                self._rewrite(now)
            self._tend()
        return now

    def update(self, card: ModelCard) -> None:
        """Replace the settings of a model; its name may have changed meanwhile, and stays as it is."""
        with locked(self._workspace.models / ".lock"):
            self._rewrite(replace(self._current(card), settings=card.settings))

    def _rewrite(self, card: ModelCard) -> None:
        remove_leftovers(self.folder(card))
        _write(self.folder(card) / CARD_FILE, card)

    def _current(self, card: ModelCard) -> ModelCard:
        """The card as it is now; the caller holds the lock."""
        if not self.folder(card).is_dir():
            raise NotFoundError(f"Unknown model `{card.name}`: it was deleted. `treadle list` shows what is left.")
        return _read(self.folder(card) / CARD_FILE)

    def _require_free(self, name: str) -> None:
        if any(card.name == name for card in self.all()):
            raise UsageError(f"A model named `{name}` exists already. See it with `treadle show {name}`.")

    @contextlib.contextmanager
    def writing(self, card: ModelCard, patience_seconds: float = 0.0) -> Iterator[None]:
        """Be the one writer of a model's weights; raises `NotReadyError` if there is one already.

        `patience_seconds` is how long to wait for one that is about to end.
        """
        deadline = time.monotonic() + patience_seconds
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(locked(self.folder(card) / ".writer", wait=False))
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= deadline:
                        raise NotReadyError(
                            f"`{card.name}` is being trained by another process. Wait for it, or stop it: "
                            "`treadle jobs list` shows it."
                        ) from error
                    time.sleep(0.05)
            yield

    def delete(self, card: ModelCard) -> Path:
        """Move a model to the trash; return where it lies. One rename, so it is there or gone, never half."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self._workspace.models / ".lock"))
            card = self._current(card)
            stack.enter_context(self.writing(card))
            stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
            target = self._workspace.trash / f"{stamp}-{card.name}-{secrets.token_hex(2)}"
            target.parent.mkdir(parents=True, exist_ok=True)
            self.folder(card).rename(target)
            self._tend()
        return target

    def _tend(self) -> None:
        """Remove what killed copies have left, and see that each name has its link; the caller holds the lock."""
        remove_unfinished(self._workspace)
        names = {card.id: card.name for card in self.all()}
        for link in self._workspace.models.iterdir():
            if link.is_symlink():
                identity = link.readlink().name
                known = names.get(identity)
                if known != link.name and (known is not None or not (self._workspace.models / identity).is_dir()):
                    link.unlink()
        for identity, name in names.items():
            link = self._workspace.models / name
            if not link.exists() or (link.is_symlink() and link.readlink().name != identity):
                self._relink(name, identity)

    def _relink(self, name: str, identity: str) -> None:
        """Point the link NAME at the model, replacing a stale one; a convenience for people who browse the folder."""
        temporary = self._workspace.models / f".{name}.{secrets.token_hex(4)}.tmp"
        temporary.symlink_to(identity)
        os.replace(temporary, self._workspace.models / name)  # noqa: PTH105 - replaces a link, not its target


def _read(path: Path) -> ModelCard:
    try:
        fields = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a safe one
        return ModelCard(**fields)
    except (OSError, yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is not a model card ({reason}). Restore it, or move its folder away.") from error


def _write(path: Path, card: ModelCard) -> None:
    write_text(path, yaml.safe_dump(asdict(card), sort_keys=False, allow_unicode=True))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _plain(name: str) -> str:
    return name if len(name) <= 64 else name[:61] + "..."
