"""Videos through the command line: each verb on a small clip."""

import functools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")


@pytest.fixture
def run(here):
    return functools.partial(here, "video")


@pytest.fixture
def clip(tmp_path):
    """Twenty-four frames of a disc that rolls over a slope."""
    from treadle.video.frames import FrameWriter

    file = tmp_path / "clip.mp4"
    with FrameWriter(file, Fraction(24), quality="lossless") as writer:
        for number in range(24):
            slope = np.linspace(40, 160, 64, dtype=np.float32)[None, :, None] * np.ones((48, 1, 3), np.float32)
            frame = slope.astype(np.uint8)
            cv2.circle(frame, (10 + 2 * number, 24), 9, (220, 60, 90), -1, cv2.LINE_AA)
            writer.write(frame)
    return file


def test_a_clip_goes_through_every_tool(run, here, clip, tmp_path):
    facts = run("probe", clip, "--json")
    assert (facts["width"], facts["height"], facts["frames"], facts["clips"]) == (64, 48, 24, 1)
    assert facts["waste"] == pytest.approx(1 - 24 / 121, abs=1e-3)

    made = run("controls", clip, "edge", "--strength", "low", "--out", "edges.mp4", "--json")
    assert (made["frames"], made["outcome"]) == (24, "done")
    by = run("probe", "edges.mp4", "--json")["made_by"]
    assert by["options"] == {"control": "edge", "strength": "low", "quality": "high"}
    assert len(by["sources"][0]["sha256"]) == 64
    assert run("controls", clip, "vis", "--out", "vis.mp4", "--json")["control"] == "vis"
    np.save(tmp_path / "depth.npy", np.random.default_rng(1).random((24, 6, 8)))
    given = run("controls", clip, "depth", "--maps", "depth.npy", "--near", "dark", "--out", "depth.mp4", "--json")
    assert (given["frames"], given["given"], given["near"]) == (24, "maps", "dark")
    newest = here("gallery", "list", "--json")["items"][0]
    assert (newest["name"], newest["kind"], newest["sources"][0]) == ("depth.mp4", "video.controls", str(clip))
    again = here("gallery", "recall", "depth.mp4", "--json")["command"]
    assert again.endswith(
        "clip.mp4 depth --maps " + str(tmp_path / "depth.npy") + " --near dark --quality high --out FILE.mp4"
    )

    faster = run("interpolate", clip, "--to", "48", "--out", "fast.mp4", "--json")
    assert (faster["frames"], faster["fps"]) == (47, 48.0)
    assert "predicted from their neighbours" in run("interpolate", clip, "--check")

    assert run("smooth", clip, "--out", "smooth.mp4", "--json")["frames"] == 24
    even = run("deflicker", clip, "--quality", "lossless", "--out", "even.mp4", "--json")
    assert even["changed"] == 0
    assert "All 24 frames are equal" in run("compare", clip, "even.mp4")

    drawn = run("coherence", clip, "--plot", tmp_path / "evenness.png", "--json")
    assert (drawn["cuts"], drawn["seams"]) == ([], [])
    assert (tmp_path / "evenness.png").read_bytes().startswith(b"\x89PNG")


def test_pieces_are_cut_and_joined_again(run, clip, tmp_path):
    cut = ("--length", "10", "--overlap", "4", "--quality", "lossless", "--out", "pieces")
    assert run("chunk", clip, *cut, "--json")["chunks"] == 4
    plan = json.loads((tmp_path / "pieces" / "chunks.json").read_text())
    assert [(row["begin"], row["end"]) for row in plan["chunks"]] == [(0, 10), (6, 16), (12, 22), (18, 24)]
    whole = run("stitch", "pieces", "--quality", "lossless", "--out", "whole.mp4", "--json")
    assert [seam["frame"] for seam in whole["seams"]] == [6, 12, 18]
    assert run("compare", clip, "whole.mp4", "--json")["equal"]
    assert "has 24 frames and" in run("compare", clip, "pieces/chunk_000.mp4", code=1)
    Path("pieces/chunk_001.mp4").write_bytes(Path("pieces/chunk_003.mp4").read_bytes())
    assert "only 6 frames where 10 were planned" in run("stitch", "pieces", "--out", "bad.mp4", code=1)
    assert not (tmp_path / "bad.mp4").exists()
    plan["chunks"][1]["file"] = "../clip.mp4"
    (tmp_path / "pieces" / "chunks.json").write_text(json.dumps(plan))
    assert "not a plan of pieces" in run("stitch", "pieces", "--out", "bad.mp4", code=1)


def test_pictures_become_a_film(run, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16, 3), 40 * number, np.uint8))
    assert "3 frames at 12 a second" in run("from-images", folder, "--fps", "12", "--out", "film.mp4")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("probe", "gone.mp4"), 2, "does not exist"),
        (("probe", "treadle.yaml"), 1, "not a video"),
        (("controls", "gone.mp4", "edge", "--out", "x.mp4"), 2, "does not exist"),
        (("controls", "CLIP", "edge", "--out", "CLIP"), 2, "exists already"),
        (("controls", "CLIP", "depth", "--out", "x.mp4"), 2, "--maps FILE or --model"),
        (("controls", "CLIP", "seg", "--maps", "CLIP", "--model", "CLIP", "--out", "x.mp4"), 2, "not both"),
        (("controls", "CLIP", "seg", "--maps", "gone.npy", "--out", "x.mp4"), 2, "does not exist"),
        (("controls", "CLIP", "seg", "--maps", "CLIP", "--near", "dark", "--out", "x.mp4"), 2, "for depth"),
        (("controls", "CLIP", "depth", "--maps", "CLIP", "--strength", "low", "--out", "x.mp4"), 2, "means nothing"),
        (("controls", "CLIP", "depth", "--model", "CLIP", "--side", "9", "--out", "x.mp4"), 2, "side"),
        (("controls", "CLIP", "edge", "--maps", "CLIP", "--out", "x.mp4"), 2, "computed from the video"),
        (("interpolate", "CLIP"), 2, "--to 60"),
        (("interpolate", "CLIP", "--to", "0", "--out", "x.mp4"), 2, "1 to 1000"),
        (("interpolate", "CLIP", "--check", "--to", "60"), 2, "leave out"),
        (("chunk", "CLIP", "--length", "10", "--overlap", "9", "--out", "p"), 2, "at most half"),
        (("stitch", "frames", "--out", "x.mp4"), 2, "chunks.json"),
        (("from-images", "nowhere", "--out", "x.mp4"), 2, "not a folder"),
        (("smooth", "CLIP", "--seconds", "0", "--out", "x.mp4"), 2, "more than 0"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(run, clip, tmp_path, arguments, code, says):
    assert says in run(*(clip if word == "CLIP" else word for word in arguments), code=code)
    assert not (tmp_path / "x.mp4").exists()
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("r-*"))
