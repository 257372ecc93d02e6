"""What is next, what a board shows, what numbers say, what day it is."""

import datetime as dt

import pytest

from treadle.base.errors import NotFoundError, SettingsError, UsageError
from treadle.flow import clock
from treadle.flow.board import columns, numbers
from treadle.flow.folder import find_flow
from treadle.flow.lookup import every
from treadle.flow.new_folder import initialise
from treadle.flow.scoring import ranked, read_weights

TODAY = dt.date(2026, 11, 22)


def order(notes, text):
    notes.write("active/tasks.md", text)
    scores = ranked(every(notes.folder.task_pages()), read_weights(notes.folder), TODAY)
    return [(score.found.task.title, bool(score.waiting_for)) for score in scores]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("- [ ] 🔴 a\n", "- [ ] 🟢 b\n"),
        ("- [ ] a\n  - **Effort**: 2h\n", "- [ ] b\n  - **Effort**: 3 weeks\n"),
        ("- [ ] a\n  - **Due**: 2026-11-23\n", "- [ ] b\n  - **Due**: 2027-05-01\n"),
        ("- [ ] a\n  - **Impact**: high\n", "- [ ] b\n  - **Impact**: 2\n"),
        ("- [ ] a\n  - **Alignment**: high\n", "- [ ] b\n  - **Alignment**: none\n"),
        ("- [ ] a\n- [ ] z\n  - **Depends on**: a\n", "- [ ] b\n"),
        ("- [ ] a\n  - **Prerequisite for**: b\n", "- [ ] 🔴 b\n"),
        ("- [ ] a\n", "- [ ] 🚩 🔴 b\n"),
    ],
)
def test_each_criterion_moves_a_task_up(notes, first, second):
    titles = [title for title, _ in order(notes, second + first)]
    assert titles.index("a") < titles.index("b")


def test_a_task_with_open_parts_gives_way_to_them_and_one_that_waits_comes_last(notes):
    text = "- [ ] 🔴 big\n  - [ ] part\n- [ ] 🔴 later\n  - **Depends on**: part\n- [x] past\n"
    assert order(notes, text) == [("part", False), ("later", True)]


def test_weights_are_data(notes):
    text = "- [ ] 🔴 a\n  - **Effort**: 4 weeks\n- [ ] 🟢 b\n  - **Effort**: 1h\n"
    assert order(notes, text)[0][0] == "a"
    path = notes.write("system/scoring.toml", "[weights]\nimpact = 0.1\neffort = 9\n")
    assert order(notes, text)[0][0] == "b"
    for wrong, said in (
        ("[weights]\nimpct = 1\n", r"weights\.impct. is unknown"),
        ("[wieghts]\n", "unknown table"),
        ("[weights]\nimpact = 'x'\n", "must be a number"),
        ("nonsense", "cannot be read"),
    ):
        path.write_text(wrong)
        with pytest.raises(SettingsError, match=said):
            read_weights(notes.folder)


def test_the_board_has_a_place_for_every_task_at_the_top(notes):
    notes.write(
        "active/tasks.md",
        "- [ ] 🟢 a\n- [ ] 🔴 b\n  - [ ] part\n- [ ] ⏳ c\n- [ ] 🚩 d\n"
        "- [x] e ✅ 2026-11-20\n- [x] old ✅ 2026-01-01\n- [-] f\n",
    )
    found = columns(every(notes.folder.task_pages()), TODAY)
    assert {name: [row.title for row in rows] for name, rows in found.items()} == {
        "To do": ["b", "a"],
        "In progress": ["c"],
        "Waiting": ["d"],
        "Done": ["e"],
    }


def test_numbers_count_the_archive_where_it_is_about_the_past(notes):
    notes.write(
        "active/tasks.md", "- [ ] ⏳ a <# started 2026-11-01T10:00Z #>\n  - **Owner**: ada\n- [x] b ✅ 2026-11-20\n"
    )
    notes.write("logs/logs_2026-11-22.md", "- [x] c ✅ 2026-11-19\n")
    found = numbers(notes.folder, TODAY)
    assert (found.tasks, found.states) == (2, {"in progress": 1, "done": 1})
    assert found.owners == {"ada": 1}
    assert found.done_by_week["2026-11-16"] == 2
    assert found.oldest_in_progress == "a"


def test_the_clock_can_be_set_and_writes_utc(day):
    day.setenv("TREADLE_NOW", "2026-11-22T00:30+02:00")
    assert (clock.stamp(), str(clock.today())) == ("2026-11-21T22:30Z", "2026-11-21")
    day.setenv("TREADLE_NOW", "soon")
    with pytest.raises(UsageError, match="TREADLE_NOW=soon"):
        clock.now()
    day.delenv("TREADLE_NOW")
    assert abs((clock.now() - dt.datetime.now(dt.UTC)).total_seconds()) < 60


def test_the_screen_shows_local_time(day):
    import time

    day.setenv("TZ", "Etc/GMT-3")
    time.tzset()
    try:
        assert clock.localised("started 2026-11-22T22:30Z") == "started 2026-11-23 01:30"
    finally:
        day.delenv("TZ")
        time.tzset()


def test_notes_are_found_from_inside_beside_and_by_name(tmp_path, day):
    initialise(tmp_path / "flow")
    inside = tmp_path / "flow" / "active"
    beside = tmp_path / "src" / "deep"
    beside.mkdir(parents=True)
    root = (tmp_path / "flow").resolve()
    assert [find_flow(None, None, start).root for start in (inside, beside, tmp_path)] == [root, root, root]
    assert find_flow(None, tmp_path).root == root
    day.setenv("TREADLE_FLOW", str(tmp_path / "flow"))
    assert find_flow(None, None, tmp_path.parent).root == root
    day.setenv("TREADLE_FLOW", str(tmp_path / "none"))
    with pytest.raises(NotFoundError, match="treadle flow init"):
        find_flow(None)


def test_a_new_folder_has_nothing_to_complain_about(tmp_path):
    from treadle.flow.checks.catalog import chosen, find_all

    folder, changes = initialise(tmp_path / "flow")
    assert find_all(folder.root, chosen("", "")) == []
    assert len(changes) > 8
    assert initialise(tmp_path / "flow")[1] == []
