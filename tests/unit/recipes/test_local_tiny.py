"""The program behind local-tiny, in this process: what it reads of a request, and how it goes from clip to clip."""

from __future__ import annotations

import base64
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

from treadle.base.errors import UsageError  # noqa: E402
from treadle.data.bundled.shapes import shape_clips  # noqa: E402
from treadle.data.clip_data import Decided  # noqa: E402
from treadle.data.clip_maps import blur_maps, edge_maps  # noqa: E402
from treadle.models.catalog import FAMILIES  # noqa: E402
from treadle.recipes.local_tiny import OpenedFlow, drawn, main, sheet, write_video  # noqa: E402
from treadle.recipes.local_tiny_guides import guides_of  # noqa: E402
from treadle.store.workspace import create_workspace  # noqa: E402
from treadle.video.frames import FrameWriter, read_frames  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

FRAMES, EDGE = 4, 16
PHRASES = ("on black", "red circle", "waves")


@pytest.fixture(scope="module")
def opened() -> OpenedFlow:
    """A model that has learned nothing."""
    torch.manual_seed(3)
    family = FAMILIES.get("video_flow")
    config = family.config_class().model_validate({"layers": 1, "width": 32, "heads": 2})
    module = family.build_model(config, len(PHRASES), FRAMES)
    return OpenedFlow(module, Decided(phrases=PHRASES, size=EDGE, frames=FRAMES), "mover", {"step": 7})


@pytest.fixture
def item(tmp_path: Path) -> dict[str, Any]:
    """A request for nine frames along a clip that is twice as wide as it is high."""
    (clip,) = shape_clips(1, 5, 9, 32)
    with FrameWriter(tmp_path / "clip.mp4", Fraction(8), quality="lossless") as writer:
        for frame in clip.frames:
            writer.write(np.ascontiguousarray(frame[:16]))
    facts = {"steps": 2, "guidance": 1.5, "sigma": 70.0, "seed": 5, "fps": 8, "overlap": 1}
    control = {"kind": "edge", "map": None, "strength": "medium", "weights": [0.5] * 9}
    request = {"video": str(tmp_path / "clip.mp4"), "frames": 9, "size": [32, 16], "controls": [control]}
    return {"text": "A Red  circle on\nblack, reds", "negative": "waves", **facts, **request}


def test_phrases_are_found_as_they_stand(opened: OpenedFlow) -> None:
    assert opened.phrases_in("A Red  circle on\nblack, heatwaves") == ["on black", "red circle"]
    assert opened.encoded(["waves"]).tolist() == [[0, 0, 1]]


def test_maps_and_weights_are_brought_to_the_models_size(item: dict[str, Any], tmp_path: Path) -> None:
    mask = np.zeros((9, 32, 64), np.float32)
    mask[:, :, 32:] = 0.9
    np.save(tmp_path / "mask.npy", mask)
    item["controls"].append({"kind": "vis", "map": None, "strength": "high", "weights": str(tmp_path / "mask.npy")})
    found = guides_of(item, EDGE)
    assert found.video is not None
    assert found.video.shape == (9, EDGE, EDGE, 3)
    np.testing.assert_array_equal(found.edges, edge_maps(found.video, "medium"))
    np.testing.assert_array_equal(found.blur, blur_maps(found.video, "high"))
    assert found.video[:, :4].max() == 0, "what makes it square"
    assert found.edge_weight[0, 8, 2, 0] == 0.5, "nothing else counts there"
    assert found.edge_weight[0, 8, 14, 0] == pytest.approx(0.5 / 1.4), "both together are 1"
    assert found.blur_weight[0, 8, 14, 0] == pytest.approx(0.9 / 1.4)
    assert found.blur_weight[0, 8, 2, 0] == found.blur_weight[0, 2, 14, 0] == 0


def test_a_given_map_is_used_and_lines_of_a_large_one_are_kept(item: dict[str, Any], tmp_path: Path) -> None:
    line = np.zeros((128, 256, 3), np.uint8)
    line[:, 100] = 255
    with FrameWriter(tmp_path / "edges.mp4", Fraction(8), quality="lossless") as writer:
        for _ in range(3):
            writer.write(line)
    item["controls"][0] |= {"map": str(tmp_path / "edges.mp4"), "strength": None}
    edges = guides_of({**item, "video": None}, EDGE).edges
    assert edges.shape == (9, EDGE, EDGE, 1), "the last frame stands for all that follow"
    assert edges[8, 4:12, 6].min() == 255
    assert edges[8].astype(bool).sum() == 8
    item["controls"][0]["map"] = None
    with pytest.raises(UsageError, match="no video to make it from"):
        guides_of({**item, "video": None}, EDGE)


def test_clips_follow_each_other_and_take_changes_on_the_way(
    opened: OpenedFlow, item: dict[str, Any], tmp_path: Path
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    guides = guides_of(item, EDGE)
    plain = drawn(opened, item, guides, lambda kind, **facts: told.append((kind, facts)))
    assert plain.shape == (9, EDGE, EDGE, 3)
    assert [facts["clip"] for kind, facts in told if kind == "step"] == [0, 0, 1, 1, 2, 2]
    assert [facts["done"] for kind, facts in told if kind == "clip"] == [0, 1, 2, 3]
    np.testing.assert_array_equal(plain, drawn(opened, item, guides))
    waits = iter([{}, {"steps": 3}, {"steps": 3}])
    told.clear()
    other = drawn(opened, item, guides, lambda kind, **facts: told.append((kind, facts)), lambda: next(waits))
    np.testing.assert_array_equal(plain[:4], other[:4])
    assert [facts["steps"] for kind, facts in told if kind == "adjusted"] == [3]
    assert [facts["clip"] for kind, facts in told if kind == "step"] == [0, 0, 1, 1, 1, 2, 2, 2]
    with pytest.raises(UsageError, match="at most 2"):
        drawn(opened, {**item, "overlap": 3}, guides)
    write_video(plain, tmp_path / "out.mp4", item, opened)
    frames = list(read_frames(tmp_path / "out.mp4"))
    assert (len(frames), frames[0].shape) == (9, (16, 32, 3))


def test_a_picture_of_a_step_fits_into_a_line() -> None:
    wide = cv2.imdecode(
        np.frombuffer(base64.b64decode(sheet(torch.zeros(1, 8, 32, 32, 3))), np.uint8), cv2.IMREAD_COLOR
    )
    assert wide.shape == (32, 128, 3)
    noise = sheet(torch.randn(1, 8, 64, 64, 3))
    assert len(noise) <= 12_000
    assert base64.b64decode(noise).startswith(b"\x89PNG")


def test_without_a_model_it_says_how_to_make_one(
    tmp_path: Path, item: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    create_workspace(tmp_path / "lab")
    (tmp_path / "requests.json").write_text(json.dumps([item]))
    code = main([str(tmp_path / "requests.json"), str(tmp_path), "--workspace", str(tmp_path / "lab")])
    last = capsys.readouterr().out.splitlines()[-1]
    assert code == 1
    assert last.startswith("error: local-tiny needs a trained model")
    assert "treadle new mover --family video_flow" in last
