"""The models of a server: opened when asked for, within a budget of memory, and always the checkpoint that counts now.

An open model is *held* by the requests that use it. What nobody holds may be closed to make room, the longest unused
first. When training writes a checkpoint that the server should use, it is opened beside the old one; requests from then
on get the new one, and the old one is closed when the last request that holds it has ended: no stream is cut.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import NotFoundError, ResourceError, TreadleError, UsageError
from treadle.generation.scheduler import BusyError, Figures, Scheduler
from treadle.generation.serving.chat_text import NOTE
from treadle.generation.serving.served import ServedModel
from treadle.models.catalog import FAMILIES
from treadle.recipes.opened_engine import draft_of, find_sampling
from treadle.recipes.serve_opening import (
    TEMPLATE_FILE,
    chat_text,
    engine_bytes,
    open_for_serving,
)
from treadle.store.models import CARD_FILE, ModelCards
from treadle.training.checkpoints import DRAFT_FOLDER, MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from treadle.models.family import Family
    from treadle.recipes.opened_engine import FoundSampling
    from treadle.recipes.serve_opening import Choice
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder

_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What changes when a model is trained further, set differently, or deleted: times of files, 0 without one."""

    folder: str = ""
    checkpoints: int = 0
    card: int = 0
    settings: int = 0
    template: int = 0
    draft: int = 0


@dataclass(slots=True)
class _Open:
    served: ServedModel
    found: FoundSampling
    size: int
    seen: _Seen
    """What the files looked like when they were last looked at."""
    holders: int = 0
    used: float = field(default_factory=time.monotonic)


class ServedModels:
    """See `generation.serving.served.Models`."""

    def __init__(self, workspace: WorkspaceFolder, choice: Choice) -> None:
        """Serve what `choice` names; nothing is opened yet, but what is named must be there."""
        self._workspace, self._choice = workspace, choice
        self._cards = ModelCards(workspace)
        self._change = threading.Lock()
        self._opening = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._retired: list[_Open] = []
        self._figures: dict[str, Figures] = {}
        self._over = threading.Event()
        self._watch: threading.Thread | None = None
        for name in choice.names:
            self._find(name)

    def names(self) -> list[str]:
        """The models that are served: those chosen, else all that were trained to write text."""
        return list(self._choice.names) or [card.name for card in self._cards.all() if self._writes(card.name)]

    def describe(self) -> Sequence[Mapping[str, Any]]:
        """Each model as `/v1/models` shows it."""
        return list(self._described())

    def _described(self) -> Iterator[dict[str, Any]]:
        for name in self.names():
            with contextlib.suppress(TreadleError):  # deleted, or damaged: then it is not there
                found = self._find(name)
                record = found.checkpoint.record
                template = (self._cards.folder(found.card) / TEMPLATE_FILE).is_file()
                yield {
                    "id": name,
                    "object": "model",
                    "created": int((found.checkpoint.path / MODEL_FILE).stat().st_mtime),
                    "owned_by": "treadle",
                    "family": record.family,
                    "context": min(record.context, self._choice.context or record.context),
                    "step": found.checkpoint.step,
                    "open": name in self._open,
                    "chat": "template" if template else "continues text",
                    "note": None if template else NOTE,
                }

    def ready(self, name: str) -> ServedModel | None:
        """Hold a model that is open already."""
        with self._change:
            found = self._open.get(name)
            if found is None:
                return None
            found.holders += 1
            found.used = time.monotonic()
            return found.served

    def open(self, name: str) -> ServedModel:
        """Hold a model, opening it if need be."""
        if not self._serves(name):
            raise NotFoundError(f"There is no model `{name[:200]}` here; /v1/models lists what there is.")
        with self._opening:  # who else asks for it now waits here, and finds it open
            held = self.ready(name)
            if held is not None:
                return held
            seen, found = self._seen(name), self._find(name)  # in this order: what is written between is seen later
            size = engine_bytes(found, self._choice)
            self._make_room(name, size)
            made = self._made(name, found, size, seen)
            with self._change:
                made.holders += 1
                self._open[name] = made
            return made.served

    def release(self, model: ServedModel) -> None:
        """Let go of what `ready` or `open` gave."""
        with self._change:
            for one in (*self._open.values(), *self._retired):
                if one.served is model:
                    one.holders -= 1
                    one.used = time.monotonic()
            done = [one for one in self._retired if one.holders == 0]
            self._retired = [one for one in self._retired if one.holders > 0]
        for one in done:
            one.served.scheduler.close(drain=True)

    def figures(self) -> Mapping[str, Figures]:
        """What was done since the server began, by model."""
        return dict(self._figures)

    def state(self) -> Mapping[str, Any]:
        """Which are open, with how many texts, and the budget of memory."""
        with self._change:
            rows = [
                {
                    "id": name,
                    "step": one.served.step,
                    "active": one.served.scheduler.active,
                    "waiting": one.served.scheduler.waiting,
                    "bytes": one.size,
                }
                for name, one in self._open.items()
            ]
            taken = sum(one.size for one in (*self._open.values(), *self._retired))
        return {"models": rows, "memory_bytes": taken, "memory_budget_bytes": self._choice.memory_bytes}

    def like(self, card: ModelCard, found: FoundSampling) -> ServedModel | None:
        """Hold the model of this card if what is served of it writes exactly what `found` would; else None."""
        if not self._serves(card.name) or self._choice.context is not None:
            return None
        with contextlib.suppress(BusyError, ResourceError):
            held = self.open(card.name)
            with self._change:
                mine = next((one for one in self._open.values() if one.served is held), None)
            if mine is not None and _writes_alike(mine.found, found):
                return held
            self.release(held)
        return None

    def watch(self) -> None:
        """Look for newer checkpoints from now on, in the background."""
        self._watch = threading.Thread(target=self._look, name="treadle-checkpoints", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """End all texts and free all engines."""
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        with self._change:
            gone = [*self._open.values(), *self._retired]
            self._open, self._retired = {}, []
        for one in gone:
            one.served.scheduler.close()

    def _find(self, name: str) -> FoundSampling:
        found = find_sampling(self._workspace, name, self._choice.checkpoint, self._choice.overrides)
        family: Family = FAMILIES.get(found.checkpoint.record.family)
        if family.needs != "tokens":
            raise UsageError(f"`{name}` writes no text; it says what pictures show: treadle predict {name} FILES")
        return found

    def _serves(self, name: str) -> bool:
        return name in self._choice.names if self._choice.names else self._writes(name)

    def _writes(self, name: str) -> bool:
        try:
            return self._find(name).card.name == name
        except TreadleError:
            return False

    def _seen(self, name: str) -> _Seen:
        try:
            folder = self._cards.folder(self._cards.get(name))
        except TreadleError:
            return _Seen()
        files = (
            *(folder / "checkpoints", folder / CARD_FILE, self._workspace.settings_file),
            *(folder / TEMPLATE_FILE, folder / DRAFT_FOLDER),
        )
        return _Seen(str(folder), *(path.stat().st_mtime_ns if path.exists() else 0 for path in files))

    def _made(self, name: str, found: FoundSampling, size: int, seen: _Seen) -> _Open:
        """Open a model's checkpoint."""
        chat = chat_text(self._cards.folder(found.card))
        figures = self._figures.setdefault(name, Figures())
        engine, tokenizer = open_for_serving(found, self._choice)
        slots, waiting = self._choice.slots, self._choice.waiting
        scheduler = Scheduler(engine, tokenizer, active=slots, waiting=waiting, figures=figures)
        return _Open(ServedModel(name, scheduler, found.settings, chat, found.checkpoint.step), found, size, seen)

    def _make_room(self, name: str, size: int) -> None:
        budget = self._choice.memory_bytes
        if size > budget:
            raise ResourceError(
                f"`{name}` with {self._choice.slots} slots takes {size / 1e9:.2f} GB and the server may take "
                f"{budget / 1e9:.2f} GB. Give it more (--memory), or fewer slots or a smaller context."
            )
        gone: list[_Open] = []
        with self._change:
            idle = sorted((one for one in self._open.values() if one.holders == 0), key=lambda one: one.used)
            while sum(one.size for one in (*self._open.values(), *self._retired)) + size > budget:
                if not idle:
                    raise BusyError(f"There is no room for `{name}`: the models in memory are all at work.", 2)
                gone.append(idle.pop(0))
                del self._open[gone[-1].served.name]
        for one in gone:
            one.served.scheduler.close()

    def _look(self) -> None:
        """Replace what has been trained further; a model that was deleted is served no more."""
        while not self._over.wait(_LOOK_SECONDS):
            for name, one in list(self._open.items()):
                seen = self._seen(name)
                if seen == one.seen:
                    continue
                before, one.seen = one.seen, seen
                try:
                    self._renew(name, one, again=seen.template != before.template)
                except NotFoundError:
                    self._replace(name, one, None)
                except (TreadleError, OSError) as error:
                    sys.stderr.write(f"{name}: goes on with step {one.served.step}. {error}\n")

    def _renew(self, name: str, old: _Open, *, again: bool) -> None:
        """Open what is newer, or the same `again`; both are in memory meanwhile, whatever the budget says."""
        found = self._find(name)
        before = (*_identity(old.found), old.found.settings)
        if again or (*_identity(found), found.settings) != before:
            self._replace(name, old, self._made(name, found, engine_bytes(found, self._choice), old.seen))

    def _replace(self, name: str, old: _Open, new: _Open | None) -> None:
        with self._change:
            if self._open.get(name) is not old:  # closed meanwhile, to make room
                old, new = new or old, None
            elif new is None:
                del self._open[name]
            else:
                self._open[name] = new
            if old.holders > 0:
                self._retired.append(old)
                return
        old.served.scheduler.close(drain=True)


def _identity(found: FoundSampling) -> tuple[str, str, str]:
    """Which weights these are, and which guess for them."""
    draft = draft_of(found.checkpoint, found.settings)
    mine = found.checkpoint.document["files"][MODEL_FILE]["sha256"]
    return str(found.checkpoint.path), mine, "" if draft is None else draft.document["sha256"]


def _writes_alike(one: FoundSampling, other: FoundSampling) -> bool:
    """Whether engines of both write the same texts."""
    engines = [(found.settings.engine, found.settings.precision) for found in (one, other)]
    return _identity(one) == _identity(other) and engines[0] == engines[1]
