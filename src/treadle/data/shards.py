"""Text shards: the texts of many documents one after another in one object, and an index in a second.

The text object is plain UTF-8. The index is canonical JSON: for each document its id, offset, size, source and
metadata. A shard is closed at `FULL_BYTES` or `FULL_DOCUMENTS`; a document is never cut, so one that is larger makes
one larger shard. Writing and reading hold one piece of one document and one index in memory.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError
from treadle.base.hashing import canonical_json
from treadle.config.spec import Spec
from treadle.data.document import PIECE, Document, Refusal, RefusedError, encode_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from treadle.store.objects import ObjectStore, ObjectWriter

FULL_BYTES = 64 << 20
FULL_DOCUMENTS = 65_536


class TextShard(Spec):
    """One pair of objects, as a manifest names it."""

    text: str
    index: str
    documents: int
    bytes: int
    aside: str | None = None
    """Index of documents whose text is in the shard, but that the version does not hold: near-duplicates of others."""
    bands: str | None = None
    """Object of the keys by which near-duplicates are found: 20 uint64 for each document, in the order of writing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one document lies in its shard."""

    id: str
    offset: int
    """Bytes before it."""
    size: int
    """Bytes of its UTF-8."""
    source: str
    metadata: Mapping[str, Any]


def write_shards(objects: ObjectStore, documents: Iterator[Document], refusals: list[Refusal]) -> list[TextShard]:
    """Store documents; one that cannot be read again as it was first read is refused and leaves no bytes."""
    shards = []
    for first in documents:
        entries: list[Entry] = []
        with objects.writer() as writer:
            _append(writer, first, entries, refusals)
            while writer.size < FULL_BYTES and len(entries) < FULL_DOCUMENTS:
                document = next(documents, None)
                if document is None:
                    break
                _append(writer, document, entries, refusals)
        if entries:
            index = write_index(objects, entries)
            shards.append(TextShard(text=writer.id, index=index, documents=len(entries), bytes=writer.size))
    return shards


def read_entries(objects: ObjectStore, shard: TextShard) -> list[Entry]:
    """Read a shard's index; raises `DataError` if it is missing or damaged."""
    return [Entry(**entry) for entry in json.loads(objects.read(shard.index))]


def read_aside(objects: ObjectStore, shard: TextShard) -> list[Entry]:
    """Read which documents of a shard its version does not hold."""
    return [] if shard.aside is None else [Entry(**entry) for entry in json.loads(objects.read(shard.aside))]


def write_index(objects: ObjectStore, entries: Iterable[Entry]) -> str:
    """Store an index; gives the id of the object."""
    return objects.put(canonical_json([_as_json(entry) for entry in entries]))


def read_pieces(path: Path, entry: Entry) -> Iterator[str]:
    """Read one document's text from its shard's file, in pieces of at most `PIECE` characters."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    rest = entry.size
    try:
        with path.open("rb") as file:
            file.seek(entry.offset)
            while rest:
                # Less than a piece: up to three bytes of a character may wait from the chunk before.
                chunk = file.read(min(rest, PIECE - 4))
                if not chunk:
                    raise DataError(f"{path} is damaged: it ends inside document {entry.id}. Restore it from a copy.")
                rest -= len(chunk)
                if piece := decoder.decode(chunk, final=not rest):
                    yield piece
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing. Restore it from a copy.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: document {entry.id} is no valid UTF-8. Restore it from a copy.") from error


def read_document(path: Path, entry: Entry) -> Document:
    """Give a stored document; its text is read when it is asked for."""
    return Document(entry.id, entry.source, entry.size, lambda: read_pieces(path, entry), entry.metadata)


def _append(writer: ObjectWriter, document: Document, entries: list[Entry], refusals: list[Refusal]) -> None:
    before = writer.mark()
    hasher = hashlib.sha256()
    try:
        for piece in document.pieces():
            data = encode_utf8(piece)
            hasher.update(data)
            writer.write(data)
        if hasher.hexdigest() != document.id:
            raise RefusedError("changed", "It changed while it was being read. Feed it again when it is at rest.")  # noqa: TRY301
    except RefusedError as error:
        writer.go_back(before)
        refusals.append(error.refusal(document.source))
        return
    entries.append(Entry(document.id, before.size, document.size, document.source, dict(document.metadata)))


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "offset": entry.offset,
        "size": entry.size,
        "source": entry.source,
        "metadata": dict(entry.metadata),
    }
