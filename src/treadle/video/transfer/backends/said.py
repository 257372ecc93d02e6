"""Lines by which programs of ours tell what happens on the host: `@treadle {"type": ..., ...}`."""

from __future__ import annotations

import json
from typing import Final

from treadle.video.transfer.backends.backend import Event

_MARK: Final = "@treadle "


def event_of(line: str) -> Event | None:
    """What such a line tells; None for any other, and for one that is damaged."""
    if not line.startswith(_MARK):
        return None
    try:
        data = json.loads(line.removeprefix(_MARK))
        return Event(str(data.pop("type")), data)
    except (ValueError, KeyError, AttributeError):
        return None
