"""What a request comes to is told before it costs anything."""

import numpy as np
import pytest

from treadle.base.errors import UsageError
from treadle.video.transfer.dialects.catalog import DIALECTS
from treadle.video.transfer.explain import explained, fits
from treadle.video.transfer.explain_picture import views


def _remarks(found):
    return " ".join(found["remarks"])


def test_one_frame_too_many_is_told_with_what_it_costs(read):
    found = explained(read({"video": "long.mp4", "controls": {"edge": 0.6}}, seed=4), "transfer1", variants=3)
    assert [(clip["first"], clip["last"], clip["seed"]) for clip in found["clips"]] == [(0, 120, 4), (120, 121, 5)]
    assert found["seeds"] == [4, 6, 8]
    assert (found["frames_made"], found["runs"]) == (241, 1)
    assert found["waste"] == pytest.approx(119 / 241)
    assert "122 frames cost 2 clips of 121: 241 are made, 119 of them for nothing (49%)" in _remarks(found)
    assert "(`frames`=121) it is one clip less" in _remarks(found)
    assert found["works_in"] == {"width": 1280, "height": 704}
    whole = explained(read({"video": "long.mp4", "controls": {"edge": 0.6}}, frames=121), "transfer1")
    assert "for nothing" not in _remarks(whole)
    other = explained(read({"video": "long.mp4", "controls": {"edge": 0.6}}), "diffusers")
    assert [clip["seed"] for clip in other["clips"]] == [1, None]


def test_weights_are_told_as_they_are_asked_and_as_they_count(read):
    found = explained(read("scaled-down"), "transfer1")
    assert found["clips"][0]["asked"] == {"edge": 0.8, "depth": 0.7}
    assert found["clips"][0]["weights"] == pytest.approx({"edge": 0.8 / 1.5, "depth": 0.7 / 1.5}, abs=1e-4)
    assert "add up to 1.5" in _remarks(found)
    nothing = explained(read({"video": "short.mp4", "controls": {"edge": 0}}), "transfer1")
    assert "steers nothing" in _remarks(nothing)
    late = explained(read({"video": "short.mp4", "controls": {"edge": "0:0 50:1"}}), "transfer1")
    assert "a point at frame 50; the last frame is 4" in _remarks(late)
    measured = explained(read({"video": "short.mp4", "controls": {"edge": "adaptive"}}), "transfer1")
    assert measured["controls"][0]["weight"].startswith("adaptive, at most 1: 0.")


def test_what_is_not_said_is_told_for_every_dialect(read):
    spec = read({"video": "short.mp4", "controls": {"edge": 0.6}}, style="left.png", sigma=50, overlap=2, fps=30)
    found = explained(spec, "transfer1")
    assert [line.partition("=")[0].partition(":")[0] for line in found["unsaid"]] == ["style", "overlap"]
    assert "0.80 times as long" in _remarks(found)
    others = found["other_dialects"]
    assert set(others) == set(DIALECTS.names()) - {"transfer1"}
    assert others["transfer25"] == ["fps=30: the result has the rate of the input, 24."]
    assert [line.partition("=")[0].partition(":")[0] for line in others["diffusers"]] == ["style", "sigma"]
    assert "one control, not 2" in fits(read("scaled-down"), "diffusers")[0]
    assert "changes nothing" in _remarks(explained(read("one-number", blur="low"), "transfer1"))
    distilled = explained(read("distilled", guidance=7), "transfer1")
    assert distilled["unsaid"] == ["guidance: the distilled model has no use for it."]
    assert "is not used" in _remarks(explained(read("one-number", sigma=90), "transfer1"))


def test_the_documents_are_shown_as_the_target_reads_them(read):
    found = explained(read("subjects"), "transfer1")
    assert found["sent"]["spec.json"]["seg"]["control_weight_prompt"] == "car"
    assert found["arguments"] == [["--controlnet_specs", "RUN/spec.json", "--video_save_folder", "RUN/outputs"]]
    assert {one["path"] for one in found["files"]} == {"spec.json", "inputs/video.mp4"}
    assert found["negative_from"] == "spec"
    files = {one["path"]: one["content"] for one in explained(read("schedule-over-clips"), "transfer1")["files"]}
    assert files["inputs/video_001.mp4"] == "frames 120 to 121 of long.mp4"
    assert files["inputs/edge_001.mp4"] == "edge (medium) of frames 120 to 121"
    assert files["inputs/edge_weight_001.pt"].endswith(" bytes")
    moving = {one["path"]: one["content"] for one in explained(read("moving-mask"), "transfer1")["files"]}
    assert moving["inputs/edge_weight.pt"] == "weights: 1 inside moving, 0 outside"
    assert moving["inputs/video.mp4"].endswith("short.mp4, as it is")


def test_the_weight_of_every_pixel_is_drawn_as_it_counts(read):
    table = {"edge": {"weight": {"mask": "left.png", "inside": "0:0 4:1"}}, "depth": {"weight": 1, "map": "depth.mp4"}}
    spec = read({"video": "short.mp4", "controls": {**table, "seg": 0.0}})
    frame, (edge, depth, seg) = views(spec, DIALECTS.get("transfer1").plan(spec), 4)
    assert frame.shape == (704, 1280, 3) == edge.map.shape == depth.map.shape
    assert seg.map is None
    assert (edge.weights[:, :600] == 0.5).all()
    assert (edge.weights[:, 700:] == 0).all()
    assert (depth.weights[:, :600] == 0.5).all()
    assert (depth.weights[:, 700:] == 1).all()
    assert np.ptp(seg.weights) == 0
    _, (first, *_) = views(spec, DIALECTS.get("transfer1").plan(spec), 0)
    assert first.weights.max() == 0
    over = read("schedule-over-clips")
    _, (late, _) = views(over, DIALECTS.get("transfer1").plan(over), 121)
    assert late.weights.max() == pytest.approx(0.8 / 1.2)
    for number in (-1, 5):
        with pytest.raises(UsageError, match="frames 0 to 4"):
            views(spec, DIALECTS.get("transfer1").plan(spec), number)
    moving = read("moving-mask")
    _, (edge,) = views(moving, DIALECTS.get("transfer1").plan(moving), 4)
    assert float((edge.weights > 0.5).mean()) == pytest.approx(60 / 64, abs=0.01)
