"""Control maps."""

import cv2
import numpy as np
import pytest
from clips import moving

from treadle.video.controls import BLURS, CANNY, blurred, edge_map

FRAME = moving(1)[0]
STRENGTHS = ("very_low", "low", "medium", "high", "very_high")


@pytest.mark.parametrize(
    ("strength", "lower", "upper"),
    [("very_low", 20, 50), ("low", 50, 100), ("medium", 100, 200), ("high", 200, 300), ("very_high", 300, 400)],
)
def test_edges_are_those_of_the_reference(strength, lower, upper):
    edges = edge_map(FRAME, strength)
    assert (edges == cv2.Canny(FRAME, lower, upper)[..., None]).all()
    assert set(np.unique(edges)) <= {0, 255}


def test_a_higher_strength_keeps_fewer_edges():
    steps = np.random.default_rng(1).integers(0, 140, (9, 12, 1), np.uint8)
    plates = np.kron(steps, np.ones((8, 8, 3), np.uint8))
    counts = [int((edge_map(plates, strength) > 0).sum()) for strength in STRENGTHS]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 5
    assert list(CANNY) == list(BLURS) == list(STRENGTHS)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_blurred_picture_keeps_its_colours_and_loses_its_detail(strength):
    soft = blurred(FRAME, strength)
    assert soft.shape == FRAME.shape
    assert np.abs(soft.mean(axis=(0, 1)) - FRAME.mean(axis=(0, 1))).max() < 6
    assert detail(soft) < detail(FRAME)


def test_more_strength_leaves_less_detail():
    large = np.kron(np.random.default_rng(1).integers(0, 256, (36, 48, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    weak, middle, strong = (detail(blurred(large, strength)) for strength in ("very_low", "medium", "very_high"))
    assert weak > middle > strong


@pytest.mark.parametrize("size", [(3, 5), (1, 1), (17, 9)])
def test_tiny_frames_are_blurred_too(size):
    frame = np.full((*size, 3), 100, np.uint8)
    assert np.abs(blurred(frame, "very_high").astype(int) - 100).max() <= 1


def detail(frame):
    return float(np.abs(np.diff(frame.astype(np.int16), axis=1)).mean())
