"""What the reports say in words, for answers that a whole run would take long to bring about."""

from pathlib import Path

import pytest

from treadle.cli.reports import show_report
from treadle.store.workspace import create_workspace

FED = {
    "ok": True,
    "accepted": 1,
    "bytes": 1200,
    "duplicates": 12,
    "refused": [{"source": "/lab/x.png", "reason": "unknown_format", "detail": "No reader knows .png."}],
    "version": 2,
    "documents": 14,
    "next_step": "treadle train bard",
}
DEMO = {
    "model": "bard",
    "held_out": 1.5,
    "bits_per_byte": 2.2,
    "step": 900,
    "seconds": 60.0,
    "samples": [{"step": 4, "real_words": 0.1}, {"step": 900, "real_words": 0.9}],
}


@pytest.fixture
def shown(capsys):
    def show(name, report, **arguments):
        show_report(name, report, arguments)
        return capsys.readouterr().out

    return show


def test_a_feed_names_refusals_first_and_counts_what_is_known_already(shown):
    text = shown("feed", FED, root="/lab")
    assert text.splitlines()[:2] == [
        "    x.png: No reader knows .png.",
        "  fed         1 document read (1.2 kB), 1 refused, 12 known already",
    ]
    assert "version 2, 14 documents in all" in text
    spooled = [{"source": "standard input", "detail": "It holds no text."}]
    nothing = shown("feed", {**FED, "ok": False, "accepted": 0, "documents": 0, "refused": spooled, "duplicates": 0})
    assert nothing.startswith("Nothing was taken.\n    standard input: It holds no text.")
    assert "Next" not in nothing


def test_a_reason_that_holds_for_many_files_stands_once(shown):
    many = [{"source": f"{number}.pdf", "detail": "It is encrypted."} for number in range(7)]
    lines = shown("feed", {**FED, "refused": [*many, {"source": "x.png", "detail": "Unknown."}]}).splitlines()
    assert lines[:2] == ["    0.pdf, 1.pdf, 2.pdf, 3.pdf and 3 more: It is encrypted.", "    x.png: Unknown."]
    assert lines[2] == "    All that was refused: --json"


def test_the_demo_prints_commands_that_work_where_the_user_is(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TREADLE_COMMAND", raising=False)
    monkeypatch.delenv("TREADLE_WORKSPACE", raising=False)
    text = shown("demo", {**DEMO, "folder": str(tmp_path / "my demo")})
    assert "treadle train bard --minutes 5 --workspace 'my demo'" in text
    monkeypatch.setenv("TREADLE_COMMAND", "./treadle")
    demo = create_workspace(tmp_path / "demo").root
    monkeypatch.setenv("TREADLE_WORKSPACE", str(demo))
    assert "./treadle train bard --minutes 5 --workspace other" in shown(
        "demo", {**DEMO, "folder": str(tmp_path / "other")}
    )
    text = shown("demo", {**DEMO, "folder": str(demo)})
    assert './treadle sample bard --prompt "JULIET:"\n' in text
    assert "--workspace" not in text


def test_a_demo_that_was_stopped_early_needs_no_samples(shown, tmp_path):
    text = shown("demo", {**DEMO, "held_out": None, "bits_per_byte": None, "samples": [], "folder": str(tmp_path)})
    assert text.startswith("Done at step 900")


def test_a_training_with_nothing_left_to_do_says_so(shown):
    report = {"model": "bard", "run": "r-1", "step": 90, "outcome": "done", "next_step": "treadle sample bard"}
    assert shown("train", {**report, "already": True}).startswith("Already there: `bard` has made 90 steps.")
    assert shown("train", {**report, "already": False}).startswith("Done at step 90.")


def test_settings_stand_in_columns_with_short_paths(shown):
    rows = [
        {"key": "a.b", "value": 1, "origin": "model, /lab/models/m-1/model.yaml:3", "description": ""},
        {"key": "long.key", "value": None, "origin": f"run, {Path.home()}/run.yaml:1", "description": ""},
    ]
    assert shown("config.show", {"settings": rows}, root="/lab").splitlines() == [
        "  a.b       1     model, models/m-1/model.yaml:3",
        "  long.key  none  run, ~/run.yaml:1",
    ]
