"""The words and signs of the notes, as data: emoji, boxes, status words, names of sections and fields."""

from __future__ import annotations

import re
from typing import Literal

State = Literal["open", "planned", "in progress", "review", "paused", "blocked", "done", "dropped"]
Priority = Literal["critical", "high", "medium", "low"]

STATES: tuple[State, ...] = ("open", "planned", "in progress", "review", "paused", "blocked", "done", "dropped")
CLOSED: frozenset[str] = frozenset({"done", "dropped"})
PRIORITIES: dict[str, Priority] = {"🔴": "critical", "🟠": "high", "🟡": "medium", "🟢": "low"}
PRIORITY_SIGNS: dict[str, str] = {name: sign for sign, name in PRIORITIES.items()}
STATUSES: dict[str, State] = {
    "⏳": "in progress",
    "✅": "done",
    "🔄": "review",
    "⏸": "paused",
    "🚩": "blocked",
    "🔍": "planned",
}
STATUS_SIGNS: dict[State, str] = {
    "in progress": "⏳",
    "done": "✅",
    "review": "🔄",
    "paused": "⏸️",
    "blocked": "🚩",
    "planned": "🔍",
}
"""How a state is written; an open task carries no sign."""
MARKS = "📝"
"""Signs that stand before a note on a task (revised) and give it no state."""
BOXES: dict[str, State] = {
    " ": "open",
    "x": "done",
    "X": "done",
    "✅": "done",
    "~": "in progress",
    "/": "in progress",
    ">": "paused",
    "-": "dropped",
}
STATUS_WORDS: dict[str, State] = {
    "to do": "open", "todo": "open", "to-do": "open", "open": "open", "not started": "open", "pending": "open",
    "planned": "planned", "identified": "planned",
    "in progress": "in progress", "active": "in progress", "current focus": "in progress", "wip": "in progress",
    "started": "in progress", "doing": "in progress", "ongoing": "in progress",
    "review": "review", "under review": "review", "in review": "review", "ready for review": "review",
    "paused": "paused", "on hold": "paused", "deferred": "paused",
    "blocked": "blocked", "waiting": "blocked",
    "done": "done", "complete": "done", "completed": "done", "finished": "done",
    "dropped": "dropped", "cancelled": "dropped", "canceled": "dropped", "won't do": "dropped", "abandoned": "dropped",
}  # fmt: skip
STATE_TEXT: dict[State, str] = {
    "open": "To do",
    "planned": "Planned",
    "in progress": "In progress",
    "review": "Under review",
    "paused": "Paused",
    "blocked": "Blocked",
    "done": "Done",
    "dropped": "Dropped",
}
"""How a Status field says a state."""
PRIORITY_WORDS: dict[str, Priority] = {
    "critical": "critical", "urgent": "critical", "p0": "critical", "p1": "high", "high": "high", "p2": "medium",
    "medium": "medium", "normal": "medium", "p3": "low", "low": "low",
}  # fmt: skip
KNOWN_FIELDS = frozenset({
    "status", "priority", "goal", "context", "owner", "depends on", "blocked by", "requires", "prerequisite for",
    "steps", "files", "due", "effort", "impact", "urgency", "alignment", "horizon", "done when", "updates",
    "sub-tasks", "subtasks", "see also", "contributes to", "notes", "note", "next",
})  # fmt: skip
"""Keys that are fields of their task even where a colour stands in the value; others are kept all the same."""
DEPENDENCY_FIELDS = frozenset({"depends on", "blocked by", "requires"})
PREREQUISITE_FIELDS = frozenset({"prerequisite for"})

_WORDS = "|".join(re.escape(word) for word in sorted(STATUS_WORDS, key=len, reverse=True))
WORDS_PATTERN = rf"(?:{_WORDS})"
DATE_PATTERN = r"\d{4}-\d{2}-\d{2}"
STATUS_PATTERN = "[" + "".join(STATUSES) + "]\ufe0f?"
PRIORITY_PATTERN = "[" + "".join(PRIORITIES) + "]\ufe0f?"
SIGN_PATTERN = "[" + "".join(STATUSES) + "".join(PRIORITIES) + MARKS + "]\ufe0f?"

SECTION_STATES: tuple[tuple[re.Pattern[str], State], ...] = (
    (re.compile(r"\b(completed|done|finished|closed|archived?)\b", re.IGNORECASE), "done"),
    (re.compile(r"\bblocked\b", re.IGNORECASE), "blocked"),
    (re.compile(r"\b(paused|on hold)\b", re.IGNORECASE), "paused"),
    (re.compile(r"\b(upcoming|backlog|next steps?|future|ideas|later|someday|planned)\b", re.IGNORECASE), "planned"),
    (re.compile(r"\b(active|current|in progress|doing|ongoing|to ?do)\b", re.IGNORECASE), "open"),
)
"""What the title of a section says about the tasks in it; the first that fits counts."""
SECTION_PRIORITY = re.compile(
    r"^(?:(?P<word>critical|high|medium|low)(?: priority)?|priority (?P<number>[1-4])\b.*)$", re.IGNORECASE
)
NUMBERED_PRIORITIES: tuple[Priority, ...] = ("critical", "high", "medium", "low")
LOG_SECTION = re.compile(r"^(?:(?:activity|progress|work) )?logs?$", re.IGNORECASE)
HORIZON_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(short[- ]term|two[- ]weeks|next 2 weeks)\b", re.IGNORECASE), "two-weeks"),
    (re.compile(r"\b(medium[- ]term|two[- ]months|next 2 months)\b", re.IGNORECASE), "two-months"),
    (re.compile(r"\b(long[- ]term|vision)\b", re.IGNORECASE), "long-term"),
)


def status_of(words: str) -> State | None:
    """The state that a text begins to say: `In Progress (since May)` is in progress; None if it says none."""
    found = _STATUS_START.match(words)
    return None if found is None else STATUS_WORDS[found[1].lower()]


def priority_of(words: str) -> Priority | None:
    """The priority that a text begins to say, by sign or word; None if it says none."""
    for sign, name in PRIORITIES.items():
        if words.startswith(sign):
            return name
    found = re.match(r"\W*([a-z]+\d?)", words, re.IGNORECASE)
    return PRIORITY_WORDS.get(found[1].lower()) if found else None


_STATUS_START = re.compile(rf"[\s{''.join(STATUSES)}{''.join(PRIORITIES)}\ufe0f*_]*({WORDS_PATTERN})\b", re.IGNORECASE)
