"""Notes through the command line: from an empty folder to a finished task, and what a run writes."""

import functools
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

NOTES = Path(__file__).parents[1] / "data" / "flow"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def notes(shell_without_workspace, tmp_path, monkeypatch):
    """Runs `treadle flow` in a folder without a workspace, on a day that stands still."""
    monkeypatch.setenv("TREADLE_NOW", "2026-11-22T10:00")
    run = functools.partial(shell_without_workspace.said, "flow")
    run.folder = tmp_path
    return run


def test_a_first_hour_with_notes(notes):
    assert "added" in notes("init")
    assert notes("check") == "Nothing found.\n"
    notes("add", "Write the guide", "--priority", "high", "effort=2d", "owner=ada")
    assert "+- [ ] 🔴 Fix the build" in notes("add", "Fix the build", "--priority", "critical", "--dry-run")
    notes("add", "Fix the build", "--priority", "critical")
    notes("start", "write the guide")
    assert "It interrupts `Write the guide`" in notes("start", "fix the build")
    assert [one["title"] for one in notes("focus", "--json")["back"]] == ["Write the guide"]
    assert "Back to `Write the guide`" in notes("done", "fix the build", "--evidence", "abc1234")
    assert [one["title"] for one in notes("list", "--owner", "ada", "--json")["tasks"]] == ["Write the guide"]
    assert notes("next", "--json")["tasks"][0]["task"]["title"] == "Write the guide"
    assert "In progress (1)" in notes("board")
    assert notes("stats", "--json")["states"] == {"in progress": 1, "done": 1}
    assert notes("show", "write the guide", "--json")["fields"]["owner"] == "ada"
    for verb in (["block", "write the guide", "--because", "no examples"], ["pause", "write the guide"]):
        notes(*verb)
    notes("review-ready", "write the guide")
    notes("prioritise", "write the guide", "low")
    notes("edit", "write the guide", "--title", "Write the whole guide")
    notes("log", "Switched to Muon")
    notes("note", "Try a longer window?")
    notes("decide", "Bytes", "--because", "no unknown characters")
    notes("move", "planning/improvements.md", "reference")
    assert "Nothing is due" in notes("archive")
    assert "due now" in notes("review")
    notes("review", "two-weeks", "whole guide=long-term", "--because", "not settled", "--finish")
    notes("reopen", "fix the build")
    notes("remove", "fix the build")
    assert notes("check") == "Nothing found.\n"


def test_a_check_answers_with_findings_and_an_exit_code(notes):
    shutil.copytree(NOTES, notes.folder / "notes")
    report = notes("check", "notes", "--json", code=1)
    assert set(report["findings"][0]) == {"code", "path", "line", "column", "message", "fixable"}
    before = {path: path.read_bytes() for path in (notes.folder / "notes").glob("*.md")}
    assert "--- a/" in notes("check", "notes", "--fix", "--dry-run", code=1)
    assert {path: path.read_bytes() for path in before} == before
    left = notes("check", "notes", "--fix", "--json", code=1)
    assert not [one for one in left["findings"] if one["fixable"]]
    assert notes("check", "notes", "--only", "F18") == "Nothing found.\n"
    assert "no check F99" in notes("check", "notes", "--only", "F99", code=2)
    assert "no folder of notes" in notes("list", "--flow", "nowhere", code=2)


def test_init_adopts_a_folder_without_changing_a_byte(notes):
    shutil.copytree(NOTES, notes.folder / "notes")
    before = {path: path.read_bytes() for path in (notes.folder / "notes").rglob("*") if path.is_file()}
    report = notes("init", "notes", "--json")
    assert report["tasks"] == 154
    assert {path: path.read_bytes() for path in before} == before
    assert "nothing was changed" in notes("init", "notes")
    assert notes("list", "--flow", "notes", "--json")["tasks"]


def test_moving_a_folder_repairs_links_in_both_directions(notes):
    notes("init")
    flow = notes.folder / "flow"
    (flow / "planning" / "ideas.md").write_text(
        "# Ideas\n\nSee [tasks](../active/tasks.md) and [more](improvements.md#x).\n"
    )
    tasks = flow / "active" / "tasks.md"
    tasks.write_text(tasks.read_text() + "- [Ideas](../planning/ideas.md#ideas)\n")
    assert "F12" in notes("check", "--only", "F12", code=1)
    (flow / "planning" / "improvements.md").write_text("# X\n")
    assert "-" in notes("move", "planning", "reference/plans", "--dry-run")
    assert (flow / "planning").exists()
    notes("move", "planning", "reference/plans")
    assert "(../reference/plans/ideas.md#ideas)" in tasks.read_text()
    assert "(../../active/tasks.md) and [more](improvements.md#x)" in (flow / "reference/plans/ideas.md").read_text()
    assert notes("check", "--only", "F12,F18") == "Nothing found.\n"
    assert "exists already" in notes("move", "active/tasks.md", "README.md", code=2)


def test_a_move_that_was_killed_goes_on(notes):
    notes("init")
    flow = notes.folder / "flow"
    tasks = flow / "active" / "tasks.md"
    tasks.write_text(tasks.read_text() + "- [p](../planning/priorities.md)\n")
    (flow / "planning" / "priorities.md").rename(flow / "reference" / "priorities.md")  # killed after the rename
    notes("move", "planning/priorities.md", "reference/priorities.md")
    assert "[p](../reference/priorities.md)" in tasks.read_text()
    assert notes("check", "--only", "F18") == "Nothing found.\n"


def line_of(shell, title, mark):
    """The line of a task as soon as `mark` stands in it; what a run was is written a moment after it has ended."""
    tasks, deadline = shell.folder / "flow/active/tasks.md", time.monotonic() + 60
    while not (found := [row for row in tasks.read_text().split("\n") if title in row and mark in row]):
        assert time.monotonic() < deadline, tasks.read_text()
        time.sleep(0.05)
    return found[0]


def test_a_run_writes_what_ran_into_the_notes(fed):
    fed.run("flow", "init")
    fed.run("flow", "add", "Train bard", "done when=step >= 20 and bits_per_byte < 0.1")
    fed.run("train", "bard", "--steps", "20", "--task", "train bard", "training.sample_every=0")
    row = line_of(fed, "Train bard", "not yet done: bits_per_byte is")
    assert row.startswith("- [ ] ⏳ Train bard <# run r-")
    fed.run("flow", "edit", "train bard", "done when=step >= 20")
    fed.run("evaluate", "bard", "--task", "train bard")
    row = line_of(fed, "Train bard", "✅")
    assert row.startswith("- [x] Train bard ✅ ")
    assert "bits_per_byte" in row
    text = (fed.folder / "flow/active/tasks.md").read_text()
    assert text.count("(evaluate) for `Train bard`: done") == 1
    assert "is done. Reopen it first" in fed.refused("train", "bard", "--steps", "30", "--task", "train bard", code=1)
    assert not list((fed.folder / "flow" / ".runs").glob("*"))


def test_a_run_that_failed_or_was_killed_is_written_down_too(fed):
    fed.run("flow", "init")
    fed.run("flow", "add", "Train long")
    job = fed.json("train", "bard", "--minutes", "5", "--task", "train long", "--detach", "training.sample_every=0")
    deadline = time.monotonic() + 60
    process = fed.folder / "runs" / job["run"] / "process.json"
    while not process.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    line_of(fed, "Train long", "⏳")
    (worker,) = fed.json("worker", "status")["workers"]
    os.kill(worker["facts"]["pid"], signal.SIGKILL)
    fed.run("jobs", "stop", str(job["job"]))
    tasks = fed.folder / "flow/active/tasks.md"
    while "🚩" not in tasks.read_text():
        assert time.monotonic() < deadline
        fed.run("flow", "list")
        time.sleep(0.2)
    assert f"run {job['run']} cancelled" in line_of(fed, "Train long", "🚩")
