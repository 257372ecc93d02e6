"""Transfers through the command line, with a worker of its own, and a stand-in for the target on this machine."""

import json
import os
import shutil
import signal
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

import numpy as np

from treadle.jobs.runs import RunFolder
from treadle.telemetry.events import read_events

TARGET = Path(__file__).parents[1] / "data" / "transfer1_target"


@pytest.fixture
def target(here, tmp_path, checkpoints_for):
    """A checkout of the stand-in, a clip, and a host that knows the one."""
    from treadle.video.frames import FrameWriter

    code = tmp_path / "target"
    shutil.copytree(TARGET, code)
    for path in (tmp_path / "clip.mp4", code / "base.mp4"):
        with FrameWriter(path, Fraction(24), quality="lossless") as writer:
            for number in range(3):
                writer.write(np.full((36, 64, 3), 80 + number, np.uint8))
    checkpoints_for(tmp_path / "there" / "checkpoints", "edge", "upscale")
    here("host", "add", "box", "local", "--code", code, "--python", sys.executable, "--root", tmp_path / "there")
    yield code
    for pid in left(code):  # only after a failure
        os.kill(int(pid), signal.SIGKILL)


def stored(here, name, text):
    files = ("--input", "video=clip.mp4", "--input", "edge=clip.mp4")
    here("prompt", "new", name, text, *files, "--set", "edge=0.6")


def wait_for(condition, seconds=60):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.02)


def left(code):
    """Processes of the stand-in."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(code.parent / "there").encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_prompts_become_videos_that_can_be_recalled(here, target, tmp_path):
    stored(here, "dusk", "A wet street at dusk")
    stored(here, "dawn", "A dry street at dawn")
    words = ("transfer", "run", "dusk", "dawn", "--host", "box", "--batch", "--set", "seed=7", "--room-gb", "0")
    left_out = "dusk: overlap=2: each clip is conditioned on 1 frame of the one before."
    assert left_out in here(*words, "--set", "overlap=2", "--strict", code=2).replace("\n", " ")
    made = here(*words, "--set", "overlap=2", "--json")
    assert made["unsaid"][0] == left_out
    assert (made["outcome"], [item["name"] for item in made["items"]]) == ("done", ["dusk", "dawn"])
    by = here("video", "probe", Path(made["folder"]) / "dusk.mp4", "--json")["made_by"]
    assert (by["prompt"]["text"], by["spec"]["seed"]) == ("A wet street at dusk", 7)
    waits = here(*words, "--set", "overlap=2", "--detach", "--json")
    assert waits["notes"][0] == f"Not said to the target: {left_out}"
    here("jobs", "discard", waits["job"])
    large = here("transfer", "upscale", Path(made["folder"]) / "dusk.mp4", "--room-gb", "0", "--set", "overlap=2")
    assert "1 video from box" in large
    assert large.count("Not said to the target: overlap=2") == 1
    assert "dusk-large" in large
    refused = here("transfer", "run", "dusk", "--host", "nowhere", code=2)
    assert "Unknown host `nowhere`" in refused
    assert "There is no control `edgy`" in here("transfer", "run", "dusk", "--weights", "edgy=1", code=2)


def test_a_stopped_job_leaves_no_process_and_a_killed_worker_loses_nothing(here, target, tmp_path):
    stored(here, "endless", "A street [hang]")
    job = here("transfer", "run", "endless", "--host", "box", "--room-gb", "0", "--detach", "--json")
    run = RunFolder(tmp_path / "runs" / job["run"])
    wait_for(lambda: (target / "started").exists() and run.process() is not None)
    os.kill(run.process(), signal.SIGKILL)
    wait_for(lambda: sum(event.type == "started" for event in read_events(run.events)) == 2)
    assert len(left(target)) > 0
    changed = here("transfer", "adjust", job["job"], "--set", "guidance=4", "--json")
    assert changed["changes"] == {"guidance": 4}
    there = tmp_path / "there" / "runs" / f"{run.id}-000" / "adjust.json"
    wait_for(there.exists)
    here("jobs", "stop", job["job"])
    wait_for(lambda: here("jobs", "show", job["job"], "--json")["job"]["state"] == "cancelled")
    assert not left(target)
    assert len((target / "started").read_text().splitlines()) == 1
    work = json.loads((run.path / "transfer.json").read_text())
    assert [launch["ending"] for launch in work["launches"]] == ["cancelled"]
