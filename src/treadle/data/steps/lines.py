"""Text in pieces that end where lines end, so that what works on lines sees whole ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.data.document import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Cut the text anew, after line ends; a line longer than a piece is cut after a space, or anywhere."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        end = text.rfind("\n") + 1
        if not end and len(text) >= PIECE:
            end = text.rfind(" ") + 1 or len(text)
        if end:
            yield text[:end]
        rest = text[end:]
    if rest:
        yield rest


def beginning(pieces: Iterable[str], most: int) -> str:
    """The first `most` characters."""
    found: list[str] = []
    size = 0
    for piece in pieces:
        found.append(piece[: most - size])
        size += len(found[-1])
        if size >= most:
            break
    return "".join(found)
