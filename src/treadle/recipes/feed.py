"""Feeding: read what was given, store what is new, say what was refused and why."""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.data.prepared import WAYS_OF_READING
from treadle.data.tokenizers.tokenizer import load_tokenizer
from treadle.data.versions import DatasetVersions
from treadle.models.catalog import FAMILIES
from treadle.recipes.datasets import documents_of, names_dataset
from treadle.recipes.inbox import settle, shown_source
from treadle.recipes.reading import reported
from treadle.recipes.settings import settings_of_model
from treadle.recipes.standing import Outlook, queue_if_due
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore
from treadle.telemetry.hardware import peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from treadle.data.document import Document, Refusal
    from treadle.data.versions import Dataset
    from treadle.jobs.context import RunContext
    from treadle.operations.data import FeedPayload
    from treadle.store.models import ModelCard

_NAMED_DUPLICATES = 8


def run(context: RunContext, payload: FeedPayload) -> dict[str, Any]:
    """Add one feed to the model's dataset; not `ok` only when nothing was accepted and nothing was known already."""
    workspace = context.workspace
    card = ModelCards(workspace).get(payload.model)
    versions = DatasetVersions(workspace.datasets / card.id, ObjectStore(workspace.objects))
    family = FAMILIES.get(settings_of_model(workspace, card).values()["family"]["name"])
    read_paths = WAYS_OF_READING.get(family.needs)
    items = reported(context, _named(_read(context, payload, read_paths), context, payload), "Feeding")
    first = next(items, None)
    if first is None and payload.inbox:
        return _nothing_left(context, card, versions, payload)
    dataset = versions.add(itertools.chain([] if first is None else [first], items))
    manifest, refusals = dataset.manifest, dataset.refusals()
    if payload.inbox:
        settle(Path(payload.paths[0]), refusals)
    duplicates = [refusal for refusal in refusals if refusal.reason == "duplicate"]
    for refusal in duplicates[:_NAMED_DUPLICATES]:
        context.emit("note", message=f"{refusal.source}: {refusal.detail}")
    wrong = [refusal for refusal in refusals if refusal.reason != "duplicate"]
    before = versions.get(manifest.parent).manifest.bytes if manifest.parent else 0
    unknown = 0 if manifest.accepted == 0 else _unknown_characters(context, card, dataset)
    return {
        "ok": manifest.accepted > 0 or not wrong,
        "model": card.name,
        "accepted": manifest.accepted,
        "bytes": manifest.bytes - before,
        "duplicates": len(duplicates),
        "refused": [asdict(refusal) for refusal in wrong],
        "unknown_characters": unknown,
        "version": dataset.number,
        "dataset": dataset.id,
        "documents": manifest.documents,
        "peak_memory": peak_memory(),
        **_what_follows(context, card),
    }


def _nothing_left(
    context: RunContext, card: ModelCard, versions: DatasetVersions, payload: FeedPayload
) -> dict[str, Any]:
    """The report on a folder from the inbox that held nothing: empty folders, or an attempt before this had fed it."""
    settle(Path(payload.paths[0]), [])
    dataset = versions.latest()
    return {
        "ok": True,
        "model": card.name,
        "accepted": 0,
        "bytes": 0,
        "duplicates": 0,
        "refused": [],
        "unknown_characters": 0,
        "version": 0 if dataset is None else dataset.number,
        "dataset": None if dataset is None else dataset.id,
        "documents": 0 if dataset is None else dataset.manifest.documents,
        "peak_memory": peak_memory(),
        **_what_follows(context, card),
    }


def _what_follows(context: RunContext, card: ModelCard) -> dict[str, Any]:
    """The ledger, what waits, and the training that a standing model begins, if there is enough for it."""
    try:
        outlook = queue_if_due(context.workspace, card)
    except TreadleError:  # such as unknown characters, of which `run` tells; what was fed is kept whatever it is
        outlook = Outlook({}, None, None)
    name = shlex.quote(card.name)
    following = f"treadle train {name}"
    if outlook.job is not None:
        following = f"treadle jobs follow {outlook.job}"
    elif outlook.waiting is not None and outlook.waiting["auto_train"] != "off":
        following = f"treadle show {name}"
    return {"tokens": outlook.tokens, "waiting": outlook.waiting, "job": outlook.job, "next_step": following}


def _read(
    context: RunContext, payload: FeedPayload, read_paths: Callable[[Iterable[Path]], Iterator[Document | Refusal]]
) -> Iterator[Document | Refusal]:
    """Read files and folders, and the documents of named datasets."""
    for is_dataset, paths in itertools.groupby(payload.paths, names_dataset):
        if is_dataset:
            for path in paths:
                yield from documents_of(context.workspace, path)
        else:
            yield from read_paths(Path(path) for path in paths)


def _named(
    items: Iterable[Document | Refusal], context: RunContext, payload: FeedPayload
) -> Iterator[Document | Refusal]:
    """Say where piped text and files of the inbox came from; where they waited belongs to the run."""
    spooled = str(context.run.outputs)
    for item in items:
        if item.source.startswith(spooled):
            yield replace(item, source="standard input")
        elif payload.inbox:
            yield replace(item, source=shown_source(item.source, Path(payload.paths[0])))
        else:
            yield item


def _unknown_characters(context: RunContext, card: ModelCard, dataset: Dataset) -> int:
    """How many characters the model's vocabulary lacks, where it is fixed already; warns while it can be mended."""
    path = ModelCards(context.workspace).folder(card) / "tokenizer" / "tokenizer.json"
    if not path.is_file():
        return 0
    tokenizer = load_tokenizer(path)
    counts: Counter[str] = Counter()
    manifest = dataset.manifest
    for document in itertools.islice(dataset.documents(), manifest.documents - manifest.accepted, None):
        for piece in document.pieces():
            counts.update(tokenizer.unknown_characters(piece))
    if counts:
        shown = ", ".join(repr(character) for character, _ in counts.most_common(8))
        context.emit(
            "note",
            message=f"The vocabulary of `{card.name}` was fixed when it first trained and lacks {len(counts)} "
            f"characters of what was fed ({shown}{' ...' if len(counts) > 8 else ''}). To leave them out: "
            f"treadle train {shlex.quote(card.name)} data.unknown=skip",
        )
    return sum(counts.values())
