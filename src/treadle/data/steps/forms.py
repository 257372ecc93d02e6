"""The form of a text: prose, or one of those whose lines and spaces mean something and are kept as they are."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from typing import Any, Final, Literal

from treadle.data.readers.catalog import CODE_EXTENSIONS

Form = Literal["prose", "dialogue", "verse", "code", "table", "chat"]
LOOKED_AT: Final = 16 << 10
"""Characters from the beginning that the form is told by."""

_SPEAKER = re.compile(
    r"^[ \t]*([A-Z][A-Z0-9 .'\u2019&-]{1,38}|[A-Z][a-z]+(?: [A-Z][a-z]+){0,2})(?:[:.]|[:.] .*|[ \t]*\(.*\))?$"
)
_NAME_FIRST = re.compile(r"^[ \t]*([A-Z][\w.'\u2019 -]{0,30}): \S")
_HEADING = re.compile(r"^\s*(INT\.|EXT\.|ACT [IVX\d]+|SCENE [IVX\d]+)")
_CHAT = re.compile(
    r"^(?:\[?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?\]?|<[\w@-]{1,30}>|\[\d{4}-\d\d-\d\d|(?:user|assistant|system|human|bot): )",
    re.IGNORECASE,
)
_SYNTAX = re.compile(
    r"[{};]\s*$|^\s*(?:def |class |import |from \w+ import|#include|function |return\b|</?\w+[^>]*>\s*$|//|/\*)"
)


def form_of(text: str, source: str = "") -> tuple[Form, dict[str, Any]]:
    """The form of a text that begins so, and what was seen of it, such as the number of speakers."""
    if f".{source.rpartition('.')[2].lower()}" in {*CODE_EXTENSIONS, ".dtd"}:
        return "code", {}
    lines = [line.rstrip() for line in text[:LOOKED_AT].split("\n")]
    filled = [line for line in lines if line.strip()]
    if len(filled) < 4:
        return "prose", {}
    if _share(_CHAT, filled) > 0.5:
        return "chat", {}
    if _is_table(filled):
        return "table", {}
    if _share(_SYNTAX, filled) > 0.3:
        return "code", {}
    speakers = _speakers(lines)
    if speakers:
        return "dialogue", {"speakers": speakers}
    return ("verse", {}) if _is_verse(lines, filled) else ("prose", {})


def _share(pattern: re.Pattern[str], lines: list[str]) -> float:
    return sum(pattern.search(line) is not None for line in lines) / len(lines)


def _is_table(lines: list[str]) -> bool:
    for mark in ("|", "\t", ";", ","):
        counts = Counter(line.count(mark) for line in lines)
        count, times = counts.most_common(1)[0]
        fewest = 3 if mark == "," else 2 if mark == ";" else 1
        if count >= fewest and times > 0.8 * len(lines) and statistics.median(map(len, lines)) < 400:
            return True
    return False


def _speakers(lines: list[str]) -> int:
    """How many speakers a dialogue has, each with more than one speech; 0 for what is no dialogue."""
    names: Counter[str] = Counter()
    headings = 0
    filled = 0
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        filled += 1
        headings += _HEADING.match(line) is not None
        after_blank = number == 0 or not lines[number - 1].strip()
        spoken = _NAME_FIRST.match(line) or (_SPEAKER.match(line) if after_blank else None)
        followed = number + 1 < len(lines) and bool(lines[number + 1].strip())
        if spoken and (followed or _NAME_FIRST.match(line)):
            names[spoken[1].strip().rstrip(".:")] += 1
    repeated = {name: count for name, count in names.items() if count > 1}
    speeches = sum(repeated.values())
    if len(repeated) >= 2 and (speeches > 0.12 * filled or (headings >= 2 and speeches > 0.05 * filled)):
        return len(repeated)
    return 0


def _is_verse(lines: list[str], filled: list[str]) -> bool:
    lengths = [len(line.strip()) for line in filled]
    if len(filled) < 8 or statistics.median(lengths) > 55 or max(lengths) > 100 or statistics.median(lengths) < 15:
        return False
    capital = sum(line.strip()[0].isupper() or line.strip()[0] in "'\"\u201c\u2018" for line in filled) / len(filled)
    ended = sum(line.rstrip()[-1] in ".!?:;" for line in filled) / len(filled)
    stanzas = sum(not line.strip() for line in lines)
    return capital > 0.75 and ended < 0.7 and stanzas < 0.6 * len(filled)
