"""One Markdown file as tasks, fields and sections. Structure is indentation and heading level, nothing else."""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.flow.scanner import Line, decode, scan
from treadle.flow.tasks import Field, Section, Task, title_of
from treadle.flow.vocabulary import (
    DATE_PATTERN,
    HORIZON_WORDS,
    KNOWN_FIELDS,
    LOG_SECTION,
    NUMBERED_PRIORITIES,
    PRIORITIES,
    PRIORITY_PATTERN,
    SECTION_PRIORITY,
    SECTION_STATES,
    SIGN_PATTERN,
    WORDS_PATTERN,
    priority_of,
)

if TYPE_CHECKING:
    from pathlib import Path

_BOLD_KEY = re.compile(r"\*\*([^*\n]{1,80}?)(?::\*\*|\*\*\s*:)\s*")
_ITALIC_KEY = re.compile(r"\*([^*\n:]{1,60}):\s*([^*\n]*)\*\s*$|\*([^*\n]{1,60}?)(?::\*|\*\s*:)\s*")
_COLOUR = re.compile(PRIORITY_PATTERN)
_COLOUR_OF_STATUS = re.compile(rf"{PRIORITY_PATTERN}\s*{WORDS_PATTERN}\b", re.IGNORECASE)
_BARE_STATUS = re.compile(rf"{WORDS_PATTERN}\s*:?\s*(?:{DATE_PATTERN})?\s*(?:\(.*\))?\s*(?:<#.*)?$", re.IGNORECASE)
_FINDING = re.compile(r"\b(planned|identified|found|discovered|noted|suggested|reported|revised)\b", re.IGNORECASE)
_SIGNS = re.compile(rf"(?:{SIGN_PATTERN}\s*)+")
_PARTS_OF_SECTION = 3
"""From this level on, a heading with a sign is a task."""


@dataclass(slots=True)
class Page:
    """A file of notes as it was read."""

    path: str
    """As it is shown: relative to the folder that was scanned."""
    text: str
    lines: list[Line]
    sections: list[Section]
    tasks: list[Task]

    @property
    def newline(self) -> str:
        """The line end that the file uses."""
        first = self.text.find("\n")
        return "\r\n" if first > 0 and self.text[first - 1] == "\r" else "\n"

    def line_text(self, index: int) -> str:
        """A line without its end."""
        line = self.lines[index]
        return self.text[line.start : line.end]

    def block_end(self, task: Task) -> int:
        """Index of the first line that no longer belongs to the task; blank lines at its end do not belong to it."""
        if task.section.task is task:
            return self._trimmed(task.line, task.section.end)
        return self.item_end(task.line)

    def item_end(self, index: int) -> int:
        """Index of the first line behind a list item and everything indented below it."""
        indent = self.lines[index].shape.indent
        at = index + 1
        while at < len(self.lines):
            line = self.lines[at]
            if line.kind in ("item", "text") and line.shape.indent <= indent and not self._continues(at):
                break
            if line.kind == "heading" and line.shape.indent <= indent:
                break
            if line.kind == "code" and line.shape.indent <= indent and self.lines[at - 1].kind == "blank":
                break
            at += 1
        return self._trimmed(index, at)

    def _continues(self, at: int) -> bool:
        """Whether a text at the margin is the lazy continuation of the line before."""
        return self.lines[at].kind == "text" and self.lines[at - 1].kind in ("item", "text", "comment")

    def _trimmed(self, index: int, end: int) -> int:
        while end > index + 1 and self.lines[end - 1].kind == "blank":
            end -= 1
        return end


def read_page(path: Path, shown: str) -> Page:
    """Read and scan one file."""
    return parse(shown, decode(path.read_bytes()))


def parse(path: str, text: str) -> Page:
    """Scan a text; `path` is only kept."""
    collecting = gc.isenabled()
    gc.disable()  # thousands of small objects that all stay: looking for garbage among them doubles the time
    try:
        return _Builder(path, text).build()
    finally:
        if collecting:
            gc.enable()


class _Builder:
    """Walks over the lines once; holds the open sections and items."""

    def __init__(self, path: str, text: str) -> None:
        self.text = text
        self.lines = scan(text)
        top = Section("", 0, -1, None)
        self.sections = [top]
        self.section = top
        self.tasks: list[Task] = []
        self.stack: list[tuple[int, Task | None, bool]] = []
        """Open items: indentation, the nearest task, and whether the item is that task itself."""
        self.page = Page(path, text, self.lines, self.sections, self.tasks)

    def build(self) -> Page:
        before = "blank"
        stack, add = self.stack, self.tasks.append
        for index, line in enumerate(self.lines):
            kind = line.kind
            if kind == "item":
                shape = line.shape
                indent = shape.indent
                while stack and stack[-1][0] >= indent:
                    stack.pop()
                if shape.box is not None or shape.heading:
                    parent = stack[-1][1] if stack else self.section.around
                    task = Task(index, line, self.text, self.section, parent)
                    add(task)
                    stack.append((indent, task, True))
                else:
                    self._item(index, line)
            elif kind == "heading":
                self._heading(index, line)
            elif kind == "text" and before == "blank":
                self._pop(line.shape.indent)
            before = kind
        at: Section | None = self.section
        while at is not None:
            at.end = len(self.lines)
            at = at.parent
        return self.page

    def _pop(self, indent: int) -> None:
        stack = self.stack
        while stack and stack[-1][0] >= indent:
            stack.pop()

    def _heading(self, index: int, line: Line) -> None:
        if line.shape.indent > 1 and self.stack and self.stack[0][0] < line.shape.indent:
            self._pop(line.shape.indent)
            self._add_task(index, line)
            return
        self.stack.clear()
        level = line.shape.heading
        at = self.section
        while at.level >= level and at.parent is not None:
            at.end = index
            at = at.parent
        written, signs = title_of(line, self.text)
        section = _section(written.rstrip("#").strip(), level, index, at)
        shape = line.shape
        said = next((sign.state for sign in signs if sign.kind in ("status", "words")), None)
        signed = bool(shape.statuses or shape.priorities or any(sign.kind in ("status", "priority") for sign in signs))
        self.sections.append(section)
        self.section = section
        if level >= _PARTS_OF_SECTION and signed and section.own_priority is None:
            section.task = section.around = Task(index, line, self.text, section, at.around)
            self.tasks.append(section.task)
            section.own_state = section.task.state if said or shape.statuses else section.own_state
        elif said is not None:
            section.own_state = said
        if section.task is None and shape.priorities:
            section.own_priority = PRIORITIES[shape.priorities[0]]

    def _item(self, index: int, line: Line) -> None:
        shape = line.shape
        start = self.text[line.body : line.body + 2]
        if shape.statuses or shape.marks:
            self._signed(index, line)
        elif shape.priorities:
            self._bold(index, line) if start == "**" else self._plain(index, line)
        elif start == "**":
            self._bold(index, line)
        elif start[:1] == "*":
            self._italic(index, line)
        else:
            self._plain(index, line)

    def _signed(self, index: int, line: Line) -> None:
        """A bullet that begins with a status sign: a task, unless it only says how its parent stands."""
        rest = self.text[line.body : line.end]
        owner, direct = self._owner()
        only_status = _BARE_STATUS.match(rest) is not None
        told = line.shape.statuses[:1] in ((), ("🔍",)) and (line.shape.marks or _FINDING.search(rest) is not None)
        if only_status or (told and (owner is not None or line.shape.marks)):
            if only_status and owner is not None and direct and not line.shape.marks:
                found = _SIGNS.search(self.text, line.start, line.end)
                start = found.start() if found else line.body
                owner.add_field(Field("", self.text[start : line.end].rstrip(), index, start, line.end))
            self._push(line)
            return
        self._add_task(index, line)

    def _bold(self, index: int, line: Line) -> None:
        rest = self.text[line.body : line.end]
        found = _BOLD_KEY.match(rest)
        key = found[1].strip().casefold() if found else ""
        if not line.shape.priorities and found and (key in KNOWN_FIELDS or not _names_priority(rest)):
            self._field(index, line, key, line.body + found.end())
        elif line.shape.priorities or _names_priority(rest):
            self._add_task(index, line)
        else:
            self._plain(index, line)

    def _italic(self, index: int, line: Line) -> None:
        rest = self.text[line.body : line.end]
        found = _ITALIC_KEY.match(rest)
        if found is None:
            self._plain(index, line)
        elif found[1] is not None:
            end = line.body + found.end(2)
            self._field(index, line, found[1].strip().casefold(), line.body + found.start(2), end)
        else:
            self._field(index, line, found[3].strip().casefold(), line.body + found.end())

    def _field(self, index: int, line: Line, key: str, start: int, end: int | None = None) -> None:
        owner, direct = self._owner()
        if owner is not None and direct:
            stop = start + len(self.text[start : line.end if end is None else end].rstrip())
            owner.add_field(Field(key, self.text[start:stop], index, start, stop))
        self._push(line)

    def _plain(self, index: int, line: Line) -> None:
        owner, direct = self._owner()
        if owner is not None and direct:
            owner.add_note(index)
        self._push(line)

    def _add_task(self, index: int, line: Line) -> None:
        task = Task(index, line, self.text, self.section, self._owner()[0])
        self.tasks.append(task)
        self.stack.append((line.shape.indent, task, True))

    def _push(self, line: Line) -> None:
        """An item that is no task: what stands below it belongs to the same task, though not directly."""
        self.stack.append((line.shape.indent, self._owner()[0], False))

    def _owner(self) -> tuple[Task | None, bool]:
        """The task that an item belongs to, and whether nothing stands between them."""
        if self.stack:
            return self.stack[-1][1], self.stack[-1][2]
        return self.section.around, self.section.task is not None


def _names_priority(rest: str) -> bool:
    """Whether a colour stands in a text as a priority, not as the colour of a status."""
    return _COLOUR.search(_COLOUR_OF_STATUS.sub("", rest)) is not None


def _section(title: str, level: int, index: int, parent: Section) -> Section:
    section = Section(title, level, index, parent, around=parent.around)
    for pattern, state in SECTION_STATES:
        if pattern.search(title):
            section.own_state = state
            break
    found = SECTION_PRIORITY.match(title)
    if found is not None:
        number = found["number"]
        section.own_priority = NUMBERED_PRIORITIES[int(number) - 1] if number else priority_of(found["word"])
    section.horizon = next((name for pattern, name in HORIZON_WORDS if pattern.search(title)), None)
    section.is_log = LOG_SECTION.match(title) is not None
    return section
