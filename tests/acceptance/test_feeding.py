"""Feeding through the installed command: the two ledgers, standing models, the inbox, passes."""

import csv
import json
import time

import pytest

SMALL = (
    *("--size", "nano", "--tokenizer", "bytes", "family.layers=1", "family.width=32", "family.heads=2"),
    *("training.batch_size=4", "data.sequence_length=64", "training.sample_every=0", "data.held_out=0"),
)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
    return found


def write(folder, name, size):
    """A text of so many bytes, different from all others."""
    path = folder / name
    path.write_text((f"{name} " * size)[:size])
    return path


def ledger(shell, name):
    return shell.json("show", name)["tokens"]


def trained(shell, name):
    """The ledger once nothing is queued or runs any more."""
    until(lambda: not shell.json("jobs", "list", "--state", "open")["jobs"])
    return ledger(shell, name)


def test_small_inputs_wait_until_a_batch_is_there_and_nothing_of_them_is_lost(shell, tmp_path):
    """50 + 30 + 80 + 100 tokens: each text has one boundary behind it, so these are 49, 29, 79 and 99 bytes."""
    shell.run("new", "diary", "--standing", *SMALL)
    reports = []
    for number, size in enumerate((49, 29, 79, 99)):
        reports.append(shell.json("feed", "diary", write(tmp_path, f"{number}.txt", size)))
        if number < 3:
            there = sum(row["bytes"] + 1 for row in reports)
            assert ledger(shell, "diary") == {
                "in": there,
                "trained_once": 0,
                "trained_by_epoch": 0,
                "buffered": there,
                "held_out": 0,
            }
    assert [row["waiting"]["due"] for row in reports] == [False, False, False, True]
    assert [row["waiting"]["reason"] for row in reports[:3]] == [
        f"{count} of 256 tokens are there" for count in (50, 80, 160)
    ]
    assert [row["job"] for row in reports] == [None, None, None, 5]
    after = {"in": 260, "trained_once": 256, "trained_by_epoch": 0, "buffered": 4, "held_out": 0}
    assert trained(shell, "diary") == after
    shown = shell.run("show", "diary").stdout
    assert "in 260 = 256 trained + 4 buffered + 0 held out" in shown
    assert "4 of 256 tokens are there (auto_train=on; now: treadle flush diary)" in shown
    assert shell.json("show", "diary")["steps"] == 1
    flushed = shell.json("flush", "diary")
    assert (flushed["step"], flushed["tokens"]["buffered"], flushed["tokens"]["trained_once"]) == (2, 0, 260)
    again = shell.json("flush", "diary")
    assert (again["already"], again["step"]) == (True, 2)


def test_a_model_becomes_a_standing_one_and_stops_being_one(shell, tmp_path):
    shell.run("new", "bard", *SMALL)
    fed = shell.json("feed", "bard", write(tmp_path, "a.txt", 1_000))
    assert (fed["job"], fed["waiting"]["due"], fed["next_step"]) == (None, False, "treadle train bard")
    assert shell.json("set", "bard", "auto_train=2000")["job"] is None
    shell.run("feed", "bard", write(tmp_path, "b.txt", 700))
    assert "1,702 of 2,000 tokens" in shell.run("show", "bard").stdout
    assert shell.json("set", "bard", "auto_train=on")["job"] is not None
    assert trained(shell, "bard")["trained_once"] == 1_702 // 256 * 256
    shell.run("set", "bard", "auto_train=off")
    fed = shell.json("feed", "bard", write(tmp_path, "c.txt", 3_000))
    assert (fed["job"], fed["waiting"]["reason"]) == (None, "training.auto_train is off")
    refused = shell.refused("set", "bard", "auto_train=sometimes")
    assert "training.auto_train" in refused
    shell.refused("set", "bard", "auto_train=0")


def test_what_is_dropped_into_the_inbox_is_fed_once_and_refusals_are_put_aside(shell, tmp_path):
    shell.run("new", "diary", "--standing", *SMALL)
    inbox = shell.folder / "models" / "diary" / "inbox"
    write(inbox, "one.txt", 400)
    (inbox / "same.txt").write_bytes((inbox / "one.txt").read_bytes())
    (inbox / "empty.txt").touch()
    write(inbox, "later.part", 100)
    assert "3 waiting" in shell.run("show", "diary").stdout
    shell.run("worker", "run", "--idle", 1)  # stays until what lies there is fed and trained
    shown = shell.json("show", "diary")
    assert shown["documents"] == {"accepted": 1, "refused": {"duplicate": 1, "empty": 1}}
    assert shown["tokens"]["trained_once"] == 256
    assert shown["inbox"] == {
        "folder": str(inbox.resolve()),
        "waiting": 0,
        "taken": 0,
        "refused": 1,
        "watched": False,
    }
    assert sorted(path.name for path in inbox.iterdir()) == [".taken", "later.part", "refused"]
    assert (inbox / "refused" / "empty.txt.reason.txt").read_text() == "inbox/empty.txt: It holds no text. (empty)\n"
    jobs = shell.json("jobs", "list")["jobs"]
    assert [job["kind"] for job in jobs] == ["train", "feed"]
    log = (shell.folder / "runs" / jobs[1]["run"] / "events.jsonl").read_text()
    assert "The same text is already here" in log
    assert "nothing lies there" in shell.refused("feed", "diary")
    (inbox / "later.part").rename(inbox / "later.txt")
    time.sleep(max(0.0, (inbox / "later.txt").stat().st_mtime + 2.1 - time.time()))
    fed = shell.json("feed", "diary")
    assert (fed["accepted"], fed["documents"], fed["bytes"]) == (1, 2, 100)


def test_many_small_files_cost_few_trainings_little_memory_and_lose_nothing(shell, tmp_path):
    """The short form of 20,000 files; its figures stand in the guide, Feeding."""
    shell.run("new", "diary", "--standing", *SMALL)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1_500):
        write(folder, f"{number}.txt", 100)
    (folder / "line.txt").write_bytes(b"0123456789" * 3_000_000)  # one line of 30 MB, which is not to be trained
    shell.run("set", "diary", "auto_train=100000000")
    fed = shell.json("feed", "diary", folder)
    assert (fed["accepted"], fed["bytes"]) == (1_501, 30_150_000)
    assert fed["peak_memory"] < 250_000_000, "memory must not grow with what is fed"
    assert fed["tokens"]["in"] == 30_150_000 + 1_501
    assert [job["kind"] for job in shell.json("jobs", "list")["jobs"]] == ["feed"]


def test_passes_go_on_to_a_higher_target_and_more_counts_from_what_is_done(shell, tmp_path):
    shell.run("new", "bard", *SMALL)
    shell.run("feed", "bard", write(tmp_path, "a.txt", 2_000))
    first = shell.json("train", "bard", "--epochs", 2)
    second = shell.json("train", "bard", "--epochs", 4)
    assert (round(first["epochs"]), round(second["epochs"])) == (2, 4)
    lower = shell.refused("train", "bard", "--epochs", 3)
    assert "--epochs 5 or more" in lower
    third = shell.json("train", "bard", "--more", 2)
    assert round(third["epochs"]) == 6
    assert "not both" in shell.refused("train", "bard", "--more", 2, "--epochs", 9)
    tokens = shell.json("show", "bard")["tokens"]
    assert (tokens["in"], tokens["trained_once"]) == (2_001, 2_001)
    assert tokens["trained_by_epoch"] == pytest.approx(6 * 2_001, rel=0.1)
    history = shell.folder / "models" / "bard" / "history"
    with (history / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (history / "steps.jsonl").read_text().splitlines()]
    assert [int(row["step"]) for row in rows] == [line["step"] for line in lines] == list(range(1, third["step"] + 1))


def test_text_that_comes_later_waits_although_the_model_has_made_passes(shell, tmp_path):
    shell.run("new", "bard", *SMALL)
    shell.run("feed", "bard", write(tmp_path, "a.txt", 2_000))
    shell.run("train", "bard", "--epochs", 2)
    shell.run("feed", "bard", write(tmp_path, "b.txt", 900))
    tokens = ledger(shell, "bard")
    assert (tokens["in"], tokens["trained_once"], tokens["buffered"]) == (2_902, 2_001, 901)
    done = shell.json("flush", "bard")
    assert done["tokens"]["buffered"] == 0
    assert done["tokens"]["trained_by_epoch"] == tokens["trained_by_epoch"], "arrivals are counted apart"
    assert shell.json("train", "bard", "--more", 1)["epochs"] == pytest.approx(3, abs=0.3)


def test_nothing_accepted_is_exit_code_1_and_known_texts_are_no_failure(shell, tmp_path):
    shell.run("new", "bard", *SMALL)
    (tmp_path / "empty.txt").touch()
    assert shell.json("feed", "bard", tmp_path / "empty.txt", code=1)["accepted"] == 0
    text = write(tmp_path, "a.txt", 300)
    shell.run("feed", "bard", text, tmp_path / "empty.txt")
    assert shell.json("feed", "bard", text)["duplicates"] == 1
    queued = shell.json("feed", "bard", write(tmp_path, "b.txt", 300), "--detach")
    assert queued["detached"]
    until(lambda: shell.json("jobs", "show", queued["job"])["job"]["state"] == "done")
