"""What is said of a prompt before it is sent."""

import dataclasses

import pytest

from treadle.base.errors import SettingsError
from treadle.base.hashing import hash_file
from treadle.generation.config import GenerationSettings
from treadle.prompts.checks import remarks
from treadle.prompts.config import VideoSettings
from treadle.prompts.record import Prompt, PromptInput
from treadle.prompts.settings import checked, complete, read_pairs

LONG = "A wet street in the evening, warm lamps, people with umbrellas, a slow camera and soft rain."


@pytest.fixture
def good(tmp_path):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"video")
    source = PromptInput("video", str(video), hash_file(video), 5)
    return Prompt("x", 1, None, "video", LONG, None, (source,), {"edge": 0.5}, ())


def said(prompt):
    return [f"{remark.level}: {remark.text}" for remark in remarks(prompt)]


def test_nothing_is_said_of_a_good_prompt(good):
    assert said(good) == []


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"text": ""}, "error: The text is empty."),
        ({"text": "A street."}, "warning: The text has 2 words"),
        ({"text": LONG * 40}, "the encoder reads 512 and drops the rest"),
        ({"negative": LONG * 40}, "The negative text has about"),
        ({"settings": {}}, "No control has a weight"),
        ({"settings": {}, "inputs": ()}, "Neither a video nor a control map goes with it"),
        ({"settings": {"edge": 0.9, "vis": 0.5}}, "add up to 1.4"),
        ({"inputs": ()}, "error: Neither a control map nor a video to make it of: edge"),
    ],
)
def test_what_may_go_wrong_is_said(good, change, remark):
    assert remark in "\n".join(said(dataclasses.replace(good, **change)))


def test_a_map_without_a_weight_would_be_forgotten(good):
    depth = dataclasses.replace(good.inputs[0], kind="depth")
    assert "The depth map has no weight" in said(dataclasses.replace(good, inputs=(*good.inputs, depth)))[0]


def test_an_input_that_changed_or_went_is_an_error(good, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"vide0")
    assert "has changed since" in said(good)[0]
    (tmp_path / "a.mp4").unlink()
    assert "is not there any more" in said(good)[0]


def test_text_for_a_text_model_is_left_alone(good):
    assert said(dataclasses.replace(good, purpose="text", text="A", inputs=(), settings={})) == []


def test_settings_are_read_as_numbers_words_and_texts():
    assert read_pairs(["seed=7", "edge=0.5", "edges=very_low", "stop=ROMEO: so"]) == {
        "seed": 7,
        "edge": 0.5,
        "edges": "very_low",
        "stop": "ROMEO: so",
    }
    with pytest.raises(SettingsError, match="key=value"):
        read_pairs(["seed"])


def test_only_what_differs_from_the_defaults_is_kept():
    assert checked(VideoSettings, {"seed": 1, "steps": 20, "edge": 1}) == {"steps": 20, "edge": 1.0}
    assert complete(VideoSettings, {"steps": 20})["fps"] == 24
    assert checked(GenerationSettings, {"stop": "ROMEO:", "temperature": 0.5}) == {
        "stop": ["ROMEO:"],
        "temperature": 0.5,
    }


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(SettingsError) as error:
        checked(VideoSettings, {"sead": 1, "steps": 0, "guidance": float("nan")})
    text = str(error.value)
    assert "Did you mean `seed`" in text
    assert "`steps` cannot be `0`" in text or "guidance" in text
    with pytest.raises(SettingsError, match="`steps` cannot be `0`"):
        checked(VideoSettings, {"steps": 0})
