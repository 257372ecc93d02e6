"""Weights over time and space, in torch's file format, and measured on maps."""

import io

import cv2
import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.video import controls
from treadle.video.transfer.dialects.transfer1 import DIALECT
from treadle.video.transfer.weights import Steps, clip_weight, normalised
from treadle.video.transfer.weights_adaptive import levels, measured, score
from treadle.video.transfer.weights_file import torch_file
from treadle.video.transfer.weights_mask import WeightFile, mask_size, weight_map


def test_weights_are_scaled_down_together_and_never_up():
    asked = np.array([[0.2, 0.8, 3.0], [0.3, 0.7, 1.0]])
    assert normalised(asked) == pytest.approx(np.array([[0.2, 0.8 / 1.5, 0.75], [0.3, 0.7 / 1.5, 0.25]]))


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(1,), (88, 160), (121, 1, 1), (3, 5, 7)])
def test_torch_reads_what_was_written_without_it(tmp_path, shape, kind):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(1).random(shape).astype(kind)
    data = torch_file(values)
    (tmp_path / "weights.pt").write_bytes(data)
    for source in (io.BytesIO(data), tmp_path / "weights.pt"):
        read = torch.load(source, weights_only=True)
        assert read.shape == shape
        assert read.is_contiguous()
        assert np.array_equal(read.numpy(), values)
    mapped = torch.load(tmp_path / "weights.pt", weights_only=True, mmap=True)
    assert np.array_equal(mapped.numpy(), values)
    assert torch_file(values) == data


def test_a_schedule_is_padded_to_the_clip_not_stretched_over_it(read):
    weight = read("zero-beside-a-map").controls[0].weight
    drawn = weight_map(weight, 0, 5, 121, (8, 8))
    assert drawn.shape == (121, 1, 1)
    assert drawn[:6, 0, 0] == pytest.approx([0.2, 0.35, 0.5, 0.65, 0.8, 0.8])
    assert (drawn[5:] == drawn[4]).all()
    assert weight_map(weight, 3, 2, 5, (8, 8))[:, 0, 0] == pytest.approx([0.65, 0.8, 0.8, 0.8, 0.8])


def test_the_last_picture_of_a_mask_stands_for_all_that_follow(read, material):
    weight = read("moving-mask").controls[0].weight
    drawn = weight_map(weight, 0, 5, 7, (1280, 704))
    assert drawn.shape == (7, 88, 160)
    white = [float((picture > 0.5).mean()) for picture in drawn]
    assert white[:3] == pytest.approx([20 / 64, 40 / 64, 60 / 64], abs=0.01)
    assert (drawn[3:] == drawn[2]).all()
    late = weight_map(weight, 120, 2, 7, (1280, 704))
    assert (late == drawn[2]).all()
    assert mask_size(material / "short.mp4") == (64, 36)
    (material / "left.txt").write_text("no picture")
    with pytest.raises(DataError, match="not a video that can be read"):
        mask_size(material / "left.txt")


def test_grey_of_a_mask_lies_between_inside_and_outside(read, material, tmp_path):
    torch = pytest.importorskip("torch")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((36, 64), 51, np.uint8))
    table = {"mask": str(tmp_path / "grey.png"), "inside": 0.9, "outside": 0.4}
    weight = read({"video": "long.mp4", "controls": {"edge": {"weight": table}}}).controls[0].weight
    WeightFile(weight, 0, 121, 121, (1280, 704)).write(tmp_path / "weights.pt")
    still = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert still.shape == (88, 160)  # one picture for all clips
    assert still.float().numpy() == pytest.approx(0.5, abs=1e-3)


def test_maps_that_tell_more_score_higher():
    rng = np.random.default_rng(1)
    edges = [
        np.repeat((rng.random((40, 40)) < share)[..., None] * np.uint8(255), 3, 2) for share in (0, 0.01, 0.08, 0.5)
    ]
    empty, few, good, noise = (score("edge", one) for one in edges)
    assert empty == 0 < few < noise < good == pytest.approx(1)
    ramp = np.repeat(np.tile(np.arange(40, dtype=np.uint8), (40, 1))[..., None], 3, 2)
    assert [score("depth", ramp * factor) for factor in (0, 1, 6)] == pytest.approx([0, 35.1 / 127.5, 1], abs=0.01)
    assert score("vis", ramp) < score("vis", ramp * 6)
    halves = np.where(ramp < 20, 0, 200).astype(np.uint8)
    assert score("seg", ramp * 0) == 0 < score("seg", halves) == pytest.approx(0.5)


def test_weights_that_differ_little_are_one_level():
    assert levels(1.0, [0.5, 0.6]) == (0.65, 0.65)
    assert levels(1.0, [0.2, 0.6]) == (0.4, 0.7)
    assert levels(0.4, [0.0, 1.0]) == (0.1, 0.4)


def test_an_adaptive_weight_is_measured_on_each_clip_and_levelled_when_little_differs(read, tmp_path, material):
    from fractions import Fraction

    from treadle.video.frames import FrameWriter

    spec = read({"video": "long.mp4", "controls": {"edge": "adaptive", "vis": 0.1}})
    assert clip_weight(spec.controls[0].weight, 0, 0, 5) == 1
    settled = measured(spec, DIALECT.plan(spec)).controls[0].weight
    assert isinstance(settled, Steps)
    assert settled.constant is not None  # both clips look alike
    assert 0.25 <= settled.constant <= 1
    assert measured(read(spec_table := {"video": "short.mp4", "controls": {"edge": 0.5}}), DIALECT.plan(spec)) == read(
        spec_table
    )
    flat = np.full((36, 64, 3), 90, np.uint8)
    busy = np.where(np.indices((36, 64)).sum(axis=0)[..., None] % 16 < 8, 220, 20).repeat(3, 2).astype(np.uint8)
    with FrameWriter(tmp_path / "change.mp4", Fraction(24), quality="lossless") as writer:
        for number in range(150):
            writer.write(flat if number < 121 else busy)
    depth = {"weight": {"adaptive": 0.8}, "map": str(tmp_path / "change.mp4")}
    changing = read({"video": str(tmp_path / "change.mp4"), "controls": {"depth": depth}})
    assert measured(changing, DIALECT.plan(changing)).controls[0].weight.weights == (0.2, 0.7)  # one of five is flat
    assert len(DIALECT.write([changing], "/run").runs) == 2
    assert controls.edge_map(flat, "medium").max() == 0
