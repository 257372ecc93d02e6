"""What a line claims, and which claim counts."""

import pytest

from treadle.flow.page import parse


def only(text):
    page = parse("x.md", text)
    assert len(page.tasks) == 1, [task.title for task in page.tasks]
    return page.tasks[0]


@pytest.mark.parametrize(
    ("line", "title", "state", "priority"),
    [
        ("- [ ] Plain", "Plain", "open", None),
        ("[x] Without a marker", "Without a marker", "done", None),
        ("- [✅] **Bold** ✅ 2025-03-30", "Bold", "done", None),
        ("- [~] Tilde", "Tilde", "in progress", None),
        ("- [/] Half", "Half", "in progress", None),
        ("- [-] Dropped", "Dropped", "dropped", None),
        ("- [>] Later", "Later", "paused", None),
        ("- ### 🔴 Heading", "Heading", "open", "critical"),
        ("### Phase 1 ✅", "Phase 1", "done", None),
        ("- ⏸️ Paused one", "Paused one", "paused", None),
        ("- 🚩 Blocked one", "Blocked one", "blocked", None),
        ("- 🔄 Seen by Ada", "Seen by Ada", "review", None),
        ("1. **Bold with a colour** 🟠", "Bold with a colour", "open", "high"),
        ("- **Bold**: 🟡 ⏳", "Bold", "in progress", "medium"),
        ("- [ ] Words (In Progress)", "Words", "in progress", None),
        ("- [x] **~~Struck~~** ✅ COMPLETED 2025-01-03", "Struck", "done", None),
        ("- [ ] Two (really) words", "Two (really) words", "open", None),
        ("- [ ] Ends (with a note)", "Ends (with a note)", "open", None),
        ("- [ ] 🟢 Tagged <# a note #> ^t-4f2a", "Tagged", "open", "low"),
        ("- ~~[ ] no~~ [ ]", "", "", None),
        ("- [ ] `<# code #>` stays", "`<# code #>` stays", "open", None),
    ],
)
def test_a_line_is_read_as_a_person_reads_it(line, title, state, priority):
    tasks = parse("x.md", line).tasks
    if not title:
        assert not tasks
        return
    assert [(one.title, one.state, one.priority) for one in tasks] == [(title, state, priority)]


@pytest.mark.parametrize(
    "line",
    [
        "- Plain bullet",
        "- **Key**: value",
        "- 🟠 Plain with a colour",
        "- ✅ Completed (ready for removal)",
        "## 🔴 Part",
        "- ⏳ In progress",
        "- [link](x.md)",
        "1. **Impact**: how much?",
        "### 🔴 High Priority",
        "- 📝 Revised 2025-04-03",
    ],
)
def test_what_is_no_task_is_none(line):
    assert not parse("x.md", line).tasks


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("- [x] ⏳ a\n  - **Status**: To do\n", "done"),
        ("- ⏳ a ✅ 2025-04-03\n  - **Status**: 🟡 To Do\n", "open"),
        ("- ⏳ a ✅ 2025-04-03\n", "done"),
        ("- [ ] ⏳ a\n", "in progress"),
        ("- [ ] a ✅\n", "open"),
        ("## Completed\n- ⏳ a\n", "in progress"),
        ("## Completed\n- ### a\n", "done"),
        ("## Upcoming\n### Sub\n- ### a\n", "planned"),
        ("- ### a\n  - 🔍 Planned (See [x](x.md))\n", "planned"),
        ("- ⏳ a\n  - 🔍 Identified during a review 2025-03-28\n", "in progress"),
        ("- ### a\n  - ✅ Completed 2025-03-26 (See log entry)\n", "done"),
    ],
)
def test_box_beats_field_beats_trail_beats_lead_beats_section(text, state):
    assert only(text).state == state


def test_fields_belong_to_the_nearest_task_directly_above():
    text = (
        "- [ ] a\n  - **Goal**: win\n  - *Depends on: b*\n  - **Odd key**: kept\n  - plain\n    - **Goal**: not own\n"
    )
    task = only(text)
    assert {one.key: one.value for one in task.fields} == {"goal": "win", "depends on": "b", "odd key": "kept"}
    assert len(task.notes) == 1


def test_tasks_below_a_field_are_parts_of_the_task_above_it():
    page = parse("x.md", "- #### Big\n  - **Sub-tasks**:\n    - ⏳ Small\n      - **Goal**: g\n")
    big, small = page.tasks
    assert small.parent is big
    assert big.children == [small]
    assert small.value("goal") == "g"


def test_what_stands_below_a_heading_that_is_a_task_belongs_to_it():
    page = parse("x.md", "### Clean up ✅ 2025-04-03\n  - **Goal**: tidy\n- [x] part\n\n### Next\n- [ ] other\n")
    first, part, other = page.tasks
    assert first.value("goal") == "tidy"
    assert part.parent is first
    assert other.parent is None


def test_a_paragraph_at_the_margin_ends_a_list_but_its_continuation_does_not():
    page = parse("x.md", "- [ ] a\nlazy\n  - [ ] b\n\ntext\n\n  - [ ] c\n")
    assert [task.parent.title if task.parent else None for task in page.tasks] == [None, "a", None]


def test_the_block_of_a_task_is_all_that_is_indented_below_it():
    page = parse("x.md", "- [ ] a\n  text\n\n  - [ ] b\n\n- [ ] c\nlazy\n# h\n")
    assert [(task.line, page.block_end(task)) for task in page.tasks] == [(0, 4), (3, 4), (5, 7)]


def test_sections_know_their_priority_horizon_and_log():
    page = parse("x.md", "## Priority 2: Features\n### Long-Term Vision\n## Log\n- [2025-01-01] x\n")
    second, vision, log = page.sections[1:]
    assert (second.own_priority, vision.priority, vision.when, log.is_log) == ("high", "high", "long-term", True)
