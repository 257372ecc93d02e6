"""Five real files with all their contradictions; what they hold was written down by hand after reading them."""

import re
from pathlib import Path

import pytest

from treadle.flow.checks.catalog import chosen, find_all
from treadle.flow.page import read_page
from treadle.flow.scanner import encode

NOTES = Path(__file__).parents[2] / "data" / "flow"
NAMES = ["priorities", "tasks-april", "tasks-march", "training-todo", "video-roadmap"]
each = pytest.mark.parametrize("name", NAMES)
TASK = re.compile(r"(\d+)\s+(open|planned|in progress|done)\s+(\S+)\s+(\S+)\s+(.+)")


def written_down(name):
    """The tasks and the findings that the hand-written file expects."""
    rows = (NOTES / "expected" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [row for row in rows if row and not row.startswith("#")]
    findings = [tuple(row.split()) for row in rows if re.match(r"\d+:\d+ ", row)]
    return [TASK.fullmatch(row).groups() for row in rows if not re.match(r"\d+:", row)], findings


@each
def test_every_task_is_found_with_its_state_priority_and_date(name):
    expected, _ = written_down(name)
    page = read_page(NOTES / f"{name}.md", f"{name}.md")
    found = [
        (str(task.line + 1), task.state, task.priority or "-", task.done or "-", task.title) for task in page.tasks
    ]
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert row[4].startswith(wanted[4])


@each
def test_the_findings_are_those_that_a_reader_finds(name, monkeypatch):
    monkeypatch.setenv("TREADLE_NOW", "2025-04-06")
    _, expected = written_down(name)
    found = [one for one in find_all(NOTES, chosen("", "")) if one.path == f"{name}.md"]
    assert [(f"{one.line}:{one.column}", one.code) for one in found] == expected


@each
def test_the_text_is_the_bytes(name):
    data = (NOTES / f"{name}.md").read_bytes()
    assert encode(read_page(NOTES / f"{name}.md", name).text) == data


@each
def test_each_box_is_toggled_by_changing_one_line(name):
    from treadle.flow.edits import apply, state_splices

    page = read_page(NOTES / f"{name}.md", name)
    for task in page.tasks:
        if task.place.shape.box is None or task.fields:
            continue
        for state in ("done", "open", "blocked"):
            after = apply(page.text, state_splices(page, task, state, "2025-04-06")).split("\n")
            before = page.text.split("\n")
            changed = [index for index, row in enumerate(before) if after[index] != row]
            assert len(after) == len(before)
            assert set(changed) <= {task.line}
