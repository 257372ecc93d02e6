"""The tolerant line scanner: text to lines, whatever CommonMark would think of them.

Bytes are decoded as UTF-8 with `surrogateescape`, which maps any bytes to a text and back without loss; only a line
feed ends a line. Nothing is ever written from a parsed form: an edit is a splice of this text (`edits.py`).
"""

from __future__ import annotations

import re

from treadle.flow.vocabulary import BOXES, MARKS, PRIORITIES, SIGN_PATTERN, STATUSES

_TAB = 4
_BOX = "".join(re.escape(char) for char in BOXES)
_PREFIX = re.compile(
    r"\ufeff?([ \t]*)"
    r"(?:([-*+]|\d{1,9}[.)])(?=[ \t]|$)([ \t]*))?"
    r"(?:(#{1,6})(?=[ \t]|$)[ \t]*)?"
    rf"(?:\[([{_BOX}])\ufe0f?\](?:[ \t]+|$))?"
    rf"((?:{SIGN_PATTERN}[ \t]*)*)"
)
_FENCE = re.compile(r"(`{3,}|~{3,})([^\n]*)$")
_RULE = re.compile(r"[-*_ \t]*$")
_SIGNS = re.compile(SIGN_PATTERN)


def decode(data: bytes) -> str:
    """Any bytes as a text that `encode` turns back into the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes of a text from `decode`, with what was spliced in."""
    return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """A text that may be printed: bytes that are not UTF-8 appear as the replacement character."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Shape:
    """What stands before the title of a line. Lines with the same prefix share one."""

    __slots__ = ("box", "column", "content", "heading", "indent", "marker", "marks", "priorities", "statuses")

    def __init__(self, prefix: str, found: re.Match[str]) -> None:
        """Read the groups of the prefix's pattern."""
        indent, marker, gap, heading, box, signs = found.groups()
        self.indent: int = _columns(indent)
        self.column: int = len(prefix) - len(prefix.lstrip("\ufeff \t"))
        """Characters before the marker or the text."""
        self.marker: str = marker or ""
        self.heading: int = len(heading) if heading else 0
        self.box: str | None = box
        width = _columns(gap or "", self.indent + len(self.marker)) - self.indent - len(self.marker)
        self.content: int = self.indent + len(self.marker) + (width if 1 <= width <= _TAB else 1)
        """Column at which CommonMark expects what belongs to this item."""
        found_signs = [sign.rstrip("\ufe0f") for sign in _SIGNS.findall(signs)] if signs else []
        self.statuses: tuple[str, ...] = tuple(sign for sign in found_signs if sign in STATUSES)
        self.priorities: tuple[str, ...] = tuple(sign for sign in found_signs if sign in PRIORITIES)
        self.marks: bool = bool(found_signs) and found_signs[0] in MARKS


class Line:
    """One line: where it lies in the text, what stands before its title, and what it is."""

    __slots__ = ("body", "end", "kind", "next", "number", "shape", "start")

    def __init__(self, number: int, start: int, body: int, end: int, next_: int, shape: Shape, kind: str) -> None:
        """Hold the place; called once a line, so without ceremony."""
        self.number = number
        """Counted from 1."""
        self.start = start
        self.body = body
        """Where the title begins: behind indentation, marker, heading, box and leading signs."""
        self.end = end
        """Before the line's end, `\\r` included in the end."""
        self.next = next_
        """Where the next line begins."""
        self.shape = shape
        self.kind = kind
        """`item`, `heading`, `text`, `blank`, `code` (a fence and what is inside), `comment` (inside `<# #>` or an
        HTML comment)."""


_shapes: dict[str, Shape] = {}
_MOST_SHAPES = 20_000


def scan(text: str) -> list[Line]:
    """Cut a text into lines and say what each of them is. Never fails, whatever the text is."""
    lines: list[Line] = []
    add, match, shapes = lines.append, _PREFIX.match, _shapes
    if len(shapes) > _MOST_SHAPES:
        shapes.clear()
    rows = text.split("\n")
    last = len(rows) - 1
    start = 0
    fence = ""
    until = ""  # what ends a comment that goes over line ends
    for index, row in enumerate(rows):
        size = len(row)
        next_ = start + size + (index < last)
        if row and row[-1] == "\r":
            row = row[:-1]  # noqa: PLW2901 - the line without its end
        if index == last and not size:
            break
        found = match(row)
        body = found.end() if found else 0  # the pattern matches any text
        prefix = row[:body]
        shape = shapes.get(prefix) or _remembered(prefix, found)
        end = start + len(row)
        if fence:
            kind = "code"
            fence = "" if _closes(row, fence) else fence
        elif until and not _ends_paragraph(row, shape, until):
            kind = "comment"
            until = "" if until in row else until
        else:
            until = ""
            kind = "item" if shape.box is not None else _kind(row, body, shape)
            if "```" in row or "~~~" in row:
                fence = _opened_fence(row, shape)
                kind = "code" if fence and not shape.marker else kind
            if "<" in row:
                until = _opened_comment(row, text, next_)
                kind = "comment" if until == "-->" and row.lstrip().startswith("<!--") else kind
        add(Line(index + 1, start, start + body, end, next_, shape, kind))
        start = next_
    return lines


def _remembered(prefix: str, found: re.Match[str] | None) -> Shape:
    if found is None:
        raise ValueError(f"the pattern of a prefix matches any text, but not {prefix!r}")
    shape = _shapes[prefix] = Shape(prefix, found)
    return shape


def _kind(row: str, body: int, shape: Shape) -> str:
    if shape.marker:
        if body < len(row) and row[body] in "-*_" and _RULE.match(row, body) and shape.marker in "-*":
            return "text"  # a rule such as `* * *`
        return "item"
    if shape.heading:
        return "heading"
    if shape.box is not None:
        return "item"
    return "text" if body < len(row) or row.strip() else "blank"


def _opened_fence(row: str, shape: Shape) -> str:
    """The signs of a fence that this line opens, or nothing."""
    text = row.lstrip("\ufeff \t")
    if shape.marker:
        text = text[len(shape.marker) :].lstrip(" \t")
    found = _FENCE.match(text)
    if found is None or (found[1][0] == "`" and "`" in found[2]):
        return ""
    return found[1]


def _closes(row: str, fence: str) -> bool:
    text = row.strip()
    return len(text) >= len(fence) and not text.strip(fence[0])


def _opened_comment(row: str, text: str, next_: int) -> str:
    """What will end a comment that this line opens and does not close; nothing if it opens none.

    An HTML comment that is never closed is one line, so that a slip does not hide the rest of the file.
    """
    html = row.rfind("<!--")
    if html >= 0 and "-->" not in row[html:] and row.count("`", 0, html) % 2 == 0:
        return "-->" if text.find("-->", next_) >= 0 else ""
    own = row.rfind("<#")
    if own >= 0 and "#>" not in row[own:] and row.count("`", 0, own) % 2 == 0:
        return "#>"
    return ""


def _ends_paragraph(row: str, shape: Shape, until: str) -> bool:
    """Whether a comment that was left open ends before this line: at a blank line, an item or a heading."""
    if until == "-->" or until in row:
        return False
    return bool(not row.strip() or shape.marker or shape.heading)


def _columns(blank: str, at: int = 0) -> int:
    """The column behind leading blanks that begin at column `at`."""
    for char in blank:
        at = at + _TAB - at % _TAB if char == "\t" else at + 1
    return at
