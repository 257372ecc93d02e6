"""Each check finds its case, leaves its opposite alone, and mends what it says it mends."""

import pytest

from treadle.base.errors import NotFoundError, UsageError
from treadle.flow.checks.catalog import CHECKS, chosen, find_all, findings_of
from treadle.flow.repairs import mend


def codes(notes, code, text, name="active/tasks.md"):
    """Places of the findings of one check in one file."""
    notes.write(name, text)
    found = findings_of(notes.draft, chosen(code, ""))
    return [(one.line, one.column) for one in found if one.path == name]


def mended(notes, code, text, name="active/tasks.md"):
    """The file after the repairs of one check."""
    notes.write(name, text)
    draft = notes.draft
    mend(draft, chosen(code, ""))
    assert not [one for one in findings_of(draft, chosen(code, "")) if one.fixable]
    return draft.text(notes.folder.root / name)


@pytest.mark.parametrize(
    ("code", "text", "places"),
    [
        ("F01", "- ⏳ a ✅ 2026-01-02\n", [(1, 3)]),
        ("F01", "- [x] a\n  - **Status**: In Progress\n", [(2, 17)]),
        ("F01", "- [ ] a ✅\n", [(1, 9)]),
        ("F01", "- [ ] ⏳ a (In Progress)\n- [x] ~~b~~ ✅\n- [ ] c\n  - 🔍 Planned\n", []),
        ("F02", "- [ ] 🔴 a 🟢\n", [(1, 11)]),
        ("F02", "- [ ] 🔴 a\n  - **Priority**: Critical (really)\n", []),
        ("F02", "### 🔴 High Priority\n### 🟡 Medium\n", [(1, 1)]),
        ("F03", "## Active\n- [x] a\n## Completed\n- [x] b\n## Other\n- [x] c\n", [(2, 1)]),
        ("F03", "## Active\n- [ ] a\n  - [x] part\n", []),
        ("F04", "- [x] a ✅ 2026-01-02 <# Done 2026-01-03 #>\n", [(1, 22)]),
        ("F04", "- [x] a ✅ 2026-01-02 <# Done 2026-01-02 #> <# Added 2025-12-01 #>\n", []),
        ("F05", "- [x] a\n  - [x] b\n    - [ ] c\n", [(1, 1), (2, 3)]),
        ("F05", "- [x] a\n  - ### b\n", []),
        ("F06", "- [x] a <# one\n  two #>\n- [ ] `<#` b\n", [(1, 9)]),
        ("F07", "- [ ] A\n- [ ] **a**\n", [(2, 1)]),
        ("F07", "- [ ] a\n  - [ ] test\n- [ ] b\n  - [ ] test\n- [x] c\n- [x] c\n", []),
        ("F08", "## A\n## B\n## 🔴 A (2)\n", [(3, 1)]),
        ("F08", "## A\n### X\n## B\n### X\n", []),
        ("F09", "# A\n## B\n# C\n", [(3, 1)]),
        ("F10", "- ### a\n- [ ] b\n", [(1, 3)]),
        ("F11", "- a\n      - [ ] hidden\n      - [ ] too\n- [ ] seen\n", [(2, 7)]),
        ("F11", "1. a\n   - [ ] seen\n- [ ] b\n  - [ ] c\n    - [ ] d\n", []),
        ("F11", "- a\n      - plain\n", []),
        ("F13", "- [2026-11-23] tomorrow\n- due 2027-01-01\n- 2026-02-30 never\n", [(1, 4), (3, 3)]),
        ("F13", "- 2026-01-01\n- 2026-01-02\n- 2024-01-02\n- 2026-01-03\n`2020-01-01`\n", [(3, 3)]),
        ("F14", "- [ ] a\n  - **Depends on**: b; nobody\n- [ ] b (later)\n", [(2, 21)]),
        ("F14", "- [ ] a ^t-4f2a\n- [ ] b\n  - *Depends on: ^t-4f2a*\n  - **Blocked by**: none\n", []),
        ("F15", "- [x] a ✅ 2026-11-07\n- [x] b ✅ 2026-11-08\n- [x] c\n- [ ] d\n  - [x] e ✅ 2026-01-01\n", [(1, 1)]),
        ("F16", "## Log\n" + "- [2026-11-01] x\n" * 11, [(1, 1)]),
        ("F16", "## Log\n" + "- [2026-11-01] x\n  - more\n" * 10, []),
        ("F17", "- [ ] a: 🟡 To Do\n  - **Status**: 🔴 Active\n- [ ] b 🟡\n", [(1, 10), (2, 17)]),
        (
            "F19",
            "- [x] a\n- [x] b `src/b.py`\n- [x] c <# r-01kaf3v2m9x7c5ab #>\n- [x] d abc1234\n- [x] e #12\n",
            [(1, 7)],
        ),
        ("F19", "- [x] a\n  - [x] b\n- [x] c <# unverified #>\n- [ ] d\n", [(1, 7)]),
        ("F19", "## Log\n- [2026-11-01] 30 % faster\n- [2026-11-01] 30 % faster, see x.json\n", [(2, 16)]),
    ],
)
def test_a_check_finds_its_case_and_nothing_else(notes, code, text, places):
    assert codes(notes, code, text) == places


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        ("F03", "## Active\n\n- [x] a\n  - n\n- [ ] b\n\n## Completed\n\n- [x] c\n",
         "## Active\n\n- [ ] b\n\n## Completed\n\n- [x] c\n- [x] a\n  - n\n"),
        ("F03", "## Active\n- [x] a\n", "## Active\n\n## Completed Tasks\n\n- [x] a\n"),
        ("F06", "- [x] a <# one\r\n     two\r\n  three #>\r\n- b\r\n", "- [x] a <# one two three #>\r\n- b\r\n"),
        ("F06", "- [x] a <# one\n\n- b\n", "- [x] a <# one #>\n\n- b\n"),
        ("F08", "## A\n\n- x\n\n## B\n\ntext\n\n## A\n\n- y\n", "## A\n\n- x\n- y\n\n## B\n\ntext\n\n"),
        ("F08", "## A\n\n## B\n\n## A\n", "## A\n\n## B\n\n"),
        ("F09", "# A\n# B\n", "# A\n## B\n"),
        ("F10", "- ### 🔴 a ✅ 2026-01-02\n  - n\n", "- [x] 🔴 **a** ✅ 2026-01-02\n  - n\n"),
        ("F11", "- a\n      - [ ] b\n\n          text\n- c\n", "- a\n  - [ ] b\n\n      text\n- c\n"),
        ("F17", "- [ ] a: 🟡 To Do\n  - **Status**: 🔴 Active\n", "- [ ] a: (To Do)\n  - **Status**: Active\n"),
        ("F19", "- [x] a ✅ 2026-11-20 ^t-4f2a\n", "- [x] a ✅ 2026-11-20 <# unverified #> ^t-4f2a\n"),
    ],
)  # fmt: skip
def test_a_repair_mends_the_finding_and_nothing_else(notes, code, before, after):
    assert mended(notes, code, before) == after


def test_every_check_has_a_case_here():
    text = __import__("pathlib").Path(__file__).read_text()
    assert [check.code for check in CHECKS if f'"{check.code}"' not in text] == []


def test_a_dead_link_is_repaired_when_one_file_has_its_name(notes):
    notes.write("planning/plan.md", "# Plan\n\n## First step\n")
    text = "[a](../plan.md#first-step) [b](gone.md) ![c](../plan.md) `[d](x.md)` [e](https://x.org/)\n[f]: ../plan.md\n"
    assert codes(notes, "F12", text) == [(1, 5), (1, 32), (1, 46), (2, 6)]
    assert mended(notes, "F12", text).startswith(
        "[a](../planning/plan.md#first-step) [b](gone.md) ![c](../planning/plan.md)"
    )


def test_an_anchor_must_be_a_heading(notes):
    notes.write("planning/plan.md", "# Plan: `x` & **y**\n## A\n## A\n<a id='own'></a>\n")
    good = "[a](../planning/plan.md#plan-x--y) [b](../planning/plan.md#a-1) [c](../planning/plan.md#own) [d](#t)\n# T\n"
    assert codes(notes, "F12", good) == []
    assert codes(notes, "F12", "[a](../planning/plan.md#a-2) [b](#none)\n") == [(1, 5), (1, 34)]


def test_what_was_done_long_ago_goes_to_the_archive_with_its_links(notes):
    text = "## Log\n\n" + "".join(f"- [2026-11-{day:02}] entry {day}, [x](y.md)\n" for day in range(20, 8, -1))
    after = mended(
        notes, "F15,F16", f"## Done\n\n- [x] a ✅ 2026-10-01\n  - see [y](y.md)\n- [x] b ✅ 2026-11-20\n\n{text}"
    )
    assert after.startswith("## Done\n\n- [x] b ✅ 2026-11-20\n\n## Log\n\n- [2026-11-20]")
    assert after.count("entry") == 10
    draft = notes.draft
    mend(draft, chosen("F15,F16", ""))
    archive = draft.text(notes.folder.logs / "logs_2026-11-22.md")
    assert "## Completed Tasks\n\n- [x] a ✅ 2026-10-01\n  - see [y](../active/y.md)\n" in archive
    assert "- [2026-11-10] entry 10, [x](../active/y.md)\n- [2026-11-09]" in archive


def test_an_archive_that_was_cut_short_by_a_kill_takes_nothing_twice(notes):
    from treadle.flow.archive import archive_page

    path = notes.write("active/tasks.md", "- [x] a ✅ 2026-10-01\n- [ ] b\n")
    draft = notes.draft
    archive_page(draft, path)
    target = notes.folder.logs / "logs_2026-11-22.md"
    notes.write("logs/logs_2026-11-22.md", draft.text(target))  # killed here: the archive is written, the file is not
    again = notes.draft
    assert archive_page(again, path) == (1, 0)
    assert again.text(target).count("- [x] a") == 1
    assert again.text(path) == "- [ ] b\n"


def test_the_archive_is_not_corrected(notes):
    notes.write("active/tasks.md", "")
    assert codes(notes, "F01,F03,F19", "## Active\n- ⏳ a ✅\n", "logs/logs_2026-01-01.md") == []


def test_each_folder_needs_a_list_of_what_lies_there(notes):
    notes.write("README.md", "# Flow\n\nHand-written. See [active](active/).\n")
    notes.write("reference/api v2.md", "# The API\n\n*Part of the Flow System.*\n\nHow to call it. And more.\n")
    draft = notes.draft
    found = findings_of(draft, chosen("F18", ""))
    assert [one.path for one in found] == ["README.md", "active/README.md", "reference/README.md"]
    assert "does not list reference/" in found[0].message
    mend(draft, chosen("F18", ""))
    assert findings_of(draft, chosen("F18", "")) == []
    assert draft.text(notes.folder.root / "README.md").startswith(
        "# Flow\n\nHand-written. See [active](active/).\n\n<!--"
    )
    assert "- [api v2.md](<api v2.md>): How to call it\n" in draft.text(notes.folder.root / "reference" / "README.md")


def test_a_phrase_that_somebody_reworded_stays_when_the_list_is_renewed(notes):
    rows = "- [tasks.md](tasks.md): my own words\n- [gone.md](gone.md): x\n"
    marked = f"Before.\n\n<!-- flow:index -->\n{rows}<!-- /flow:index -->\n"
    notes.write("active/README.md", marked + "\nAfter.\n")
    notes.write("active/new.md", "# New\n")
    after = mended(notes, "F18", marked + "\nAfter.\n", "active/README.md")
    assert after == (
        "Before.\n\n<!-- flow:index -->\n- [new.md](new.md): New\n- [tasks.md](tasks.md): my own words\n"
        "<!-- /flow:index -->\n\nAfter.\n"
    )


def test_all_repairs_together_leave_only_what_must_be_decided(notes, day):
    from pathlib import Path

    day.setenv("TREADLE_NOW", "2025-04-06")
    for path in (Path(__file__).parents[2] / "data" / "flow").glob("*.md"):
        notes.write(f"active/{path.name}", path.read_text(encoding="utf-8"))
    (notes.folder.root / "active" / "tasks.md").unlink()
    before = {one.code for one in findings_of(notes.draft, chosen("", ""))}
    draft = notes.draft
    mend(draft, chosen("", ""))
    left = findings_of(draft, chosen("", ""))
    assert not [one for one in left if one.fixable]
    assert {one.code for one in left} <= {"F01", "F02", "F04", "F05", "F07", "F12", "F13", "F14"}
    assert {"F01", "F03", "F06", "F08", "F09", "F11", "F17", "F18", "F19"} <= before
    titles = sorted(task.title for page in notes.draft.task_pages() for task in page.tasks)
    kept = [task.title for path in draft.markdown() for task in draft.page(path).tasks]
    assert sorted(kept) == titles  # nothing was lost, nothing doubled


def test_checks_are_chosen_by_code():
    assert [one.code for one in chosen("f12, F10", "")] == ["F10", "F12"]
    assert "F10" not in [one.code for one in chosen("", "F12")]
    with pytest.raises(UsageError, match="no check F99"):
        chosen("F99", "")


def test_one_file_is_checked_alone_and_a_missing_one_is_named(notes):
    path = notes.write("active/tasks.md", "- ⏳ a ✅\n")
    notes.write("active/b.md", "- ⏳ b ✅\n")
    assert [one.path for one in find_all(path, chosen("F01,F18", ""))] == ["tasks.md"]
    with pytest.raises(NotFoundError, match=r"no .*none\.md to check"):
        find_all(path.parent / "none.md", chosen("", ""))


def test_paths_can_be_left_out(notes):
    notes.write("active/tasks.md", "- ⏳ a ✅\n")
    notes.write("vendor/deep/b.md", "- ⏳ b ✅\n")
    assert [one.path for one in find_all(notes.folder.root, chosen("F01", ""), ["vendor"])] == ["active/tasks.md"]
