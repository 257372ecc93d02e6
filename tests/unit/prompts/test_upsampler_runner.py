"""The program that is sent to a host: it has the target's upsampler write, and says in words why it could not."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from treadle.prompts import upsampler_runner
from treadle.prompts.upsampler_runner import GUARDS, MODEL

TARGET = Path(__file__).parents[2] / "data" / "transfer1_target"


@pytest.fixture
def asked(tmp_path):
    """Runs the program beside the stand-in of the target; returns what it has told, and its answer or None."""
    for name in (MODEL, *GUARDS):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "weights").touch()
    shutil.copytree(TARGET, tmp_path / "code")
    run = tmp_path / "run"
    run.mkdir()
    (run / "clip.mp4").write_text("a street")

    def ask(text, seconds=60.0):
        plan = {"text": text, "video": "clip.mp4", "checkpoints": str(tmp_path / "models"), "answer": "o/answer.json"}
        (run / "plan.json").write_text(json.dumps({**plan, "seconds": seconds}))
        command = [sys.executable, "-u", upsampler_runner.__file__, run / "plan.json"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "code")}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=60)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        answer = run / "o" / "answer.json"
        assert (done.returncode == 0) == answer.exists(), done.stderr
        return events, json.loads(answer.read_text()) if answer.exists() else None

    return ask


def test_the_text_is_what_the_target_printed_on_one_line(asked, tmp_path):
    events, answer = asked('-a "wet" street')
    assert answer["text"] == '-a "wet" street, seen in 2 frames of a street. Warm light.'
    assert (answer["model"], answer["checked"]) == (MODEL, True)
    assert [event.get("stage") for event in events] == ["writing", "checking"]
    # Two runs on one host must not share /tmp/frame_1.png.
    assert (tmp_path / "run" / "scratch" / "frame_1.png").exists()


def test_without_the_models_of_the_guardrail_the_answer_says_that_it_was_not_asked(asked, tmp_path):
    (tmp_path / "models" / GUARDS[1] / "weights").unlink()
    events, answer = asked("a street [unsafe]")
    assert answer["checked"] is False
    assert events[-1] == {"event": "unguarded", "missing": [GUARDS[1]]}


@pytest.mark.parametrize(
    ("mark", "kind", "says"),
    [
        ("[kill]", "memory", "status -9"),
        ("[memory]", "memory", "CUDA out of memory"),
        ("[bare]", "code", "No module named 'vllm'"),
        ("[crash]", "failed", "ValueError: a bad checkpoint"),
        ("[empty]", "empty", "empty text"),
        ("[mute]", "code", "not known here"),
        ("[unsafe]", "guardrail", "refuses the text"),
    ],
)
def test_each_way_to_fail_has_its_word_and_leaves_no_answer(asked, mark, kind, says):
    events, answer = asked(f"a street {mark}")
    assert answer is None
    assert events[-1]["kind"] == kind
    assert says in events[-1]["reason"]


def test_time_that_is_over_ends_all_that_was_started(asked, tmp_path):
    events, _ = asked("a street [hang]", seconds=0.5)
    assert (events[-1]["kind"], events[-1]["reason"]) == ("time", "not done after 0.5 s")
    ends = time.monotonic() + 30
    while any(str(tmp_path / "code").encode() in environment for environment in environments()):
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_video_without_frames_and_a_missing_model_are_named(asked, tmp_path):
    (tmp_path / "run" / "clip.mp4").write_bytes(b"")
    assert asked("a street")[0][-1] == {
        "event": "failed", "kind": "video", "reason": "no frame of clip.mp4 can be read there",
    }  # fmt: skip
    (tmp_path / "models" / MODEL / "weights").unlink()
    events, _ = asked("a street")
    assert (events[-1]["kind"], MODEL in events[-1]["reason"]) == ("checkpoint", True)


def environments():
    """Those of all processes."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()
