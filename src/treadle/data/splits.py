"""The hold-out rule: what of a document is trained on, and what is kept for evaluation. No text is on both sides.

A document of at least `WINDOWS_TO_SPLIT` windows gives its last share, as one piece, so that no window overlaps both
sides. A smaller one falls on one side as a whole, by its content hash: the same text always falls on the same side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from treadle.data.config import DataSettings

WINDOWS_TO_SPLIT = 20


def training_tokens(document_id: str, tokens: int, settings: DataSettings) -> int:
    """How many of a document's tokens, from its beginning, are trained on; the rest is held out."""
    if settings.held_out == 0:
        return tokens
    if tokens >= WINDOWS_TO_SPLIT * settings.sequence_length:
        return tokens - round(tokens * settings.held_out)
    return 0 if hash_share(document_id) < settings.held_out else tokens


def hash_share(document_id: str) -> float:
    """Map a content hash to [0, 1), evenly over contents."""
    return int(document_id[:13], 16) / 16**13
