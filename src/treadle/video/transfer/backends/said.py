"""Lines by which programs of ours tell what happens on the host: `@treadle {"type": ..., ...}`."""

from __future__ import annotations

import json
from typing import Final

from treadle.base.telling import MARK
from treadle.video.transfer.backends.backend import Event

_KNOWN: Final = frozenset({"adjusted", "blocked", "clip", "item", "note", "preview", "stage", "step", "warm"})


def event_of(line: str) -> Event | None:
    """What such a line tells; None for any other, and for one that is damaged."""
    if not line.startswith(MARK):
        return None
    try:
        data = json.loads(line.removeprefix(MARK))
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("type") not in _KNOWN:
        return None
    item = data.get("item", 0)
    whole = isinstance(item, int) and item >= 0 and isinstance(data.get("message", ""), str)
    return Event(str(data.pop("type")), data) if whole else None
