"""Reading in processes of their own, so that no file can take the caller down or hold it up.

A `Sandbox` is one warm process that reads batch after batch. One that crashes or makes no progress for a while is
killed and replaced; the file that it died of is refused, and the batch goes on with the next file. `read_files` keeps
several of them busy and gives what they find in the order of the files, whoever is faster.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import weakref
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from treadle.data.document import Document, Refusal
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.limited import START_SECONDS, LimitedProcess, Limits
from treadle.data.readers.sources import source_of
from treadle.data.shards import Entry, read_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BATCH_FILES = 64
_BATCH_BYTES = 4 << 20
_PROCESS = "treadle.data.readers.sandboxed"


@dataclass(frozen=True, slots=True)
class Work:
    """What a reading process does with each file."""

    settings: ReadSettings = field(default_factory=ReadSettings)
    then: str | None = None
    """Dotted name of `make(settings) -> (document -> document or refusal)`, applied to each document there."""
    then_settings: Any = None
    """Plain JSON for it."""
    first: str | None = None
    """Dotted name of `prepare(path)`, applied to each file there before it is read."""
    limits: Limits = field(default_factory=Limits)


class _Spool:
    """The files of one batch; they live as long as this object, or a document that is read from them."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="treadle-read-"))
        self.texts = folder / "texts"
        self.found = folder / "found"
        for path in (self.texts, self.found):
            path.touch()
        weakref.finalize(self, _remove, folder)

    def document(self, entry: Entry) -> Document:
        def pieces() -> Iterator[str]:
            yield from read_pieces(self.texts, entry)

        return Document(entry.id, entry.source, entry.size, pieces, entry.metadata)


def _remove(folder: Path) -> None:
    for name in ("texts", "found"):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


class Sandbox:
    """One process that reads files. Use it as a context."""

    def __init__(self, work: Work) -> None:
        """Start nothing yet: the process begins with the first batch."""
        self._limits = work.limits
        order = {
            "settings": work.settings.model_dump(mode="json"),
            "first": work.first,
            "then": work.then,
            "then_settings": work.then_settings,
        }
        self._process = LimitedProcess(_PROCESS, work.limits.memory, order)
        self._batch: list[tuple[int, Path]] = []
        self._spool = _Spool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process: at the end of its input, or at once if it does not hear."""
        self._process.close()

    def read(self, files: Sequence[Path]) -> Iterator[Document | Refusal]:
        """Read files, in their order."""
        self.submit(files)
        yield from self.results()

    def submit(self, files: Sequence[Path]) -> None:
        """Begin with a batch, without waiting for it; `results` gives what it finds."""
        self._batch = list(enumerate(files))
        self._spool = _Spool()
        self._send()

    def results(self) -> Iterator[Document | Refusal]:
        """Wait for the batch that was submitted; what is given is then read from its files, bit by bit."""
        failures: dict[int, Refusal] = {}
        while (failed := self._wait()) is not None:
            number, refusal = failed
            failures[number] = refusal
            self._process.kill()
            self._batch = [one for one in self._batch if one[0] > number]
            if not self._batch:
                break
            self._send()
        return _found(self._spool, failures)

    def _send(self) -> None:
        order = {
            "texts": str(self._spool.texts),
            "found": str(self._spool.found),
            "files": [(number, os.fsencode(path).hex()) for number, path in self._batch],
        }
        self._process.begin()
        self._process.write(order)  # `_wait` finds it dead, if it is

    def _wait(self) -> tuple[int, Refusal] | None:
        """Wait for the end of the batch; give the file that the process died of, or None."""
        limits, process = self._limits, self._process
        at = self._batch[0][0] if self._batch else 0
        began = process.waited
        patience: float = START_SECONDS
        while True:
            line = process.line(min(patience, max(0.1, limits.file_seconds - (process.waited - began))))
            if line == b"done":
                return None
            if line is not None and line.startswith(b"begin "):
                at, began = int(line[6:]), process.waited
            over_time = process.waited - began > limits.file_seconds
            if line is None or line == b"" or over_time:
                return at, self._death(at, timed_out=line is None or over_time)
            patience = limits.seconds

    def _death(self, number: int, *, timed_out: bool) -> Refusal:
        path = next(path for index, path in self._batch if index == number)
        if timed_out:
            said = f"Its reader made no progress for {self._limits.seconds:.0f} s and was stopped."
            return Refusal(source_of(path), "timed_out", said)
        said = f"Its reader crashed on it ({self._process.last_words()}); the other files were read."
        return Refusal(source_of(path), "crashed", said)


def read_files(files: Iterable[Path | Refusal], work: Work, processes: int = 1) -> Iterator[Document | Refusal]:
    """Read files in `processes` processes; what is found comes in the order of the files.

    Refusals among the files are passed on at their place.
    """
    batches = _batches(files)
    with contextlib.ExitStack() as stack:
        idle = deque(stack.enter_context(Sandbox(work)) for _ in range(processes))
        busy: deque[tuple[Sandbox | None, list[Refusal]]] = deque()
        while _fill(idle, busy, batches):
            working, refusals = busy.popleft()
            if working is not None:
                found = working.results()
                idle.append(working)
                _fill(idle, busy, batches)  # it goes on while the caller works on what was found
                yield from found
            yield from refusals


def _fill(
    idle: deque[Sandbox],
    busy: deque[tuple[Sandbox | None, list[Refusal]]],
    batches: Iterator[tuple[list[Path], list[Refusal]]],
) -> bool:
    """Give each idle process a batch; whether there is anything left to wait for."""
    while idle:
        batch = next(batches, None)
        if batch is None:
            break
        paths, refusals = batch
        if paths:
            sandbox = idle.popleft()
            sandbox.submit(paths)
            busy.append((sandbox, refusals))
        else:
            busy.append((None, refusals))
    return bool(busy)


def _batches(files: Iterable[Path | Refusal]) -> Iterator[tuple[list[Path], list[Refusal]]]:
    """Files in batches of bounded size; refusals go with the batch before them."""
    paths: list[Path] = []
    refusals: list[Refusal] = []
    size = 0
    for file in files:
        if isinstance(file, Refusal):
            refusals.append(file)
            continue
        if refusals or len(paths) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield paths, refusals
            paths, refusals, size = [], [], 0
        paths.append(file)
        with contextlib.suppress(OSError):
            size += file.stat().st_size
    if paths or refusals:
        yield paths, refusals


def _found(spool: _Spool, failures: dict[int, Refusal]) -> Iterator[Document | Refusal]:
    """What a batch found, and at its place each file that could not be read."""
    rest = sorted(failures)
    with spool.found.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break  # the process died while it wrote this one
            number, fields = json.loads(line)
            while rest and rest[0] < number:
                yield failures[rest.pop(0)]
            yield Refusal(**fields) if "reason" in fields else spool.document(Entry(**fields))
    for number in rest:
        yield failures[number]
