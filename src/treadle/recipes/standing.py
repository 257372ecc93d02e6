"""Standing models: what waits to be trained, whether that is enough, and the job that trains it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import UsageError
from treadle.data.arrivals import ArrivalLoader
from treadle.data.coverage import Coverage, token_ledger
from treadle.data.loader import TokenLoader
from treadle.data.token_data import expected_loader
from treadle.data.tokenizers.choice import AUTO, VOCABULARIES, parse_choice
from treadle.data.tokenizers.learning import fitting
from treadle.jobs.job import WAITING, NewJob
from treadle.jobs.presence import wake
from treadle.jobs.request import model_queue
from treadle.jobs.runs import create_run
from treadle.recipes.opened import open_model, writes_text
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from treadle.config.settings import Settings
    from treadle.data.loader import Loader
    from treadle.data.versions import Dataset
    from treadle.jobs.ledger import Ledger
    from treadle.recipes.opened import OpenedModel
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

ARRIVALS: Final = "arrivals"
"""Unit of a training that takes every whole batch of what has arrived, once, in order."""
FLUSH: Final = "flush"
"""The same, and what is left as one short batch."""
BYTES_PER_ID: Final = 100
"""How much text a vocabulary is learned from, at least, before a standing model fixes it by itself."""
_CHARACTERS: Final = 256  # ids that a vocabulary of characters is taken to have before it is known


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, and what it waits for."""

    auto_train: str
    """`on`, `off`, or the number of tokens to wait for."""
    tokens: int
    """Have arrived and were never trained."""
    batch: int
    """New tokens of one step."""
    batches: int
    """Steps for which there is enough."""
    due: bool
    """Whether the model trains by itself now."""
    reason: str
    """Why not, in a few words; empty if it does."""


def coverage_of(checkpoint: Checkpoint | None) -> Coverage:
    """What was trained, by the account that a checkpoint carries."""
    stored = None if checkpoint is None else checkpoint.document["callbacks"].get("tokens")
    return Coverage() if stored is None else Coverage.from_json(stored)


def arrivals(loader: Loader, coverage: Coverage, settings: Settings, *, flush: bool = False) -> ArrivalLoader:
    """What has arrived and was never trained; raises `UsageError` for data that do not come as tokens."""
    if not isinstance(loader, TokenLoader):
        raise UsageError("Only models of text learn what arrives by itself; train this one with `treadle train`.")
    begin = coverage.on(loader.pieces).whole
    return ArrivalLoader(loader, begin, settings.training.examples_per_step, replay=settings.data.replay, flush=flush)


def accounts(
    model: OpenedModel, settings: Settings, dataset: Dataset, loader: Loader | None, latest: Checkpoint | None
) -> tuple[dict[str, int], dict[str, Any] | None]:
    """The token ledger and what waits, as plain values; nothing where the tokens are not known yet."""
    if loader is None and writes_text(settings):
        loader = expected_loader(dataset, settings.data, settings.training.seed)
    if loader is None:
        return {}, _unknown_yet(dataset, settings)
    coverage = coverage_of(latest)
    ledger = token_ledger(loader, coverage)
    ledger.check(f"`{model.card.name}`")
    waits = asdict(_waiting(arrivals(loader, coverage, settings), settings)) if writes_text(settings) else None
    return ledger.to_json(), waits


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a model's tokens are, and what follows from that."""

    tokens: dict[str, int]
    waiting: dict[str, Any] | None
    job: int | None
    """The training that takes what has arrived, if there is enough for one."""


def queue_if_due(workspace: WorkspaceFolder, card: ModelCard) -> Outlook:
    """Queue the job that trains what has arrived, if there is enough and none waits already."""
    model = open_model(workspace, card.id)
    settings = load("treadle.recipes.settings:settings_of_model")(workspace, card)
    dataset = model.versions.latest()
    if dataset is None or not writes_text(settings):
        return Outlook({}, None, None)
    prepared = model.prepared(dataset, settings, fix=False)
    loader = None if prepared is None else prepared.loader
    tokens, waits = accounts(model, settings, dataset, loader, model.checkpoints.latest())
    job = _queue(workspace, card, dataset) if waits is not None and waits["due"] else None
    return Outlook(tokens, waits, job)


def _queue(workspace: WorkspaceFolder, card: ModelCard, dataset: Dataset) -> int:
    queue = model_queue(card.id)
    settings = load("treadle.recipes.settings:settings_of_run")(workspace, card, [], None)
    payload = {"model": card.id, "unit": ARRIVALS, "amount": 0.0, "settings": settings}
    place = {"queue": queue, "lane": "heavy", "priority": 0, "max_attempts": 1}
    opened: Ledger = load("treadle.jobs.ledger:Ledger").open(workspace)  # not for a training, which imports this too
    with opened as ledger:
        waiting = [job.id for job in ledger.jobs(queue, WAITING) if job.payload.get("unit") == ARRIVALS]
        if waiting:
            return waiting[0]  # it takes all that is there when it starts
        run = create_run(workspace, "train", payload, place)
        key = f"arrivals:{card.id}:{dataset.number}:{run.id}"
        made = ledger.submit(NewJob(queue, "train", payload, run=run.id, dedup_key=key))
    wake(workspace)
    return made.id


def _waiting(ready: ArrivalLoader, settings: Settings) -> Waiting:
    auto = settings.training.auto_train
    wanted = 0 if isinstance(auto, str) else auto
    due = auto != "off" and ready.steps > 0 and ready.waiting >= wanted
    reason = ""
    if auto == "off":
        reason = "training.auto_train is off"
    elif not due:
        most = max(wanted, ready.targets_per_step)
        reason = f"{ready.waiting:,} of {most:,} tokens are there"
    return Waiting(str(auto), ready.waiting, ready.targets_per_step, ready.steps, due, reason)


def _unknown_yet(dataset: Dataset, settings: Settings) -> dict[str, Any] | None:
    """What waits before the vocabulary is learned, counted in bytes of text."""
    if not writes_text(settings):
        return None
    chosen = parse_choice(settings.data.tokenizer)
    if chosen.kind == AUTO:
        chosen = fitting(dataset.manifest.bytes)
    ids = chosen.vocabulary or VOCABULARIES.get(chosen.kind, _CHARACTERS)
    there, wanted = dataset.manifest.bytes, ids * BYTES_PER_ID
    enough = there >= wanted
    auto = settings.training.auto_train
    reason = "training.auto_train is off" if auto == "off" else ""
    if auto != "off" and not enough:
        reason = f"{there:,} of {wanted:,} bytes of text are there, from which `{chosen}` is learned"
    due = auto != "off" and enough
    return asdict(Waiting(str(auto), 0, 0, 0, due, reason))
