"""The process that parses files of strangers: `python -m treadle.data.readers.sandboxed`, started by `sandbox.py`.

It has little memory, writes no larger files than it may, and dies with its parent. Its first line of input says how
to read; each further line is a batch of files. What it finds it writes to two files of the batch: texts one after
another, and one line of JSON for each document or refusal. On its output it only tells where it is, so that the parent
notices when it hangs, and knows which file it died of.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from treadle.data.document import Document, Refusal, RefusedError, encode_utf8
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.confined import confined, say
from treadle.data.readers.one_file import read_file
from treadle.data.readers.sources import source_of
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Then = Callable[[Document], Document | Refusal]

_TICK_SECONDS = 0.5


def main() -> int:
    """Serve batches until the input ends."""
    begun = confined()
    if begun is None:
        return 0
    order, output = begun
    settings = ReadSettings.model_validate(order["settings"])
    then: Then | None = load(order["then"])(order["then_settings"]) if order["then"] else None
    first: Callable[[Path], None] | None = load(order["first"]) if order["first"] else None
    ticker = _Ticker(output)
    ticker.say("ready")
    for line in sys.stdin.buffer:
        batch = json.loads(line)
        _serve(batch, _Task(settings, first, then), ticker)
        ticker.say("done")
    return 0


class _Ticker:
    """Tells the parent where this process is."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._last = 0.0

    def say(self, what: str) -> None:
        say(self._handle, what.encode())

    def tick(self) -> None:
        """Tell now and then that there is progress."""
        now = time.monotonic()
        if now - self._last > _TICK_SECONDS:
            self._last = now
            self.say("alive")


@dataclass(frozen=True, slots=True)
class _Task:
    """What is done with each file."""

    settings: ReadSettings
    first: Callable[[Path], None] | None
    then: Then | None


def _serve(batch: dict[str, Any], task: _Task, ticker: _Ticker) -> None:
    with Path(batch["texts"]).open("ab") as texts, Path(batch["found"]).open("ab") as found:
        for number, name in batch["files"]:
            ticker.say(f"begin {number}")
            path = Path(os.fsdecode(bytes.fromhex(name)))
            _read(path, task, _Spool(texts, found, number, ticker))
            found.flush()


class _Spool:
    """Where the documents of one file go."""

    def __init__(self, texts: IO[bytes], found: IO[bytes], number: int, ticker: _Ticker) -> None:
        self._texts = texts
        self._found = found
        self._number = number
        self._ticker = ticker

    def add(self, item: Document | Refusal, facts: dict[str, Any]) -> None:
        if isinstance(item, Document):
            try:
                self._add_document(item, facts)
            except RefusedError as error:
                self._add_refusal(error.refusal(item.source))
        else:
            self._add_refusal(item)
        self._ticker.tick()

    def _add_document(self, document: Document, facts: dict[str, Any]) -> None:
        start = self._texts.tell()
        hasher = hashlib.sha256()
        size = 0
        try:
            for piece in document.pieces():
                data = encode_utf8(piece)
                hasher.update(data)
                size += len(data)
                self._texts.write(data)
                self._ticker.tick()
            self._texts.flush()
        except BaseException:
            self._texts.seek(start)
            self._texts.truncate()
            raise
        metadata = {**facts, **document.metadata}
        entry = {"id": hasher.hexdigest(), "offset": start, "size": size, "source": document.source}
        self._line({**entry, "metadata": metadata})

    def _add_refusal(self, refusal: Refusal) -> None:
        self._line({"source": refusal.source, "reason": refusal.reason, "detail": refusal.detail})

    def _line(self, fields: dict[str, Any]) -> None:
        self._found.write(json.dumps([self._number, fields], ensure_ascii=True).encode() + b"\n")


def _read(path: Path, task: _Task, spool: _Spool) -> None:
    source = source_of(path)
    try:
        if task.first is not None:
            task.first(path)
        facts = {"file": _hash(path)}
        for item in _cleaned(read_file(path, task.settings), task.then):
            spool.add(item, facts)
    except MemoryError:
        spool.add(Refusal(source, "too_large", "It needs more memory than a reader may use. Split it."), {})
    except OSError as error:
        spool.add(Refusal(source, "unreadable", f"It cannot be read: {error.strerror or error}."), {})
    except RefusedError as error:
        spool.add(error.refusal(source), {})
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:200]}".strip().rstrip(":")
        spool.add(Refusal(source, "damaged", f"Its parser failed: {said}."), {})


def _cleaned(items: Iterator[Document | Refusal], then: Then | None) -> Iterator[Document | Refusal]:
    for item in items:
        yield item if then is None or isinstance(item, Refusal) else then(item)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
