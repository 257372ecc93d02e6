"""The hold-out rule: what of a document is trained on, and what is kept for evaluation. No text is on both sides.

A document of at least `WINDOWS_TO_SPLIT` windows gives its last share, as one piece, so that no window overlaps both
sides. A smaller one falls on one side as a whole, by its content hash: the same text always falls on the same side.

The rule counts bytes, not tokens: which text is held out does not hang on the tokenizer, so that bits per byte compare
across tokenizers, and a vocabulary can be learned from nothing but the text that is trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.data.config import DataSettings
    from treadle.data.document import Document
    from treadle.data.shards import Entry

WINDOWS_TO_SPLIT = 20


def training_bytes(document_id: str, size: int, settings: DataSettings) -> int:
    """How many of a document's bytes, from its beginning, are trained on; the rest is held out."""
    if settings.held_out == 0:
        return size
    if size >= WINDOWS_TO_SPLIT * settings.sequence_length:
        return size - round(size * settings.held_out)
    return 0 if hash_share(document_id) < settings.held_out else size


def training_bytes_of(document: Document | Entry, settings: DataSettings) -> int:
    """As `training_bytes`; but a document that has near-duplicates falls on one side with all of them, by the first."""
    cluster = document.metadata.get("cluster")
    if cluster is None or settings.held_out == 0:
        return training_bytes(document.id, document.size, settings)
    return 0 if hash_share(cluster) < settings.held_out else document.size


def sides(document: Document, settings: DataSettings) -> Iterator[tuple[str, bool]]:
    """Give a document's text in pieces, each with whether it is held out; no character is cut."""
    rest = training_bytes_of(document, settings)
    for piece in document.pieces():
        data = piece.encode()
        if len(data) <= rest:
            rest -= len(data)
            yield piece, False
            continue
        while rest and data[rest] & 0xC0 == 0x80:  # inside a character
            rest -= 1
        if rest:
            yield data[:rest].decode(), False
        yield data[rest:].decode(), True
        rest = 0


def hash_share(document_id: str) -> float:
    """Map a content hash to [0, 1), evenly over contents."""
    return int(document_id[:13], 16) / 16**13
