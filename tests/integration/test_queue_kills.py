"""Workers and trainers killed at random moments: the short form of `scripts/bench soak`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_at_random_no_job_is_lost_or_done_twice_and_the_weights_are_those_of_a_training_in_peace():
    command = [sys.executable, ROOT / "benchmarks" / "soak.py", "--short", "--limit", "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    print(done.stdout)  # the seed, when it fails
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["wrong"] == [], done.stdout + done.stderr
    assert (found["jobs_done"], found["same_weights"]) == (6, True)
    assert found["kills"]["workers"] + found["kills"]["trainers"] >= 3
