"""What a killed attempt leaves, and how the next one goes on."""

import dataclasses

import cv2
import numpy as np
import onnx_models
import pytest
from clips import HEIGHT, WIDTH, moving, stored

from treadle.base.errors import DataError, TreadleError
from treadle.base.hashing import hash_file
from treadle.jobs.context import RunContext
from treadle.jobs.runs import RunFolder
from treadle.operations.video import VideoPayload
from treadle.recipes.video import run
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog
from treadle.video.frames import probe, read_frames
from treadle.video.maps import coloured


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


def test_a_model_draws_the_depth_of_each_frame(context, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")
    clip = stored(tmp_path / "a.mp4", [np.full((32, 48, 3), level, np.uint8) for level in (40, 80, 120)])
    (tmp_path / "depth.onnx").write_bytes(onnx_models.brightness())
    options = {"control": "depth", "given": "model", "pixels": "unit", "side": 56, "quality": "lossless"}
    payload = VideoPayload(
        "controls", (str(clip), str(tmp_path / "depth.onnx")), str(tmp_path / "b.mp4"), {**options, "near": "bright"}
    )
    told = run(context, payload)
    assert (told["sees"], told["range"]) == ([42, 56], pytest.approx([40 / 255, 120 / 255], abs=1e-4))
    assert [int(frame.mean()) for frame in read_frames(tmp_path / "b.mp4")] == [0, 127, 255]
    assert probe(tmp_path / "b.mp4").made_by["sources"][1]["sha256"] == hash_file(tmp_path / "depth.onnx")
    turned = dataclasses.replace(payload, out=str(tmp_path / "c.mp4"), options={**options, "near": "dark"})
    run(context, turned)
    assert [int(frame.mean()) for frame in read_frames(tmp_path / "c.mp4")] == [255, 128, 0]


def test_a_model_tells_segments_apart_without_mixing_their_colours(context, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:, :48, 0] = frame[:, 48:, 2] = 200
    clip = stored(tmp_path / "a.mp4", [frame, frame])
    (tmp_path / "seg.onnx").write_bytes(onnx_models.strongest_colour())
    options = {"control": "seg", "given": "model", "pixels": "unit", "side": 518, "quality": "lossless"}
    payload = VideoPayload("controls", (str(clip), str(tmp_path / "seg.onnx")), str(tmp_path / "b.mp4"), options)
    assert run(context, payload)["sees"] == [32, 48]
    for shown in read_frames(tmp_path / "b.mp4"):
        assert not shown[:, :48].any()
        assert (shown[:, 48:] == coloured(np.array([[2]]))[0, 0]).all()


def test_labels_of_a_folder_become_colours_in_the_size_of_the_video(context, tmp_path):
    clip = stored(tmp_path / "a.mp4", moving(2))
    folder = tmp_path / "labels"
    folder.mkdir()
    for number in (1, 2):
        cv2.imwrite(str(folder / f"{number}.png"), np.array([[0, number]], np.uint8))
    options = {"control": "seg", "given": "maps", "quality": "lossless"}
    payload = VideoPayload("controls", (str(clip), str(folder)), str(tmp_path / "b.mp4"), options)
    assert run(context, payload)["frames"] == 2
    first, second = read_frames(tmp_path / "b.mp4")
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert not first[:, : WIDTH // 2].any()
    assert (first[:, WIDTH // 2 :] == coloured(np.array([[1]]))[0, 0]).all()
    assert (first[0, -1] != second[0, -1]).any()
    (folder / "2.png").unlink()
    with pytest.raises(DataError, match="it has 1 maps, and more frames"):
        run(context, dataclasses.replace(payload, out=str(tmp_path / "c.mp4")))
    assert not (tmp_path / "c.mp4").exists()


CONTROLS = {"control": "edge", "strength": "low", "quality": "high"}
