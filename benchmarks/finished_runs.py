"""Runs that are finished are not made again: a benchmark of an hour fits into several short windows of quiet."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class OutOfTimeError(Exception):
    """The window has closed; called again, the benchmark goes on where it stopped."""


class FinishedRuns:
    """Results by what was run, one JSON line each, kept as soon as a run has ended."""

    def __init__(self, file: Path, minutes: float | None) -> None:
        """Read what earlier calls kept in `file`; after `minutes` no further run is begun."""
        self._file = file
        self._end = time.monotonic() + minutes * 60 if minutes else None
        lines = file.read_text().splitlines() if file.exists() else []
        self._known: dict[str, Any] = {line["what"]: line["result"] for line in map(json.loads, lines)}

    def of(self, what: object, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of `what`: the one that is known, else what `run` gives now."""
        key = json.dumps(what, sort_keys=True, default=str)
        if key not in self._known:
            if self._end is not None and time.monotonic() > self._end:
                raise OutOfTimeError
            self._known[key] = run()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(json.dumps({"what": key, "result": self._known[key]}) + "\n")
        found: dict[str, Any] = self._known[key]
        return found
