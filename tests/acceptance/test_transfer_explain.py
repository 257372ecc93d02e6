"""Requests for transfers explained through the command line, before anything is sent."""

import json
from fractions import Fraction

import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")

TEXT = "A wet street at dusk, warm lamps in every window, the camera glides slowly past shops and people."


@pytest.fixture
def street(tmp_path):
    import cv2
    import numpy as np

    from treadle.video.frames import FrameWriter

    y, x = np.mgrid[:36, :64]
    with FrameWriter(tmp_path / "street.mp4", Fraction(30), quality="lossless") as writer:
        for time in range(122):
            picture = (((x + time) // 8 + y // 6) % 2 * 200 + 20).astype(np.uint8)
            writer.write(np.repeat(picture[..., None], 3, axis=2))
    cv2.imwrite(str(tmp_path / "left.png"), np.where(x < 32, 255, 0).astype(np.uint8))
    return tmp_path / "street.mp4"


def test_a_prompt_is_explained_with_its_clips_weights_and_all_that_would_be_sent(here, tmp_path, street):
    here("prompt", "new", "dusk", TEXT, "--input", f"video={street}", "--set", "edge=0.6", "--set", "vis=0.8")
    told = here("transfer", "explain", "dusk")
    words = " ".join(told.split())
    assert "122 frames cost 2 clips of 121: 241 are made, 119 of them for nothing (49%)" in words
    assert "the default one: A recording of an old video game" in words
    assert "30 frames a second, the result 24: it takes 1.25 times as long" in words
    assert max(len(line) for line in told.splitlines() if "/" not in line) <= 80
    found = here("transfer", "explain", "dusk", "--json")
    assert found["clips"][1]["weights"] == pytest.approx({"edge": 0.4286, "vis": 0.5714})
    here("prompt", "edit", "dusk", "--negative", "fog")
    changed = here(
        *("transfer", "explain", "dusk", "--weights", "edge=left.png", "--weights", "vis=0", "--set", "seed=9"),
        *("--variants", "2", "--image", "weights.png", "--frame", "100", "--json"),
    )
    assert (changed["negative"], changed["negative_from"]) == ("fog", "prompt")
    document = changed["sent"]["spec.json"]
    assert (document["seed"], document["negative_prompt"]) == (9, "fog")
    assert document["edge"]["control_weight"] == "RUN/inputs/edge_weight.pt"
    assert "vis" not in document
    assert changed["seeds"] == [9, 11]
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")
    assert "takes one control" in found["other_dialects"]["diffusers"][0]
    assert "takes one control" in here("transfer", "explain", "dusk", "--dialect", "diffusers", code=2)
    flags = ("--weights", "edge=0.2", "--set", "frames=121")
    said = "Next: treadle transfer run dusk --backend transfer25-cli --weights edge=0.2 --set frames=121 ("
    assert said in here("transfer", "explain", "dusk", "--dialect", "transfer25", *flags)
    missing = here("transfer", "explain", "dusk", "--weights", "edge=gone.png", code=2)
    assert f"no mask that is there ({tmp_path / 'gone.png'})" in missing.replace("\n", " ")


def test_a_prompts_mask_and_maps_go_into_the_request(here, tmp_path, street):
    inputs = ("--input", f"video={street}", "--input", "mask=left.png", "--input", f"depth={street}")
    here("prompt", "new", "parts", TEXT, *inputs, "--set", "edge=0.6", "--set", "depth=0.2")
    found = here("transfer", "explain", "parts", "--weights", "depth=0:0.1 121:0.3", "--json")
    kinds = {control["kind"]: control for control in found["controls"]}
    assert kinds["edge"]["weight"] == "0.6 inside left.png, 0 outside"
    assert kinds["depth"]["weight"] == "0:0.1 121:0.3 inside left.png, 0 outside"
    assert kinds["depth"]["map"] == str(street)
    assert found["runs"] == 2
    street.write_bytes(street.read_bytes() + b"0")
    assert "has changed since this version was stored" in here("transfer", "explain", "parts", code=2)


def test_a_request_in_a_file_is_read_beside_it_and_refused_by_name(here, tmp_path, street):
    folder = tmp_path / "requests"
    folder.mkdir()
    request = {"text": TEXT, "video": "../street.mp4", "controls": {"edge": {"weight": "0s:0.2 2s:0.8"}}, "frames": 121}
    (folder / "night.json").write_text(json.dumps(request))
    found = here("transfer", "explain", "requests/night.json", "--json")
    assert (found["name"], found["runs"], found["waste"]) == ("night", 1, 0)
    assert found["clips"][0]["asked"]["edge"] == pytest.approx(0.65, abs=0.01)
    (folder / "night.json").write_text(json.dumps({**request, "stepz": 3, "controls": {"egde": 1}}))
    told = here("transfer", "explain", "requests/night.json", code=2)
    assert "Did you mean `steps`" in told
    assert "Did you mean `edge`" in told
    assert "is missing" in here("transfer", "explain", "gone.json", code=1)
    assert "No prompt called `gone`" in here("transfer", "explain", "gone", code=2)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--weights", "edge"), "CONTROL=WEIGHT"),
        (("--weights", "egde=1"), "Did you mean `edge`"),
        (("--weights", "keypoint=adaptive"), "cannot be adaptive"),
        (("--set", "sead=1"), "Did you mean `seed`"),
        (("--variants", "0"), "must be 1 or more"),
        (("--image", "weights.txt"), "no name for a picture"),
        (("--image", "weights.png", "--frame", "122"), "frames 0 to 121"),
    ],
)
def test_wrong_flags_are_refused(here, street, flags, says):
    here("prompt", "new", "dusk", TEXT, "--input", f"video={street}", "--set", "edge=0.6")
    assert says in here("transfer", "explain", "dusk", *flags, code=2)


def test_the_wizard_previews_what_would_be_sent(here, street):
    found = here("prompt", "wizard", "night-drive", "--input", f"video={street}", "--json")["preview"]
    assert found["sent"]["spec.json"]["edge"] == {"control_weight": 0.6, "input_control": "RUN/inputs/edge.mp4"}
    assert '"control_weight": 0.6' in here("prompt", "wizard", "night-drive", "--input", f"video={street}")
    assert "nothing can be sent yet" in here("prompt", "wizard", "night-drive")
    text = here("prompt", "new", "opening", "ROMEO:", "--purpose", "text")
    assert "Stored as `opening`" in text
    assert "a transfer needs one for a video" in here("transfer", "explain", "opening", code=2)
