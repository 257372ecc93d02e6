"""What a dialect makes of a request: files to lay down on the host, and the runs that use them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from treadle.base.errors import UsageError
from treadle.base.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from treadle.video.transfer.clips import ClipPlan
    from treadle.video.transfer.spec import TransferSpec


@runtime_checkable
class Derived(Protocol):
    """A file that takes work to make: a control map, a piece of a video, a map of weights."""

    def write(self, path: Path) -> None:
        """Make the file; wholly or not at all."""

    def about(self) -> str:
        """What it is and of what it is made, in a few words."""


Content = bytes | Path | Derived
"""What a file holds: bytes, a copy of a file that is there, or something to be made first."""


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """One start of the target's program."""

    arguments: tuple[str, ...]
    """After the name of the program; paths are below the folder that was given to `write`."""
    outputs: tuple[str, ...]
    """Files that appear, one for each request of a batch, relative to that folder."""
    first: int
    """First frame of the source that this run makes."""
    frames: int
    """How many it makes; the first one repeats the last of the run before, except in the first run."""


@dataclass(frozen=True, slots=True)
class Written:
    """A request in the words of one target."""

    dialect: str
    files: Mapping[str, Content]
    """By path, relative to the folder that was given to `write`."""
    runs: tuple[WrittenRun, ...]
    """To be carried out one after the other; nearly always one."""
    unsaid: tuple[str, ...] = ()
    """What was asked for and cannot be said in this dialect: known before anything runs."""
    remarks: tuple[str, ...] = ()
    """What may surprise."""
    program: tuple[str, ...] = field(default=())
    """The script of the target, relative to its own folder; empty where there is none."""

    @property
    def arguments(self) -> list[str]:
        """Of the only run; raises `UsageError` where there are several, so that none is forgotten."""
        if len(self.runs) != 1:
            raise UsageError(f"This request takes {len(self.runs)} runs; carry them out one by one.")
        return list(self.runs[0].arguments)


class Dialect(Protocol):
    """The words of one target. Entered in `dialects/catalog.py` by its name."""

    name: str
    snaps: bool
    """Whether every input is stretched to one of the five sizes of `clips.SIZES`."""

    def plan(self, spec: TransferSpec) -> ClipPlan:
        """The clips that the target makes, with the seed of each."""
        ...

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """What all requests of a batch must have in common; None = this one cannot be in a batch."""
        ...

    def write(self, specs: Sequence[TransferSpec], folder: str) -> Written:
        """One request, or a batch, in the target's words, for files that will lie below `folder` on the host.

        Raises:
            UsageError: The target cannot do this at all; the message names every reason.
        """
        ...


class Files:
    """Files as they are named below the run's folder on the host."""

    def __init__(self, folder: str) -> None:
        """Below `folder`, as the target will see it."""
        self._folder = folder.rstrip("/")
        self.contents: dict[str, Content] = {}

    def put(self, name: str, content: Content) -> str:
        """Add a file; returns its path on the host."""
        self.contents[name] = content
        return f"{self._folder}/{name}"

    def put_json(self, name: str, value: Any) -> str:  # noqa: ANN401 - JSON is any tree of plain values
        """Add a JSON file."""
        return self.put(name, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def put_lines(self, name: str, rows: Sequence[Any]) -> str:
        """Add a file of one JSON table a line, with no blank line: one would kill the run."""
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        return self.put(name, "\n".join(lines).encode())


def refuse(dialect: str, reasons: Sequence[str]) -> None:
    """Raise `UsageError` if there are reasons why a dialect cannot carry a request."""
    if reasons:
        raise UsageError(f"{dialect} cannot do this: {' '.join(reasons)}")


def lay_down(written: Written, folder: Path, done: Callable[[str], None] | None = None) -> dict[str, Path]:
    """Bring all files of a request into being; returns where each one is.

    Args:
        written: The request.
        folder: Where files that have to be made are put, under their own names; others stay where they are.
        done: Is called with the name of each file that is ready.
    """
    found: dict[str, Path] = {}
    for name, content in written.files.items():
        target = folder / name
        if isinstance(content, Path):
            target = content
        elif isinstance(content, bytes):
            write_bytes(target, content)
        elif not target.is_file():  # made by an attempt before this one: derived files are whole or not there
            target.parent.mkdir(parents=True, exist_ok=True)
            content.write(target)
        found[name] = target
        if done is not None:
            done(name)
    return found
