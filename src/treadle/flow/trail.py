"""What may stand behind a title: `: 🟡`, `✅ Done 2025-04-03`, `(To Do)`, `(2025-04-03)`, `<# note #>`, `^t-4f2a`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from treadle.flow.vocabulary import (
    DATE_PATTERN,
    PRIORITY_PATTERN,
    STATUS_PATTERN,
    STATUS_WORDS,
    STATUSES,
    WORDS_PATTERN,
    State,
)

_HINT = re.compile(r"<#|\^t-|[" + "".join(STATUSES) + r"🔴🟠🟡🟢]|\)\s*$")
_TOKEN = re.compile(
    r"(?P<code>`[^`]*`)"
    r"|(?P<comment><#.*?(?:#>|$))"
    r"|(?P<identity>\^t-[0-9a-z]{4,12}\b)"
    rf"|(?P<status>{STATUS_PATTERN})(?:\s*(?P<word>{WORDS_PATTERN})\b)?(?:[\s:]*(?P<date>{DATE_PATTERN}))?"
    rf"|(?P<colour>{PRIORITY_PATTERN})(?:\s+(?P<meant>{WORDS_PATTERN})\b)?"
    r"|\((?P<group>[^()]{0,300}(?:\([^()]{0,300}\)[^()]{0,300}){0,5})\)",
    re.IGNORECASE,
)
_GROUP_DATE = re.compile(rf"(?:[a-z]+\s+)?(?P<date>{DATE_PATTERN})$", re.IGNORECASE)
_DATE = re.compile(rf"\b{DATE_PATTERN}\b")


@dataclass(slots=True)
class Sign:
    """One piece of a trail that claims something; `start` and `end` count from the beginning of the title."""

    kind: str
    """`status`, `priority`, `colour` (a priority's colour before a status word), `words`, `date`, `comment`, `note`,
    `identity`."""
    text: str
    start: int
    end: int
    state: State | None = None
    date: str | None = None


_NONE: tuple[Sign, ...] = ()


def split_trail(rest: str) -> tuple[str, tuple[Sign, ...]]:
    """Cut what follows a line's prefix into the title as written and the signs behind it, in their order."""
    if _HINT.search(rest) is None:
        return rest.rstrip(), _NONE
    at = len(rest.rstrip())
    signs: list[Sign] = []
    held: Sign | None = None  # a bracket of free words: part of the trail only behind a status
    for token in reversed(list(_TOKEN.finditer(rest))):
        if rest[token.end() : at].strip(" \t:"):
            break
        sign = _sign(token)
        if sign is None:
            if token["group"] is None or held is not None:
                break
            held, at = Sign("note", token["group"], token.start(), token.end()), token.start()
            continue
        if held is not None:
            if sign.kind != "status":
                break
            signs.append(held)
            held = None
        signs.append(sign)
        at = token.start()
    if held is not None:
        at = held.end
    return rest[:at].rstrip(" \t"), tuple(reversed(signs))


def _sign(token: re.Match[str]) -> Sign | None:
    start, end = token.span()
    if token["comment"]:
        text = token["comment"][2:].removesuffix("#>").strip()
        found = _DATE.search(text)
        return Sign("comment", text, start, end, None, found[0] if found else None)
    if token["identity"]:
        return Sign("identity", token["identity"][1:], start, end)
    if token["status"]:
        return Sign("status", token[0], start, end, STATUSES[token["status"].rstrip("\ufe0f")], token["date"])
    if token["colour"]:
        colour, meant = token["colour"].rstrip("\ufe0f"), token["meant"]
        return Sign("colour" if meant else "priority", colour, start, end, _said(meant))
    if token["group"] is not None:
        state = _said(token["group"].strip())
        if state is not None:
            return Sign("words", token["group"], start, end, state)
        found = _GROUP_DATE.match(token["group"].strip())
        if found:
            return Sign("date", token["group"], start, end, None, found["date"])
    return None


def _said(words: str | None) -> State | None:
    return STATUS_WORDS.get(words.lower()) if words else None
