"""The noun of this room: a Document on its way in, or the reason why it was refused.

A document is read in pieces of at most `PIECE` characters, never as a whole, so that a file of any size, also one
that is a single line, passes through in a few megabytes of memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from treadle.base.errors import DataError

PIECE = 1 << 20
"""Largest number of characters that one piece of a document holds."""

Reason = Literal[
    "binary",
    "changed",
    "crashed",
    "damaged",
    "duplicate",
    "empty",
    "encoding",
    "encrypted",
    "language",
    "missing",
    "missing_extra",
    "near_duplicate",
    "quality",
    "timed_out",
    "too_large",
    "unknown_format",
    "unlabelled",
    "unreadable",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""Every code that a refusal may carry: they are counted and can be looked up."""

Pieces = Callable[[], Iterator[str]]
"""Starts reading a document's text from its beginning; may be called again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One input that was not taken, and why."""

    source: str
    reason: Reason
    detail: str
    """One sentence for people: what is wrong, and the next step where there is one."""


class RefusedError(DataError):
    """Raised while a document is being read; whoever iterates turns it into a `Refusal`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail

    def refusal(self, source: str) -> Refusal:
        """The refusal of `source` for this reason."""
        return Refusal(source, self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its origin. Equal texts have equal ids, whatever their source."""

    id: str
    """SHA-256 of the text in UTF-8, in hexadecimal."""
    source: str
    """Where it came from: a path, or `ARCHIVE!/MEMBER`."""
    size: int
    """Bytes of the text in UTF-8."""
    pieces: Pieces = field(compare=False, repr=False)
    """Reads the text again, in pieces of at most `PIECE` characters."""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Plain JSON values, such as the encoding."""

    @classmethod
    def from_text(cls, text: str, source: str, metadata: Mapping[str, Any] | None = None) -> Document:
        """Make a document of a text that is already in memory."""
        return cls.from_pieces(lambda: _cut(text), source, metadata)

    @classmethod
    def from_pieces(cls, pieces: Pieces, source: str, metadata: Mapping[str, Any] | None = None) -> Document:
        """Make a document of a text that is read piece by piece; reads it once, for its id.

        Raises:
            RefusedError: The text is empty, blank or not storable, or `pieces` raised it.
        """
        hasher = hashlib.sha256()
        size = 0
        blank = True
        for piece in pieces():
            encoded = encode_utf8(piece)
            hasher.update(encoded)
            size += len(encoded)
            blank = blank and not piece.strip()
        if blank:
            raise RefusedError("empty", "It holds no text." if size == 0 else "It holds nothing but white space.")
        return cls(hasher.hexdigest(), source, size, pieces, dict(metadata or {}))

    @property
    def text(self) -> str:
        """The whole text, in memory."""
        return "".join(self.pieces())


def encode_utf8(text: str) -> bytes:
    """Encode `text`; raises `RefusedError` where it holds half a surrogate pair, which no file can store."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        bad = text[error.start]
        raise RefusedError(
            "encoding", f"Character U+{ord(bad):04X} is half a surrogate pair, not a character."
        ) from error


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]
