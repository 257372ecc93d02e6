"""White space in prose: none at the ends of lines, at most one blank line, none around the whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ENDS = re.compile(r"[ \t\xa0]+(?=\n)")
_BLANK = re.compile(r"\n{3,}")


def tidied(pieces: Iterable[str]) -> Iterator[str]:
    """Tidy pieces of whole lines; a text with any line ends with one."""
    begun = False
    waiting = 0
    for piece in pieces:
        text = _BLANK.sub("\n\n", _ENDS.sub("", piece))
        body = text.strip("\n")
        if not body:
            waiting += text.count("\n")
            continue
        leading = len(text) - len(text.lstrip("\n"))
        if begun:
            yield "\n" * min(waiting + leading, 2)
        waiting = len(text) - len(text.rstrip("\n"))
        begun = True
        yield body
    if begun and waiting:
        yield "\n"
