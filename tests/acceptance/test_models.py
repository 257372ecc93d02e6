"""Models as things, through the terminal: rename, copy, compare, delete, and where everything came from."""

import json
import re

import pytest

TRAIN = ("training.sample_every=0", "training.evaluate_every=0", "training.warmup_steps=1")


@pytest.fixture
def trained(fed):
    fed.run("train", "bard", "--steps", 4, *TRAIN)
    return fed


@pytest.fixture
def trained_here(shell, text):
    """One whose text is a file of the test's own."""
    shell.make("bard", text)
    shell.run("train", "bard", "--steps", 4, *TRAIN)
    return shell


def unfolded(done):
    return " ".join(done.stdout.split())


def test_a_model_is_copied_renamed_compared_and_deleted(trained, text, tmp_path):
    said = trained.run("copy", "bard", "poet").stdout
    assert said.startswith("`poet` is a copy of `bard`, at step 4.")
    weights = [trained.json("show", name)["checkpoints"][-1]["weights_sha256"] for name in ("bard", "poet")]
    assert weights[0] == weights[1]
    trained.run("train", "poet", "--steps", 8, *TRAIN, "training.batch_size=2")
    assert trained.json("show", "bard")["steps"] == 4, "from then on each goes its own way"
    trained.run("set", "poet", "generation.temperature=0.5")
    found = trained.json("compare", "bard", "poet", "--examples", 8, "--plot", "curves.png")
    assert found["differing"] == [{"key": "generation.temperature", "values": [0.8, 0.5]}]
    figures = {(row["model"], row["data_of"]): row["bits_per_byte"] for row in found["measured"]}
    assert len(figures) == 4
    assert figures["bard", "bard"] == figures["bard", "poet"], "both hold out the same part of the same text"
    assert [row["step"] for row in found["curves"]["poet"]] == list(range(1, 9))
    assert (trained.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    shown = trained.run("compare", "bard", "poet", "--examples", 8).stdout
    assert re.search(r"data of bard +[0-9.]+ bits/byte +[0-9.]+ bits/byte", shown)
    assert re.search(r"generation.temperature +0.8 +0.5", shown)
    assert "one model" in trained.refused("compare", "bard", "bard")
    assert trained.run("rename", "poet", "novelist").stdout.startswith("`poet` is called `novelist` now.")
    assert "exists already" in trained.refused("rename", "novelist", "bard")
    assert "Unknown model `poet`" in trained.refused("show", "poet")
    assert trained.json("show", "novelist")["steps"] == 8
    trained.run("jobs", "pause", "novelist")
    waiting = trained.json("train", "novelist", "--steps", 9, "--detach")["job"]
    assert trained.json("jobs", "import-queue", "novelist", "bard")["jobs"] == [waiting + 1]
    trained.run("schedule", "add", "nightly", "0 3 * * *", "train", "novelist")
    gone = trained.run("delete", "novelist").stdout
    assert "Cancelled: 1 job that waited for it." in gone
    assert "Removed: schedule `nightly`" in gone
    assert trained.json("jobs", "show", waiting)["job"]["state"] == "cancelled"
    assert trained.json("jobs", "follow", waiting + 1)["step"] == 9


def test_what_a_model_cannot_read_is_said_and_the_rest_is_measured(trained, tmp_path):
    (tmp_path / "other.txt").write_text("fünf Öfen, zwölf Türen\n" * 400)
    trained.make("german", tmp_path / "other.txt")
    found = trained.json("compare", "bard", "german", "--examples", 4)
    problems = {(row["model"], row["data_of"]): row["problem"] for row in found["measured"]}
    assert "lacks" in problems["bard", "german"]
    assert problems["bard", "bard"] is None
    assert problems["german", "german"] == "`german` has no weights yet."
    assert "bard on the data of german: The vocabulary" in trained.run("compare", "bard", "german").stdout


def test_a_sample_is_walked_back_to_its_file(trained_here, text):
    sample = trained_here.run("sample", "bard", "--tokens", 5, "--seed", 3, "--json").stdout
    (trained_here.folder / "sample.json").write_text(sample)
    found = trained_here.json("show", "sample.json", "--lineage")
    assert found["sample"]["seed"] == 3
    assert found["checkpoint"]["path"] == json.loads(sample)["checkpoint_path"]
    assert found["run"]["outcome"] == "done"
    assert found["run"]["job"] == 2
    chosen = {row["key"]: row for row in found["settings"]}
    assert chosen["training.evaluate_every"]["layer"] == "command line"
    assert chosen["family.width"]["value"] == 32
    (document,) = found["documents"]
    assert document["file"]["path"] == str(text)
    assert document["file"]["there"]
    assert found["missing"] == []
    shown = trained_here.run("show", found["run"]["id"], "--lineage").stdout
    for link in ("model       `bard`", "checkpoint  step 4", "run         r-", "dataset     version 1", "document    "):
        assert link in shown
    assert "is a run" in trained_here.refused("show", found["run"]["id"])


def test_what_is_gone_is_told_and_the_rest_of_the_lineage_is_shown(trained_here, text):
    sample = trained_here.json("sample", "bard", "--tokens", 5)
    (trained_here.folder / "sample.json").write_text(json.dumps(sample))
    trained_here.run("train", "bard", "--steps", 6, *TRAIN)
    text.unlink()
    shown = trained_here.run("show", "bard", "--lineage").stdout
    assert "went on from step-" in shown
    assert "the file is gone" in shown
    run = trained_here.json("show", "bard", "--lineage")["run"]["id"]
    (trained_here.folder / "runs" / run).rename(trained_here.folder / "elsewhere")
    assert f"run {run} is not here any more" in unfolded(trained_here.run("show", "bard", "--lineage"))
    trained_here.run("delete", "bard")
    assert "is not here any more" in unfolded(trained_here.run("show", "sample.json", "--lineage"))
    (trained_here.folder / "odd.json").write_text("{}")
    assert "is no sample" in trained_here.refused("show", "odd.json", "--lineage", code=1)
    assert "does not exist" in trained_here.refused("show", "nothing.json", "--lineage")
