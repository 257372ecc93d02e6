"""Characters: wrongly decoded text repaired, one normal form, nothing that no text needs."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal, cast

from treadle.data.document import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# UTF-8 that was read as Windows' encoding: a lead byte as a letter, and what follows it as a sign that no word holds.
_MOJIBAKE = re.compile(
    "[\xc2\xc3][\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    "|\xe2(?:\u20ac|\u201a\xac|\u2020)|\xef\xbb\xbf|\xd0[\x80-\xbf\u2018-\u2122]{1}\xd1"
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f\x80-\x84\x86-\x9f\ufeff\ufffe\uffff\u00ad]")
_LINE_ENDS = re.compile("\r\n?|\u0085|\u2028|\u2029")
_FEWEST = 2
"""A single hit may be meant; two are damage."""


def repaired(pieces: Iterable[str], facts: dict[str, object]) -> Iterator[str]:
    """Repair lines that were decoded wrongly, in documents where a test finds more than one."""
    mended = 0
    for piece in pieces:
        if piece.isascii() or len(_MOJIBAKE.findall(piece)) < _FEWEST:
            yield piece
            continue
        lines = piece.splitlines(keepends=True)
        fixed = [_fix(line) if _MOJIBAKE.search(line) else line for line in lines]
        mended += sum(old != new for old, new in zip(lines, fixed, strict=True))
        yield "".join(fixed)
    if mended:
        facts["repaired_lines"] = mended


def normalised(pieces: Iterable[str], form: str, facts: dict[str, object]) -> Iterator[str]:
    """Bring characters into one normal form, and take out control characters, marks and soft hyphens."""
    removed = composed = 0
    for piece in pieces:
        text = piece
        if form != "as given" and not text.isascii():
            text = unicodedata.normalize(cast("Literal['NFC', 'NFKC']", form), text)
            composed += text != piece
        if _LINE_ENDS.search(text):
            text = _LINE_ENDS.sub("\n", text)
        clean = _CONTROLS.sub("", text)
        removed += len(text) - len(clean)
        yield clean
    if removed:
        facts["removed_characters"] = removed
    if composed:
        facts["unicode_changed"] = True


def _fix(line: str) -> str:
    try:
        import ftfy
    except ImportError as error:
        said = (
            "It was decoded wrongly (Ã¤ for ä). Install what repairs it: pip install 'treadle[documents]', or leave it:"
        )
        raise RefusedError("missing_extra", f"{said} repair=false.") from error
    return ftfy.fix_encoding(line)
