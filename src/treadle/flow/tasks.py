"""The nouns of the notes: Task, Field, Section; what each line claims, and which claim counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.flow.trail import Sign, split_trail
from treadle.flow.vocabulary import (
    BOXES,
    CLOSED,
    DATE_PATTERN,
    PRIORITIES,
    STATUSES,
    Priority,
    State,
    priority_of,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.flow.scanner import Line

_EMPHASIS = re.compile(r"\*\*|~~")
_DATE = re.compile(rf"\b{DATE_PATTERN}\b")
_SPACE = re.compile(r"\s+")
_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")
_ORNAMENT = re.compile(r"[*_`~\ufe0f" + "".join(STATUSES) + "".join(PRIORITIES) + "]")


# Shared by all tasks without any; a task gets a list of its own with its first.
_NO_FIELDS: list[Field] = []
_NO_TASKS: list[Task] = []
_NO_LINES: list[int] = []


@dataclass(slots=True)
class Section:
    """A heading and what follows up to the next heading of its level."""

    title: str
    level: int
    line: int
    """Index of its line; -1 for what stands before the first heading."""
    parent: Section | None
    own_state: State | None = None
    own_priority: Priority | None = None
    horizon: str | None = None
    is_log: bool = False
    end: int = 0
    """Index of the first line behind it."""
    task: Task | None = None
    """The task that this heading is, if it is one."""
    around: Task | None = None
    """The nearest heading that is a task: this one or one above."""

    @property
    def state(self) -> State | None:
        """The state that its tasks have if they say none: its own, else that of the section around it."""
        return next((one.own_state for one in self.upwards() if one.own_state is not None), None)

    @property
    def priority(self) -> Priority | None:
        """The priority that its tasks have if they name none."""
        return next((one.own_priority for one in self.upwards() if one.own_priority is not None), None)

    @property
    def when(self) -> str | None:
        """The horizon of its tasks: two-weeks, two-months or long-term."""
        return next((one.horizon for one in self.upwards() if one.horizon is not None), None)

    def upwards(self) -> Iterator[Section]:
        """This section and those around it."""
        at: Section | None = self
        while at is not None:
            yield at
            at = at.parent


@dataclass(slots=True)
class Field:
    """A child bullet that says something of its task: `- **Goal**: ...`, or `- 🔍 Planned`, whose key is empty."""

    key: str
    """In lower case, as it is matched."""
    value: str
    line: int
    start: int
    """Where the value begins in the text; for a bare status its sign."""
    end: int


@dataclass(slots=True)
class Claim:
    """One place that states a state."""

    state: State
    source: str
    """`box`, `field`, `trail`, `lead` or `struck`."""
    start: int
    end: int
    date: str | None = None
    line: int = 0


class Task:
    """One task: its line, what belongs to it, and what it claims. Computed from the text, never the other way."""

    __slots__ = ("_signs", "_text", "_written", "children", "fields", "line", "notes", "parent", "place", "section")

    def __init__(self, line: int, place: Line, text: str, section: Section, parent: Task | None) -> None:
        """Hold the place; the title is split from its trail when somebody asks. Called once a task: no ceremony."""
        self.line = line
        """Index of its line in the page."""
        self.place = place
        self.section = section
        self.parent = parent
        self.fields: list[Field] = _NO_FIELDS
        self.children: list[Task] = _NO_TASKS
        self.notes: list[int] = _NO_LINES
        """Indexes of plain bullets directly below."""
        self._text = text
        self._written: str | None = None
        self._signs: tuple[Sign, ...] = ()
        if parent is not None:
            if parent.children:
                parent.children.append(self)
            else:
                parent.children = [self]

    def add_field(self, one: Field) -> None:
        """Note a child bullet that says something of this task."""
        if self.fields:
            self.fields.append(one)
        else:
            self.fields = [one]

    def add_note(self, line: int) -> None:
        """Note a plain child bullet."""
        if self.notes:
            self.notes.append(line)
        else:
            self.notes = [line]

    @property
    def begin(self) -> int:
        """Where the line begins behind its indentation."""
        return self.place.start + self.place.shape.column

    @property
    def written(self) -> str:
        """The title as it stands there, with emphasis."""
        if self._written is None:
            self._written, self._signs = split_trail(self._text[self.place.body : self.place.end])
        return self._written

    @property
    def signs(self) -> tuple[Sign, ...]:
        """What stands behind the title; places count from `place.body`."""
        if self._written is None:
            self._written, self._signs = split_trail(self._text[self.place.body : self.place.end])
        return self._signs

    @property
    def title(self) -> str:
        """The title as people say it."""
        text = self.written
        if "*" in text or "~" in text:
            text = _EMPHASIS.sub("", text)
        if self.place.shape.heading:
            text = text.rstrip("#")
        return text.strip(" \t:")

    @property
    def claims(self) -> list[Claim]:
        """All explicit statements of its state, the strongest first."""
        body, shape = self.place.body, self.place.shape
        found: list[Claim] = []
        if shape.box is not None:
            found.append(Claim(BOXES[shape.box], "box", self.place.start, body, None, self.line))
        for one in self.fields:
            if one.key in ("", "status"):
                state = status_of(one.value) or sign_state(one.value)
                if state is not None:
                    found.append(Claim(state, "field", one.start, one.end, _date_in(one.value), one.line))
        found += [
            Claim(sign.state, "trail", body + sign.start, body + sign.end, sign.date, self.line)
            for sign in self.signs
            if sign.state is not None
        ]
        found += [
            Claim(STATUSES[sign], "lead", self._text.index(sign, self.place.start), body, None, self.line)
            for sign in shape.statuses
        ]
        if "~~" in self.written and self.written.strip("*: ").startswith("~~"):
            found.append(Claim("dropped", "struck", body, body + len(self.written), None, self.line))
        return found

    @property
    def state(self) -> State:
        """What counts: box, Status field, trailing sign, leading sign, strike, then the section.

        An empty box says no more than `not finished`; what else is claimed may say it more exactly.
        """
        shape = self.place.shape
        if shape.box is not None and shape.box not in " ~/>":
            return BOXES[shape.box]
        if not self.fields and not self.signs and not shape.statuses:
            return (self.section.state or "open") if shape.box is None else BOXES[shape.box]
        claims = self.claims
        if not claims:
            return self.section.state or "open"
        first = claims[0]
        if first.source == "box" and first.state == "open":
            finer = [claim.state for claim in claims[1:] if claim.state not in CLOSED]
            return finer[0] if finer else "open"
        return first.state

    @property
    def closed(self) -> bool:
        """Whether nothing is left to do: done or dropped."""
        return self.state in CLOSED

    @property
    def priorities(self) -> list[tuple[Priority, int, int]]:
        """All explicit priorities with their places, the strongest first: signs of the line, then the field."""
        place = self.place
        found: list[tuple[Priority, int, int]] = [
            (PRIORITIES[sign], place.start, place.body) for sign in place.shape.priorities
        ]
        found += [
            (PRIORITIES[sign.text], place.body + sign.start, place.body + sign.end)
            for sign in self.signs
            if sign.kind == "priority"
        ]
        for one in self.fields:
            if one.key == "priority":
                named = priority_of(one.value)
                if named is not None:
                    found.append((named, one.start, one.end))
        return found

    @property
    def priority(self) -> Priority | None:
        """Its own priority, else that of its section."""
        if self.place.shape.priorities:
            return PRIORITIES[self.place.shape.priorities[0]]
        if self.signs or self.fields:
            own = self.priorities
            if own:
                return own[0][0]
        return self.section.priority

    @property
    def done_dates(self) -> list[tuple[str, int, int]]:
        """Dates at which it says that it was done, with the index of their lines and their places."""
        found: list[tuple[str, int, int]] = [
            (claim.date, claim.line, claim.start) for claim in self.claims if claim.state == "done" and claim.date
        ]
        body = self.place.body
        for sign in self.signs:
            told = sign.kind == "comment" and re.match(r"(?:done|completed|finished)\b", sign.text, re.IGNORECASE)
            if sign.date and (told or (sign.kind == "date" and self.state == "done")):
                found.append((sign.date, self.line, body + sign.start))
        return found

    @property
    def done(self) -> str | None:
        """The first date at which it says that it was done."""
        dates = self.done_dates
        return dates[0][0] if dates and self.state == "done" else None

    @property
    def identity(self) -> str | None:
        """The visible id `t-4f2a`, if the line carries one."""
        return next((sign.text for sign in self.signs if sign.kind == "identity"), None)

    def value(self, key: str) -> str | None:
        """The text of a field, or None."""
        return next((one.value for one in self.fields if one.key == key), None)

    def values(self, keys: frozenset[str]) -> list[Field]:
        """All fields with one of these keys."""
        return [one for one in self.fields if one.key in keys]

    def ancestors(self) -> list[Task]:
        """The tasks above it, nearest first."""
        found = []
        at = self.parent
        while at is not None:
            found.append(at)
            at = at.parent
        return found


def normalised(title: str) -> str:
    """A title for comparison: no emphasis, signs or doubled blanks, in lower case."""
    return _SPACE.sub(" ", _ORNAMENT.sub("", title)).strip(" .:").casefold()


def bare(title: str) -> str:
    """A normalised title without what stands in brackets behind it."""
    text = normalised(title)
    return _BRACKETS.sub("", text) or text


def title_of(line: Line, text: str) -> tuple[str, tuple[Sign, ...]]:
    """The title as written and the signs behind it of one line of `text`."""
    return split_trail(text[line.body : line.end])


def sign_state(value: str) -> State | None:
    """The state that a text begins with as a sign, or None."""
    return STATUSES.get(value[:1])


def _date_in(value: str) -> str | None:
    found = _DATE.search(value)
    return found[0] if found else None
