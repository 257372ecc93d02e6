"""A transfer without a GPU: a small model learns moving shapes and makes videos along the edges of another."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

SMALL = ("family.layers=1", "family.width=32", "family.heads=2", "data.clip_frames=4", "data.image_size=16")


def test_a_model_learns_moving_shapes_and_makes_videos_of_any_length(here, tmp_path):
    from treadle.data.bundled.shapes import shape_clips
    from treadle.video.frames import FrameWriter, read_frames

    here("new", "mover", "--family", "video_flow", "--size", "nano", *SMALL)
    fed = here("feed", "mover", "bundled:shapes:30", "--json")
    assert (fed["accepted"], fed["refused"]) == (1, [])
    trained = here("train", "mover", "--steps", "4", "training.threads=1", "--json")
    assert (trained["unit"], trained["tokens"]["in"]) == ("clips", 120)
    assert "--backend local-tiny --model mover" in trained["next_step"]
    shown = here("show", "mover")
    assert "squared error/clip" in shown
    assert "clips" in shown
    measured = here("evaluate", "mover", "--json")
    assert (measured["targets"], measured["unit"]) == (12, "clips")
    assert "data.clip_frames" in here("train", "mover", "--steps", "8", "data.clip_frames=8", code=2)

    (clip,) = shape_clips(1, 5, 10, 32)
    with FrameWriter(tmp_path / "shapes.mp4", Fraction(8), quality="lossless") as writer:
        for frame in clip.frames:
            writer.write(np.ascontiguousarray(frame[:24]))
    (tmp_path / "walk.json").write_text(
        '{"text": "a Red  Circle on black", "video": "shapes.mp4", "controls": {"edge": {"weight": 0.9}}, "steps": 2}'
    )
    options = ("--host", "local", "--backend", "local-tiny", "--set", "overlap=1")
    assert "Unknown model `nope`" in here("transfer", "run", "walk.json", *options, "--model", "nope", code=2)
    done = here("transfer", "run", "walk.json", "walk.json", *options, "--batch", "--json")
    assert (done["outcome"], [item["state"] for item in done["items"]]) == ("done", ["done", "done"])
    videos = [Path(done["folder"]) / item["video"] for item in done["items"]]
    facts = here("video", "probe", videos[0], "--json")
    assert (facts["width"], facts["height"], facts["frames"], facts["fps"]) == (32, 24, 10, 24.0)
    said = facts["made_by"]["options"]
    assert (said["model"], said["step"], facts["made_by"]["spec"]["guidance"]) == ("mover", 4, 1.5)
    again = here("gallery", "recall", videos[0], "--save", "walk", "--json")
    assert again["command"] == "treadle transfer run walk --host local --backend local-tiny --model mover@4"
    assert again["weights"] == {"model": "mover", "step": 4, "weights": said["weights"], "there": "mover@4"}
    here("rename", "mover", "drawer")
    assert "step 4" in (told := here("gallery", "recall", videos[0]))
    assert "here as drawer@4" in told
    explained = here("transfer", "explain", "walk.json", "--dialect", "local-tiny", "--set", "overlap=1", "--json")
    assert [clip["first"] for clip in explained["clips"]] == [0, 3, 6], "the clips of the only model"
    assert explained["settings"]["guidance"] == 1.5
    assert {row["model"] for row in here("gallery", "list", "--json")["items"]} == {"mover"}, "as it was then"
    first, second = (list(read_frames(video)) for video in videos)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)), "as if made alone"
    run = tmp_path / "runs" / done["run"]
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    clips = [(event["item"], event["clip"]) for event in events if event["type"] == "step" and event["step"] == 2]
    assert clips == [(item, clip) for item in (0, 1) for clip in (0, 1, 2)]
    notes = [event["message"] for event in events if event["type"] == "note"]
    assert "`mover` has made only 4 steps: expect noise. Train it on: treadle train mover" in notes
    picture = next(event["picture"] for event in events if event["type"] == "preview")
    assert (run / picture).read_bytes().startswith(b"\x89PNG")
    assert "Understood of the text: on black, red circle" in (run / "log.txt").read_text(encoding="utf-8")
    here("delete", "drawer")
    assert "mover, step 4" in (told := here("gallery", "recall", videos[0]))
    assert "which are not here any more" in told
