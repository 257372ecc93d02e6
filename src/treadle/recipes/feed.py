"""Feeding: read what was given, store what is new, say what was refused and why."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError
from treadle.data.document import Document, Refusal
from treadle.data.readers.walk import read_paths
from treadle.data.versions import DatasetVersions
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from treadle.jobs.context import RunContext
    from treadle.operations.data import FeedPayload

_REPORT_SECONDS = 0.2


def run(context: RunContext, payload: FeedPayload) -> dict[str, Any]:
    """Add one feed to the model's dataset; fails only when nothing was accepted and something was wrong."""
    workspace = context.workspace
    card = ModelCards(workspace).get(payload.model)
    versions = DatasetVersions(workspace.datasets / card.id, ObjectStore(workspace.objects))
    items = _reported(context, read_paths(Path(path) for path in payload.paths))
    dataset = versions.add(items)
    manifest, refusals = dataset.manifest, dataset.refusals()
    if manifest.accepted == 0 and any(refusal.reason != "duplicate" for refusal in refusals):
        raise DataError(f"Nothing was taken. {_told(refusals)}")
    before = versions.get(manifest.parent).manifest.bytes if manifest.parent else 0
    return {
        "model": card.name,
        "accepted": manifest.accepted,
        "bytes": manifest.bytes - before,
        "refused": [asdict(refusal) for refusal in refusals],
        "version": dataset.number,
        "dataset": dataset.id,
        "documents": manifest.documents,
        "next_step": f"treadle train {shlex.quote(card.name)}",
    }


def _reported(context: RunContext, items: Iterable[Document | Refusal]) -> Iterator[Document | Refusal]:
    """Pass items on, telling now and then how many there were; stops between documents when asked to."""
    counts: Counter[str] = Counter()
    last = 0.0
    for item in items:
        if context.stop_requested():
            raise DataError("Feeding was stopped; nothing of it was kept. Run it again.")
        counts["read" if isinstance(item, Document) else "refused"] += 1
        counts["bytes"] += item.size if isinstance(item, Document) else 0
        now = time.monotonic()
        if now - last >= _REPORT_SECONDS:
            last = now
            context.emit("reading", source=item.source, **counts)
        yield item


def _told(refusals: list[Refusal]) -> str:
    shown = "; ".join(f"{refusal.source}: {refusal.detail}" for refusal in refusals[:5])
    return shown + (f" And {len(refusals) - 5} more." if len(refusals) > 5 else "")
