"""Requests of every kind over a few tiny clips; where the tools for videos are not installed, nothing is collected."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

if importlib.util.find_spec("av") is None or importlib.util.find_spec("cv2") is None:
    collect_ignore_glob = ["test_*.py"]

WIDTH, HEIGHT, LONG = 64, 36, 122
TEXT = "A wet street at dusk, warm lamps in every window, the camera glides slowly past shops and people."
EDGE = {"video": "short.mp4", "controls": {"edge": 0.6}}
REQUESTS = {
    "one-number": EDGE,
    "scaled-down": {
        "video": "short.mp4",
        "controls": {"edge": {"weight": 0.8, "strength": "high"}, "depth": {"weight": 0.7, "map": "depth.mp4"}},
        "seed": 7,
    },
    "zero-beside-a-map": {
        "video": "short.mp4",
        "controls": {"edge": "0:0.2 4:0.8", "depth": {"weight": 0.0, "map": "depth.mp4"}},
    },
    "schedule-over-clips": {
        "video": "long.mp4",
        "controls": {"edge": "0:0.2 121:0.8", "depth": {"weight": 0.4, "map": "long-depth.mp4"}},
    },
    "still-mask-over-clips": {
        "video": "long.mp4",
        "controls": {"edge": {"weight": {"mask": "left.png", "inside": 0.9, "outside": 0.1}}},
    },
    "moving-mask": {"video": "short.mp4", "controls": {"edge": {"weight": "moving"}}},
    "subjects": {
        "video": "short.mp4",
        "controls": {"seg": {"weight": 1, "subject": "car road", "weight_subject": "car"}},
        "negative": "",
    },
    "driving": {
        "video": "short.mp4",
        "controls": {"hdmap": {"weight": 0.3, "map": "depth.mp4"}, "lidar": {"weight": 0.7, "map": "depth.mp4"}},
    },
    "enlarged": {"video": "short.mp4", "controls": {"upscale": 0.5}, "steps": 10},
    "distilled": {"video": "short.mp4", "controls": {"edge": 1.0}, "distilled": True, "steps": 1},
    "maps-alone": {"controls": {"depth": {"weight": 1, "map": "depth.mp4"}}, "sigma": 80, "frames": 5},
}


BATCH = [
    {"controls": {"edge": 0.6, "seg": 0.3}},
    {"controls": {"edge": "left.png", "seg": {"weight": 1, "subject": "car"}}},
]


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """A folder of small files that the requests name."""
    from fractions import Fraction

    import cv2
    import numpy as np

    from treadle.video.frames import FrameWriter

    folder = tmp_path_factory.mktemp("material")
    y, x = np.mgrid[:HEIGHT, :WIDTH]

    def clip(name, count, draw, rate=Fraction(24)):
        with FrameWriter(folder / name, rate, quality="lossless") as writer:
            for time in range(count):
                writer.write(np.repeat(draw(time).astype(np.uint8)[..., None], 3, axis=2))

    clip("short.mp4", 5, lambda time: ((x + time) // 8 + y // 6) % 2 * 200 + 20)
    clip("long.mp4", LONG, lambda time: ((x + time) // 8 + y // 6) % 2 * 200 + 20)
    clip("depth.mp4", 5, lambda time: y * 7)
    clip("long-depth.mp4", LONG, lambda time: y * 7)
    clip("upright.mp4", 5, lambda time: np.zeros((WIDTH, HEIGHT)))
    clip("still.mp4", 1, lambda time: y * 7)
    clip("film.mp4", 5, lambda time: ((x + time) // 8 + y // 6) % 2 * 200 + 20, Fraction(24000, 1001))
    shutil.copy(folder / "film.mp4", folder / "film.m4v")
    cv2.imwrite(str(folder / "look.webp"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    cv2.imwrite(str(folder / "left.png"), np.where(x < WIDTH // 2, 255, 0).astype(np.uint8))
    cv2.imwrite(str(folder / "upright.png"), np.zeros((WIDTH, HEIGHT), np.uint8))
    (folder / "moving").mkdir()
    for time in range(3):
        cv2.imwrite(str(folder / "moving" / f"{time}.png"), np.where(x < 20 * (time + 1), 255, 0).astype(np.uint8))
    return folder


@pytest.fixture
def read(material):
    """Reads a request, given by its name or as a table, with some keys changed."""
    from treadle.recipes.transfer_explain import spec_of

    def reading(what, **changes):
        table = REQUESTS[what] if isinstance(what, str) else what
        return spec_of({"name": "street", "text": TEXT, **table, **changes}, material)

    return reading


def documents(written):
    """The texts of a request, as the target reads them."""
    texts = {name: content for name, content in written.files.items() if isinstance(content, bytes)}
    return {
        name: [json.loads(line) for line in content.splitlines()] if name.endswith("l") else json.loads(content)
        for name, content in texts.items()
        if name.endswith((".json", ".jsonl"))
    }


@pytest.fixture
def sent():
    """What `documents` says of a request that was written."""
    return documents


@pytest.fixture
def requests():
    """All requests by name."""
    return REQUESTS


@pytest.fixture
def batches():
    """Two requests that go together."""
    return BATCH


@pytest.fixture
def accepted():
    """The folder of requests that the target's own parser has accepted."""
    return Path(__file__).parent / "accepted"
