"""The first whole journey, through the installed command."""

import json
import math
import os
import signal
import time

import pytest

TRAIN = ("--steps", "60", "training.evaluate_every=20", "training.checkpoint_every=20", "training.sample_every=30")


@pytest.fixture
def installed():
    return True


def test_from_an_empty_folder_to_text(fed):
    trained = fed.json("train", "bard", *TRAIN)
    assert (trained["outcome"], trained["step"]) == ("done", 60)
    measured = fed.json("evaluate", "bard")
    assert measured["loss"] < 3.6 < math.log(60)
    assert measured["perplexity"] == pytest.approx(math.exp(measured["loss"]))
    # The text is ASCII and the vocabulary one character a token: bits per byte are nats per token in another unit.
    assert measured["bits_per_byte"] == pytest.approx(measured["loss"] / math.log(2), rel=1e-6)
    first = fed.json("sample", "bard", "--prompt", "ROMEO:", "--tokens", "80", "--seed", "3")
    assert set(first) >= {"prompt_ids", "ids", "text", "seed", "checkpoint", "engine", "precision"}
    assert len(first["prompt_ids"]) == 6
    assert len(first["ids"]) == 80 > 32, "longer than the context"
    assert fed.json("sample", "bard", "--prompt", "ROMEO:", "--tokens", "80", "--seed", "3") == first
    assert fed.json("sample", "bard", "--prompt", "ROMEO:", "--tokens", "80", "--seed", "4")["text"] != first["text"]
    shown = fed.json("show", "bard")
    assert shown["steps"] == 60
    assert shown["tokens"]["in"] == sum(shown["tokens"][key] for key in ("trained_once", "buffered", "held_out"))
    assert {"best", "latest"} <= {role for row in shown["checkpoints"] for role in row["roles"]}
    assert fed.json("list")["models"][0]["name"] == "bard"


def test_the_sample_shown_while_training_is_what_the_checkpoint_gives_later(fed):
    trained = fed.json("train", "bard", *TRAIN, "training.sample_every=20", "training.keep_last=9")
    log = fed.folder / "runs" / trained["run"] / "events.jsonl"
    samples = [event for event in map(json.loads, log.read_text().splitlines()) if event["type"] == "sample"]
    assert len(samples) >= 2
    for seen in samples:
        later = fed.json(
            "sample", "bard", "--checkpoint", seen["step"], "--tokens", len(seen["ids"]), "--seed", seen["seed"],
            "--prompt", seen["prompt"], "--temperature", seen["temperature"],
        )  # fmt: skip
        assert later["ids"] == seen["ids"]
        assert len(later["ids"]) > 32, "longer than the context"


def test_a_trained_model_goes_on_to_a_larger_target_and_refuses_a_smaller_one(fed):
    fed.run("train", "bard", "--steps", "20")
    assert "cannot be lower" in fed.refused("train", "bard", "--steps", "10")
    assert fed.json("train", "bard", "--steps", "40")["step"] == 40


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(fed, text):
    options = ("--steps", 120, "training.checkpoint_every=10", "training.evaluate_every=40", "training.sample_every=0")
    fed.run("train", "bard", *options)
    straight = fed.json("show", "bard")["checkpoints"][-1]
    fed.make("twin", text)
    process = fed.start("train", "twin", *options)
    run = wait_for_checkpoint(fed, "twin")
    os.kill(json.loads((run / "process.json").read_text())["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "was ended by SIGKILL" in output
    assert "goes on exactly where it was interrupted" in output
    ended = fed.json("show", "twin")["checkpoints"][-1]
    assert (ended["step"], ended["weights_sha256"]) == (120, straight["weights_sha256"])
    assert fed.json("show", "twin")["runs"][-1]["outcome"] == "done"


def wait_for_checkpoint(shell, name, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if list(shell.folder.glob(f"models/{name}/checkpoints/step-*")):
            return max((shell.folder / "runs").iterdir(), key=lambda path: path.name)
        time.sleep(0.05)
    raise AssertionError("no checkpoint appeared")


def test_what_a_stopped_training_learned_is_kept_and_gone_on_with(fed):
    fed.run("train", "bard", "--steps", 100_000, "training.checkpoint_every=50", "--detach")
    wait_for_checkpoint(fed, "bard")
    fed.run("jobs", "stop", 2)
    fed.run("jobs", "follow", 2, code=130)
    steps = fed.json("show", "bard")["steps"]
    assert steps > 0
    assert fed.json("sample", "bard", "--tokens", "5", "--checkpoint", "latest")["checkpoint"] == steps
    fed.run("jobs", "retry", 2)
    while fed.json("show", "bard")["steps"] <= steps:
        time.sleep(0.1)
    fed.run("jobs", "stop", 2)
    fed.run("jobs", "follow", 2, code=130)


def test_a_model_in_training_has_one_writer_and_cannot_be_deleted(fed):
    fed.run("train", "bard", "--steps", "100000", "training.checkpoint_every=50", "--detach")
    wait_for_checkpoint(fed, "bard")
    assert "is being trained" in fed.refused("delete", "bard", code=1)
    second = fed.json("train", "bard", "--steps", "5", "--detach")
    assert (second["state"], second["place"]) == ("ready", 1)
    assert len(fed.json("sample", "bard", "--tokens", 4)["ids"]) == 4, "sampling goes on meanwhile"
    fed.run("jobs", "stop", second["job"])
    fed.run("jobs", "stop", 2)
    fed.run("jobs", "follow", 2, code=130)
    fed.run("delete", "bard")


def test_feeding_again_adds_what_is_new_and_counts_what_is_not(fed, text, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("A second text, which is short.\n" * 40)
    report = fed.json("feed", "bard", text, other)
    assert report["accepted"] == 1
    assert (report["duplicates"], report["refused"]) == (1, [])
    assert fed.json("show", "bard")["documents"] == {"accepted": 2, "refused": {"duplicate": 1}}


def test_a_deleted_model_lies_in_the_trash(fed):
    trash = fed.json("delete", "bard")["trash"]
    assert os.path.exists(os.path.join(trash, "model.yaml"))  # noqa: PTH110, PTH118
    assert fed.json("list")["models"] == []
