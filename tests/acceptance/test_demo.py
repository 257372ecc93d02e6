"""The demo: it runs, it runs twice, and what it shows really improves."""

import json
import subprocess
import sys
from pathlib import Path

from treadle.data.bundled.texts import bundled_text

COMMAND = Path(sys.executable).parent / "treadle"


def test_the_demo_runs_twice_and_says_how_to_go_on(tmp_path):
    for _ in range(2):
        done = subprocess.run(
            [COMMAND, "demo", "--minutes", "0.03"], cwd=tmp_path, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        assert "Training `bard`" in done.stderr
        assert "Real words in samples" in done.stdout
        assert 'treadle sample bard --prompt "JULIET:" --workspace demo' in done.stdout
    listed = subprocess.run([COMMAND, "list", "--json", "--workspace", "demo"], cwd=tmp_path, capture_output=True)
    assert [model["name"] for model in json.loads(listed.stdout)["models"]] == ["bard"]


def test_samples_gain_thirty_points_of_real_words(shell):
    shell.run("new", "bard", "--size", "nano", "--tokenizer", "char")
    shell.run("feed", "bard", bundled_text("shakespeare"))
    quick = ("training.evaluation_examples=16", "training.sample_every=80", "training.sample_minutes=60")
    samples = shell.json("train", "bard", "--steps", 80, *quick)["samples"]
    assert samples[0]["step"] < 10 < 80 == samples[-1]["step"]
    assert samples[-1]["real_words"] >= samples[0]["real_words"] + 0.3


def test_a_demo_without_time_is_refused(tmp_path):
    done = subprocess.run([COMMAND, "demo", "--minutes", "0"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "--minutes must be greater than 0, not 0.\n"
    assert list(tmp_path.iterdir()) == []
