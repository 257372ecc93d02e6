"""Documents on their way into a dataset, as every job that reads tells of them."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from treadle.base.errors import DataError
from treadle.data.document import Document, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from treadle.jobs.context import RunContext

_REPORT_SECONDS = 0.2


def reported(context: RunContext, items: Iterable[Document | Refusal], what: str) -> Iterator[Document | Refusal]:
    """Pass items on, telling now and then how many there were.

    Raises `DataError` between two of them when `context` asks to stop; `what` begins that sentence.
    """
    counts: Counter[str] = Counter()
    last = 0.0
    for item in items:
        if context.stop_requested():
            raise DataError(f"{what} was stopped; nothing of it was kept. Run it again.")
        counts["read" if isinstance(item, Document) else "refused"] += 1
        counts["bytes"] += item.size if isinstance(item, Document) else 0
        now = time.monotonic()
        if now - last >= _REPORT_SECONDS:
            last = now
            context.emit("reading", source=item.source, **counts)
        yield item
