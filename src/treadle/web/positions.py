"""How far a reader of events has come: the ledger's cursor, and a place in each log of each run that is active."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import UsageError
from treadle.jobs.runs import TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

LOGS: Final = ("events.jsonl", "log.txt")
"""The files of a run that are followed."""
CHUNK: Final = 256 * 1024
"""Most bytes of a log that are read at once."""
_CURSOR = re.compile(r"(\d{1,18})((?:,r-[0-9a-z-]{1,40}:\d{1,18}:\d{1,18})*)")


@dataclass(slots=True)
class Position:
    """A place in the stream of everything that happens; its text is the cursor that clients give back."""

    seq: int = 0
    """The last event of the ledger."""
    runs: dict[str, list[int]] = field(default_factory=dict)
    """Of each run, how many bytes of each of its `LOGS` were read."""

    def __str__(self) -> str:
        return f"{self.seq}" + "".join(f",{run}:{places[0]}:{places[1]}" for run, places in self.runs.items())

    def copy(self) -> Position:
        """The same place, which goes its own way."""
        return Position(self.seq, {run: list(places) for run, places in self.runs.items()})

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a cursor; raises `UsageError` for what is none."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise UsageError(f"`{text[:60]}` is no cursor of events. Leave it away to begin with what runs now.")
        made = cls(int(found[1]))
        for part in found[2].split(",")[1:]:
            run, first, second = part.split(":")
            made.runs[run] = [int(first), int(second)]
        return made


def read_lines(path: Path, start: int, stop: int | None = None) -> tuple[list[bytes], int]:
    """Whole lines of a log from byte `start` on, at most a chunk of them, and the byte behind the last."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(CHUNK if stop is None else max(0, min(CHUNK, stop - start)))
    except (FileNotFoundError, NotADirectoryError):
        return [], start
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) == CHUNK:
        end = CHUNK  # a line longer than a chunk: its pieces are passed on as lines of a log
    return data[:end].splitlines(), start + end


def new_of_run(workspace: WorkspaceFolder, run: str, places: list[int]) -> Iterator[tuple[str, float | None, Any]]:
    """What is new in the logs of a run, as type, time and data; `places` moves on. At most a chunk of each."""
    for number, name in enumerate(LOGS):
        lines, places[number] = read_lines(workspace.runs / run / name, places[number])
        yield from parsed(name, lines)


def parsed(name: str, lines: list[bytes]) -> Iterator[tuple[str, float | None, Any]]:
    """Lines of a log as type, time and data; what is not whole is left out."""
    if name != LOGS[0]:
        if shown := [line.decode("utf-8", "replace") for line in lines if not line.startswith(TOLD)]:
            yield "log", None, {"lines": shown}
        return
    for line in lines:
        try:
            record = json.loads(line)
            yield str(record.pop("type")), float(record.pop("time")), record
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def sizes(workspace: WorkspaceFolder, run: str) -> list[int]:
    """How long the logs of a run are now."""
    found = []
    for name in LOGS:
        try:
            found.append((workspace.runs / run / name).stat().st_size)
        except OSError:
            found.append(0)
    return found
