"""Verbs on real files: what they write, and that nothing else changes."""

import pytest

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.flow import decisions, importers, reviews, verbs


def test_a_task_is_added_to_the_active_ones_with_its_fields(notes):
    assert notes.do(verbs.add, "Write it", priority="high", fields={"effort": "2d"}) == "Added `Write it`."
    assert notes.read().startswith("# Tasks\n\n## Active Tasks\n\n- [ ] 🟠 Write it\n  - **Effort**: 2d\n\n## Upcoming")


def test_a_second_task_stands_directly_below_the_first(notes):
    notes.do(verbs.add, "One")
    notes.do(verbs.add, "Two")
    assert "\n\n- [ ] One\n- [ ] Two\n\n## Up" in notes.read()


def test_a_task_goes_into_the_section_of_its_priority(notes):
    notes.write("active/tasks.md", "## Active\n\n### High Priority\n\n- [ ] a\n\n### Low Priority\n\n- [ ] z\n")
    notes.do(verbs.add, "b", priority="high")
    assert notes.read() == "## Active\n\n### High Priority\n\n- [ ] a\n- [ ] 🟠 b\n\n### Low Priority\n\n- [ ] z\n"


def test_line_ends_and_a_missing_end_of_the_file_are_kept(notes):
    notes.write("active/tasks.md", "## Active\r\n- [ ] a")
    notes.do(verbs.add, "b")
    assert notes.read() == "## Active\r\n- [ ] a\r\n- [ ] b\r\n"


def test_a_part_is_indented_like_its_siblings(notes):
    notes.write("active/tasks.md", "## Active\n* [ ] a\n     - **Goal**: g\n* [ ] z\n")
    notes.do(verbs.add, "part", under="a")
    assert notes.read() == "## Active\n* [ ] a\n     - **Goal**: g\n     - [ ] part\n* [ ] z\n"


def test_done_writes_date_and_evidence_moves_the_task_and_logs(notes):
    notes.do(verbs.add, "One")
    notes.do(verbs.done, "one", evidence="docs/one.md")
    text = notes.read()
    assert "## Completed Tasks\n\n- [x] One ✅ 2026-11-22 <# docs/one.md #>\n" in text
    assert "## Log\n\n- [2026-11-22] Done: One (docs/one.md)\n" in text
    assert "- [ ] One" not in text


def test_done_takes_all_contradictions_away(notes):
    notes.write("active/tasks.md", "- ⏳ **Ship it**: 🟡 Active\n  - **Status**: 🟡 To Do (soon)\n")
    notes.do(verbs.done, "ship it")
    assert notes.read().startswith("- [x] **Ship it**: ✅ 2026-11-22\n  - **Status**: ✅ Done 2026-11-22 (soon)\n")


def test_a_bare_status_line_follows(notes):
    notes.write("active/tasks.md", "- ### a\n  - 🔍 Planned (See [x](x.md))\n")
    notes.do(verbs.change_state, "a", "blocked", because="no key")
    first, second, *_ = notes.read().split("\n")
    assert (first, second) == ("- ### 🚩 a <# blocked: no key #>", "  - 🚩 Blocked (See [x](x.md))")


def test_an_open_part_keeps_a_task_from_being_done(notes):
    notes.write("active/tasks.md", "- [ ] a\n  - [ ] b\n")
    with pytest.raises(NotReadyError, match="1 open part: `b`"):
        notes.do(verbs.done, "a")
    notes.do(verbs.done, "a", with_children=True)
    assert notes.read().startswith("- [x] a ✅ 2026-11-22\n  - [x] b ✅ 2026-11-22\n")


def test_a_detour_leads_back(notes, day):
    for title in ("Trunk", "Branch", "Twig"):
        notes.do(verbs.add, title)
    notes.do(verbs.start, "trunk")
    day.setenv("TREADLE_NOW", "2026-11-22T11:00")
    assert "It interrupts `Trunk`" in notes.do(verbs.start, "branch")
    day.setenv("TREADLE_NOW", "2026-11-22T12:00")
    notes.do(verbs.start, "twig")
    tasks = verbs.every(notes.draft.task_pages())
    focus = verbs.focus_of(tasks)
    assert [focus.task.title, *(one.task.title for one in verbs.trail_back(tasks, focus))] == [
        "Twig",
        "Branch",
        "Trunk",
    ]
    assert "Back to `Branch`" in notes.do(verbs.done, "twig")
    assert verbs.focus_of(verbs.every(notes.draft.task_pages())).task.title == "Branch"
    notes.do(verbs.done, "trunk")
    assert "Back to" not in notes.do(verbs.done, "branch")


def test_an_id_is_written_only_when_something_links_to_the_task(notes):
    notes.do(verbs.add, "a")
    notes.do(verbs.add, "b")
    notes.do(verbs.start, "a")
    assert "^t-" not in notes.read()
    notes.do(verbs.start, "b")
    rows = [row for row in notes.read().split("\n") if "^t-" in row]
    assert len(rows) == 2
    assert rows[0].endswith(rows[1].partition("from ")[2].partition(" #>")[0])


def test_reopen_leaves_the_completed_ones(notes):
    notes.do(verbs.add, "a")
    notes.do(verbs.done, "a")
    notes.do(verbs.reopen, "a")
    assert "## Active Tasks\n\n- [ ] a\n" in notes.read()


def test_reopen_of_a_heading_that_was_done_by_its_section(notes):
    notes.write("active/tasks.md", "## Active\n\n- [ ] x\n\n## Completed\n\n- ### a\n  - note\n")
    notes.do(verbs.reopen, "a")
    assert notes.read() == "## Active\n\n- [ ] x\n- ### a\n  - note\n\n## Completed\n\n"


def test_prioritise_changes_every_place_that_names_one(notes):
    notes.write("active/tasks.md", "- [ ] 🔴 a\n  - **Priority**: High (soon)\n- [ ] b\n")
    notes.do(verbs.prioritise, "a", "low")
    notes.do(verbs.prioritise, "b", "medium")
    assert notes.read() == "- [ ] 🟢 a\n  - **Priority**: Low (soon)\n- [ ] 🟡 b\n"


def test_edit_rewords_and_sets_and_takes_fields_away(notes):
    notes.write(
        "active/tasks.md", "- [ ] **Old**: 🟡 <# n #>\n  - **Goal**: g\n    more\n  - **Owner**: bob\n- [ ] b\n"
    )
    notes.do(verbs.edit, "old", title="New", fields={"owner": "ada", "goal": "", "effort": "2d"})
    assert notes.read() == "- [ ] **New**: 🟡 <# n #>\n  - **Owner**: ada\n  - **Effort**: 2d\n- [ ] b\n"


def test_remove_keeps_the_lines_in_the_archive(notes):
    notes.write("active/tasks.md", "- [ ] a\n  - see [b](b.md)\n- [ ] c\n")
    notes.do(verbs.remove, "a")
    assert notes.read() == "- [ ] c\n"
    assert "## Removed\n\n- [ ] a\n  - see [b](../active/b.md)\n" in notes.read("logs/logs_2026-11-22.md")


def test_an_edit_for_another_state_of_the_file_is_kept_as_a_patch(notes):
    from treadle.flow.writing import ConflictError

    notes.do(verbs.add, "a")
    before = notes.read()
    with pytest.raises(ConflictError, match=r"kept in .*\.patch"):
        notes.do(verbs.expecting("0" * 64, lambda draft: verbs.edit(draft, "a", title="b")))
    assert notes.read() == before
    (patch,) = (notes.folder.root / ".conflicts").glob("*.patch")
    assert "-- [ ] a\n+- [ ] b\n" in patch.read_text()


@pytest.mark.parametrize(
    ("words", "found"),
    [("fix the", "Fix the thing"), ("thing fix", "Fix the thing"), ("Fix", "Fix"), ("active/tasks.md:2", "Fix"),
     ("tasks.md:1", "Fix the thing"), ("bracket", "Bracket (later)")],
)  # fmt: skip
def test_a_task_is_found_by_its_words_or_its_place(notes, words, found):
    notes.write("active/tasks.md", "- [ ] Fix the thing\n- [ ] Fix\n- [ ] Bracket (later)\n")
    assert verbs.meant(notes.draft, words).task.title == found


def test_words_that_fit_several_tasks_are_refused_with_their_places(notes):
    notes.write("active/tasks.md", "- [ ] Fix a\n- [ ] Fix b\n")
    with pytest.raises(UsageError, match=r"2 tasks(.|\n)*tasks\.md:1  Fix a"):
        verbs.meant(notes.draft, "fix")
    with pytest.raises(NotFoundError, match="Did you mean `Fix a`"):
        verbs.meant(notes.draft, "Fux a")


def test_an_id_finds_its_task_again_after_it_was_reworded(notes):
    from treadle.flow.lookup import find_task, identity_of, remember

    notes.write("active/tasks.md", "- [ ] Write the long guide\n- [ ] Other\n")
    pages = notes.folder.task_pages()
    known = identity_of(pages[0], pages[0].tasks[0])
    remember(notes.folder, pages)
    notes.write("active/tasks.md", "- [ ] Other\n- [ ] Write the longer guide\n")
    assert find_task(notes.folder, known).task.title == "Write the longer guide"
    (notes.folder.root / ".index.json").unlink()
    with pytest.raises(NotFoundError):
        find_task(notes.folder, known)


def test_a_decision_is_a_file_that_the_index_and_the_log_name(notes):
    notes.do(decisions.decide, "Bytes, not words", because="no unknown characters", instead="a vocabulary")
    name = "decisions/2026-11-22-bytes-not-words.md"
    assert "## Why\n\nno unknown characters\n\n## What was refused\n\na vocabulary" in notes.read(name)
    assert "2026-11-22-bytes-not-words.md" in notes.read("decisions/README.md")
    assert "Decided: [Bytes, not words](../decisions/2026-11-22-bytes-not-words.md)." in notes.read()
    with pytest.raises(UsageError, match="exists already"):
        notes.do(decisions.decide, "Bytes, not words", because="again")


def test_a_review_is_due_opened_shifted_and_finished(notes, day):
    notes.do(verbs.add, "Guide")
    assert [one.is_due for one in reviews.schedule(notes.draft)] == [True, True, True]
    notes.do(reviews.open_review, "two-weeks")
    name = "planning/reviews/review_2026-11-22_two-weeks.md"
    assert "## Tasks\n\n- Guide\n" in notes.read(name)
    notes.do(reviews.shift, "two-weeks", ["guide=long-term"], "the format is not settled")
    assert "- [2026-11-22] `Guide`: two-weeks → long-term. the format is not settled\n" in notes.read(name)
    assert "  - **Horizon**: long-term\n" in notes.read()
    notes.do(reviews.finish, "two-weeks", "calm")
    assert "Reviewed two-weeks. calm" in notes.read()
    short, _, far = reviews.schedule(notes.draft)
    assert (short.is_due, short.due, far.tasks) == (False, "2026-12-06", 1)
    day.setenv("TREADLE_NOW", "2026-12-06T00:00")
    assert reviews.schedule(notes.draft)[0].is_due
    with pytest.raises(UsageError, match="Did you mean `two-weeks`"):
        notes.do(reviews.open_review, "two-week")
    with pytest.raises(NotReadyError, match="No review of long-term is open"):
        notes.do(reviews.finish, "long-term", "")


ISSUES = """[
 {"number": 7, "title": "Crash on start", "state": "OPEN", "labels": [{"name": "priority: high"}, {"name": "bug"}],
  "assignees": [{"login": "ada"}], "url": "https://github.com/a/b/issues/7"},
 {"number": 8, "title": "Old one", "state": "closed", "closed_at": "2026-11-01T10:00:00Z", "labels": []},
 {"number": 9, "title": "A pull request", "state": "open", "pull_request": {}}
]"""


def test_issues_are_imported_once(notes, tmp_path):
    file = tmp_path / "issues.json"
    file.write_text(ISSUES)
    _, new, known = importers.import_file(notes.draft, file)
    assert (new, known) == (2, 0)
    notes.do(lambda draft: importers.import_file(draft, file)[0])
    text = notes.read()
    assert "## Upcoming Tasks\n\n- [ ] 🟠 Crash on start <# issue #7 #>\n  - **Owner**: ada\n" in text
    assert "## Completed Tasks\n\n- [x] Old one ✅ 2026-11-01 <# issue #8 #>\n" in text
    notes.do(lambda draft: importers.import_file(draft, file)[0])
    assert notes.read() == text


def test_tasks_of_other_markdown_are_imported_with_what_belongs_to_them(notes, tmp_path):
    file = tmp_path / "TODO.md"
    file.write_text("# Todo\n- ### 🔴 Big\n    - **Goal**: g\n\n- [x] Past ✅ 2026-01-02\n* [-] Dropped\n")
    notes.do(lambda draft: importers.import_file(draft, file)[0])
    assert "- [ ] 🔴 Big\n  - **Goal**: g\n" in notes.read()
    assert "- [x] Past ✅ 2026-01-02\n" in notes.read()
    assert "Dropped" not in notes.read()
    (tmp_path / "bad.json").write_text("{")
    from treadle.base.errors import DataError

    with pytest.raises(DataError, match="not JSON"):
        importers.import_file(notes.draft, tmp_path / "bad.json")
