"""What a killed attempt leaves, and how the next one goes on."""

import dataclasses

import pytest
from clips import moving, stored

from treadle.base.errors import DataError, TreadleError
from treadle.jobs.context import RunContext
from treadle.jobs.runs import RunFolder
from treadle.operations.video import VideoPayload
from treadle.recipes.video import run
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog


@pytest.fixture
def context(tmp_path):
    workspace = create_workspace(tmp_path / "w")
    return RunContext(workspace, RunFolder(workspace.runs / "r-1"), EventLog(tmp_path / "events.jsonl"))


def test_pieces_that_are_there_already_are_the_answer_of_the_next_attempt(context, tmp_path):
    clip = stored(tmp_path / "a.mp4", moving(12))
    options = {"length": 8, "overlap": 2, "quality": "lossless"}
    payload = VideoPayload("chunk", (str(clip),), str(tmp_path / "pieces"), options)
    first = run(context, payload)
    assert {**run(context, payload), "seconds": 0} == {**first, "seconds": 0}
    other = dataclasses.replace(payload, options={**options, "length": 6})
    with pytest.raises(DataError, match="exists already"):
        run(context, other)


def test_what_a_killed_writer_left_is_written_anew(context, tmp_path):
    clip = stored(tmp_path / "a.mp4", moving(6))
    (tmp_path / ".b.tmp.mp4").write_bytes(b"half")
    payload = VideoPayload("controls", (str(clip),), str(tmp_path / "b.mp4"), CONTROLS)
    assert run(context, payload)["frames"] == 6
    assert not (tmp_path / ".b.tmp.mp4").exists()


def test_a_request_to_stop_leaves_no_file(context, tmp_path):
    clip = stored(tmp_path / "a.mp4", moving(6))
    context.stop.requested = True
    payload = VideoPayload("controls", (str(clip),), str(tmp_path / "b.mp4"), CONTROLS)
    with pytest.raises(TreadleError, match="nothing was written"):
        run(context, payload)
    assert not list(tmp_path.glob("*b*.mp4"))


CONTROLS = {"control": "edge", "strength": "low", "quality": "high"}
