"""Adding to a named dataset: read in processes of their own, clean, compare, check, and number a new version."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.data.document import Document, Refusal
from treadle.data.readers.sandbox import Work, read_files
from treadle.data.readers.walk import files_of
from treadle.recipes.datasets import open_named
from treadle.recipes.reading import reported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from treadle.data.versions import Dataset
    from treadle.jobs.context import RunContext
    from treadle.operations.datasets import DataAddPayload


def run(context: RunContext, payload: DataAddPayload) -> dict[str, Any]:
    """Add files to a dataset as its next version; not `ok` only when nothing was accepted and nothing was known."""
    begin = time.perf_counter()
    named = open_named(context.workspace, payload.dataset)
    settings = named.settings
    work = Work(settings.reading(), "treadle.data.steps.cleaning:cleaner", settings.model_dump(mode="json"))
    processes = payload.processes or len(os.sched_getaffinity(0))
    files = files_of(Path(path) for path in payload.paths)
    before = named.versions.latest()
    dataset = named.add(_licensed(reported(context, read_files(files, work, processes), "Adding"), payload.licence))
    return _answer(named.name, dataset, before, time.perf_counter() - begin)


def _answer(name: str, dataset: Dataset, before: Dataset | None, seconds: float) -> dict[str, Any]:
    manifest, refusals = dataset.manifest, dataset.refusals()
    known = sum(refusal.reason == "duplicate" for refusal in refusals)
    wrong = [refusal for refusal in refusals if refusal.reason != "duplicate"]
    return {
        "ok": manifest.accepted > 0 or not wrong,
        "dataset": name,
        "version": dataset.number,
        "id": dataset.id,
        "accepted": manifest.accepted,
        "bytes": manifest.bytes - (before.manifest.bytes if before else 0),
        "documents": manifest.documents,
        "duplicates": known,
        "clusters": len(dataset.clusters()),
        "refused": [asdict(refusal) for refusal in wrong],
        "seconds": seconds,
        "next_step": f"treadle data report {shlex.quote(name)}",
    }


def _licensed(items: Iterable[Document | Refusal], licence: str | None) -> Iterator[Document | Refusal]:
    """Note with each document under what licence it was given."""
    for item in items:
        if licence is not None and isinstance(item, Document):
            yield replace(item, metadata={**item.metadata, "licence": licence})
        else:
            yield item
