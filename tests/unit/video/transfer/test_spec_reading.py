"""Requests: what is refused, what is completed, and what comes back as it was."""

import pytest

from treadle.base.errors import DataError, UsageError
from treadle.video.transfer.spec_reading import read_spec_file, to_mapping
from treadle.video.transfer.weights import Adaptive, Mask

EDGE = {"video": "short.mp4", "controls": {"edge": 0.6}}


def _with(**control):
    return {"video": "short.mp4", "controls": {"edge": {"weight": 0.6, **control}}}


REFUSED = [
    ({**EDGE, "stepz": 3}, "unknown key `stepz`. Did you mean `steps`"),
    (_with(strenght="low"), "unknown key `strenght`. Did you mean `strength`"),
    ({"video": "short.mp4", "controls": {"egde": 1}}, "unknown key `egde`. Did you mean `edge`"),
    ({**EDGE, "text": "  "}, "The text is empty"),
    ({**EDGE, "text": 7}, "must be text"),
    ({**EDGE, "name": "a/b"}, "cannot be the name"),
    ({**EDGE, "video": "gone.mp4"}, "does not exist"),
    ({**EDGE, "video": 3}, "must be the path of a file"),
    ({**EDGE, "video": "left.png/.."}, "no file"),
    ({**EDGE, "style": "gone.png"}, "does not exist"),
    ({**EDGE, "seed": -1}, "greater than or equal to 0"),
    ({**EDGE, "seed": True}, "must be a number"),
    ({**EDGE, "guidance": float("nan")}, "guidance"),
    ({**EDGE, "sigma": float("inf")}, "sigma"),
    ({**EDGE, "steps": 0}, "`steps` cannot be `0`: it must be"),
    ({**EDGE, "edges": "hihg"}, "edges"),
    ({**EDGE, "frames": 6}, "has 5 frames where 6 are wanted"),
    ({**EDGE, "frames": 0}, "whole number from 1"),
    ({**EDGE, "frames": True}, "whole number from 1"),
    ({**EDGE, "overlap": 99}, "from 0 to 16"),
    ({**EDGE, "distilled": "yes"}, "true or false"),
    ({**EDGE, "negative": 5}, "must be text"),
    ({**EDGE, "negative": "fog", "negative_from": "me"}, "default, prompt or spec"),
    ({**EDGE, "controls": {}}, "`controls` is missing"),
    ({**EDGE, "controls": [1]}, "`controls` is missing"),
    ({**EDGE, "controls": {"edge": {}}}, "has no weight"),
    (_with(weight=-0.1), "number from 0 to 10"),
    (_with(weight=float("nan")), "number from 0 to 10"),
    (_with(weight=True), "number from 0 to 10"),
    (_with(weight="nan"), "number from 0 to 10"),
    (_with(weight="gone.pt"), "no mask that is there"),
    (_with(weight="0:0.2 48"), "FRAME:WEIGHT"),
    (_with(weight="0:0.2 8:x"), "FRAME:WEIGHT"),
    (_with(weight="8:0.2 8:0.4"), "go forward in time"),
    (_with(weight="0.5:0.2"), "frames are whole"),
    (_with(weight="0:11"), "number from 0 to 10"),
    (_with(weight={"mask": "left.png", "insid": 1}), "Did you mean `inside`"),
    (_with(weight={"inside": 1}), "without a mask"),
    (_with(weight={"mask": "left.png", "inside": "adaptive"}), "a number or a schedule"),
    (_with(weight={"adaptive": 2, "mask": "left.png"}), "unknown key `mask`"),
    (_with(weight="upright.png"), "of another shape"),
    (_with(map="upright.mp4"), "of another shape"),
    (_with(map="left.png", strength=None), "is a picture"),
    (_with(strength="strong"), "is one of very_low"),
    (_with(map="depth.mp4", strength="low"), "would be ignored: there is a map"),
    (_with(subject="car"), "knows it for seg only"),
    ({"video": "short.mp4", "controls": {"depth": {"weight": 1, "strength": "low"}}}, "has no strength"),
    ({"video": "short.mp4", "controls": {"depth": "adaptive"}}, "measured on its map"),
    ({"video": "short.mp4", "controls": {"keypoint": "adaptive"}}, "cannot be adaptive"),
    ({"video": "short.mp4", "controls": {"hdmap": 1}}, "needs a map"),
    ({"video": "short.mp4", "controls": {"seg": {"weight": 1, "subject": " "}}}, "must be words"),
    ({"video": "short.mp4", "controls": {"seg": {"weight": "0:0 4:1", "weight_subject": "car"}}}, "one number"),
    (
        {"video": "short.mp4", "controls": {"seg": {"weight": 1, "map": "depth.mp4", "subject": "car"}}},
        "there is a map",
    ),
    ({"video": "short.mp4", "controls": {"upscale": 1, "edge": 1}}, "stands alone"),
    ({"controls": {"upscale": {"weight": 1, "map": "depth.mp4"}}}, "takes no map"),
    ({"controls": {"edge": 1}}, "no video to make it of"),
    ({"video": "long.mp4", "controls": {"depth": {"weight": 1, "map": "depth.mp4"}}}, "`frames` = 5"),
]


@pytest.mark.parametrize(("table", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_is_wrong_is_refused_by_name(read, table, says):
    with pytest.raises(UsageError) as refusal:
        read(table)
    assert says in str(refusal.value), str(refusal.value)


def test_all_mistakes_are_said_at_once(read):
    with pytest.raises(UsageError, match="5 things are wrong") as refusal:
        read({"video": "gone.mp4", "controls": {"edge": -1}, "steps": 0, "stepz": 1, "overlap": 1.5})
    assert len(str(refusal.value).splitlines()) == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"seed": 1, "seed": 2}', "`seed` stands there twice"),
        ('{"controls": {"edge": {"weight": NaN}}}', "NaN"),
        ('{"sigma": -Infinity}', "Infinity"),
        ("[1]", "must hold a table"),
        ("{", "cannot be read|not a request"),
        ("[" * 100_000, "not a request"),
    ],
)
def test_a_file_that_json_lets_pass_is_refused_where_it_is_ambiguous(tmp_path, text, says):
    file = tmp_path / "request.json"
    file.write_text(text)
    with pytest.raises(DataError, match=says):
        read_spec_file(file)
    with pytest.raises(DataError, match="missing"):
        read_spec_file(tmp_path / "gone.json")


def test_a_request_that_was_read_comes_back_equal_from_its_complete_form(read, requests, tmp_path):
    from treadle.recipes.transfer_explain import spec_of

    for name in requests:
        spec = read(name)
        again = spec_of(to_mapping(spec), tmp_path)
        assert again == spec, name
        assert (again.given, again.id) == (spec.given, spec.id)


def test_what_is_not_said_takes_the_defaults_of_prompts(read):
    spec = read(EDGE)
    assert (spec.seed, spec.steps, spec.guidance, spec.sigma, spec.fps) == (1, 35, 5.0, 70.0, 24)
    assert (spec.frames, spec.size, spec.negative_from, spec.kinds) == (5, (64, 36), "default", ("edge",))
    assert spec.controls[0].strength == "medium"
    assert read({**EDGE, "edges": "high"}).controls[0].strength == "high"
    assert read({**EDGE, "negative": " fog "}).negative == "fog"
    assert read({**EDGE, "negative": ""}).negative_from == "spec"


def test_weights_are_read_in_all_their_forms(read):
    def weight(given):
        return read({"video": "long.mp4", "controls": {"edge": given}}).controls[0].weight

    assert weight("0.5") == weight(0.5)
    assert [weight("0s:0.2, 2s:0.8").at(frame) for frame in (0, 24, 48, 99)] == pytest.approx([0.2, 0.5, 0.8, 0.8])
    assert weight("10:1").constant == 1
    assert weight("adaptive") == weight({"weight": {"adaptive": 1.0}}) == Adaptive(1.0)
    mask = weight({"weight": {"mask": "left.png", "inside": "0:0 10:1"}})
    assert isinstance(mask, Mask)
    assert (mask.inside.at(5), mask.outside) == (0.5, 0.0)
    assert weight("left.png").inside.constant == 1
