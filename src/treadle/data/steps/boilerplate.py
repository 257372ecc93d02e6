"""What stands around a text and is not of it: the licence of Project Gutenberg before and after a book."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MENTION = re.compile(r"project gutenberg", re.IGNORECASE)
_START = re.compile(
    r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG E(?:BOOK|TEXT)[^\n]*\n|^\*END\*? ?THE SMALL PRINT[^\n]*\n",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg)[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_CREDITS = re.compile(
    r"\s*(?:Produced by|E-?text prepared by|Transcribed (?:from|by))[^\n]*(?:\n[^\n]+)*\n", re.IGNORECASE
)
_HEAD = 128 << 10
"""Characters in which the beginning must be found."""


def stripped(pieces: Iterable[str], facts: dict[str, object]) -> Iterator[str]:
    """Take off the licence of Project Gutenberg, where there is one; `pieces` are whole lines."""
    source = iter(pieces)
    head = ""
    for piece in source:
        head += piece
        if len(head) >= _HEAD or not _MENTION.search(head[:8192]) or _START.search(head):
            break
    start = _START.search(head) if _MENTION.search(head[:8192]) else None
    if start is None:
        yield head
        yield from source
        return
    facts["boilerplate"] = "project gutenberg"
    rest = head[start.end() :]
    produced = _CREDITS.match(rest)
    begin = rest[produced.end() if produced else 0 :].lstrip("\n")
    yield from _until_the_end(itertools.chain([begin], source))


def _until_the_end(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        end = _END.search(piece)
        if end is not None:
            yield piece[: end.start()].rstrip() + "\n"
            return
        yield piece
