"""What the backend local-tiny is told, and what it makes of its program's lines."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import UsageError
from treadle.base.telling import MARK
from treadle.video.transfer.backends.backend import Ended, LaunchSettings, Places
from treadle.video.transfer.backends.local_tiny import BACKEND, ERROR
from treadle.video.transfer.dialects.local_tiny import DIALECT, LocalTiny, usual
from treadle.video.transfer.dialects.written import lay_down
from treadle.video.transfer.spec import Control, Material, TransferSpec
from treadle.video.transfer.weights import Keyframe, Mask, Schedule, constant

if TYPE_CHECKING:
    from collections.abc import Mapping

VIDEO = Material(Path("/videos/walk.mp4"), 48, 32, 12, 8.0)
EDGE = Control("edge", constant(0.8), None, "medium")


def spec(**changes: Any) -> TransferSpec:
    facts: dict[str, Any] = {
        "name": "walk",
        "text": "a red circle on black",
        "negative": "",
        "negative_from": "default",
        "video": VIDEO,
        "frames": 12,
        "controls": (EDGE,),
        "style": None,
        "seed": 1,
        "steps": 8,
        "guidance": 2.0,
        "sigma": 70.0,
        "fps": 8,
    }
    return TransferSpec(**{**facts, **changes})


def told(one: TransferSpec) -> Mapping[str, Any]:
    content = DIALECT.write([one], "/run").files["requests.json"]
    assert isinstance(content, bytes)
    (item,) = json.loads(content)
    return dict(item)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"text": "a blue square"}, "text"),
        ({"negative": "green circle"}, "negative"),
        ({"video": dataclasses.replace(VIDEO, path=Path("/videos/run.mov"))}, "video"),
        ({"video": dataclasses.replace(VIDEO, width=64)}, "size"),
        ({"frames": 9}, "frames"),
        ({"seed": 2}, "seed"),
        ({"steps": 9}, "steps"),
        ({"guidance": 1.5}, "guidance"),
        ({"sigma": 2.0}, "sigma"),
        ({"fps": 24}, "fps"),
        ({"overlap": 2}, "overlap"),
        ({"controls": (dataclasses.replace(EDGE, strength="low"),)}, "controls"),
        ({"controls": (dataclasses.replace(EDGE, weight=constant(0.2)),)}, "controls"),
        ({"controls": (dataclasses.replace(EDGE, map=VIDEO, strength=None),)}, "controls"),
        ({"controls": (EDGE, Control("vis", constant(0.2), None, "high"))}, "controls"),
    ],
    ids=str,
)
def test_each_option_changes_what_is_told(changes: dict[str, Any], key: str) -> None:
    assert told(spec(**changes))[key] != told(spec())[key]


def test_a_weight_that_changes_is_told_frame_by_frame_and_a_mask_place_by_place(tmp_path: Path) -> None:
    rising = Schedule((Keyframe(0, 0.0), Keyframe(11, 1.1)))
    (control,) = told(spec(controls=(dataclasses.replace(EDGE, weight=rising),)))["controls"]
    assert control["weights"] == pytest.approx([number / 10 for number in range(12)])
    cv2 = pytest.importorskip("cv2")
    mask = np.zeros((32, 48), np.uint8)
    mask[:, 24:] = 255
    assert cv2.imwrite(str(tmp_path / "right.png"), mask)
    masked = dataclasses.replace(EDGE, weight=Mask(tmp_path / "right.png", constant(0.9), 0.1))
    written = DIALECT.write([spec(controls=(masked,))], "/run")
    files = dict(written.files)
    del files["inputs/0-video.mp4"]  # a file of others
    placed = lay_down(dataclasses.replace(written, files=files), tmp_path)
    values = np.load(placed["inputs/0-edge-weights.npy"])
    assert values.shape == (12, 43, 64)
    assert (values[5, 3, 3], values[5, 3, 60]) == (pytest.approx(0.1), pytest.approx(0.9))


def test_what_the_model_cannot_do_is_said_before_it_runs() -> None:
    with pytest.raises(UsageError, match="know edge and vis, not depth"):
        DIALECT.write([spec(controls=(Control("depth", constant(1.0), VIDEO),))], "/run")
    with pytest.raises(UsageError, match="no video to make it from"):
        DIALECT.write([spec(video=None, controls=(EDGE, Control("vis", constant(0.5), VIDEO)))], "/run")
    unsaid = DIALECT.write([spec(style=Path("look.png"), distilled=True)], "/run").unsaid
    assert [one.partition(":")[0] for one in unsaid] == ["style", "distilled"]
    (remark,) = DIALECT.write([spec(guidance=5.0), spec()], "/run").remarks
    assert remark.startswith("guidance=5 is for large models")
    assert DIALECT.write([spec()], "/run").remarks == ()


def test_clips_overlap_and_each_has_a_seed_of_its_own() -> None:
    plan = DIALECT.plan(spec(overlap=2, seed=7))
    assert [(clip.first, clip.seed) for clip in plan.clips] == [(0, 7), (6, 8)]


def test_clips_are_those_of_the_model_and_settings_those_that_suit_it() -> None:
    plan = LocalTiny(4).plan(spec(overlap=2))
    assert (plan.length, [clip.first for clip in plan.clips]) == (4, [0, 2, 4, 6, 8])
    with pytest.raises(UsageError, match="draws 4 frames at a time; the overlap can be at most 2"):
        LocalTiny(4).write([spec(overlap=3)], "/run")
    assert DIALECT.write([spec(overlap=3)], "/run").runs
    suited = usual(spec(guidance=5.0, steps=35))
    assert (suited.guidance, suited.steps) == (1.5, 12)
    assert usual(spec(guidance=5.0, given=("guidance",))).guidance == 5.0


def test_a_batch_is_one_start_with_a_video_for_each_request() -> None:
    assert DIALECT.shared(spec()) == DIALECT.shared(spec(seed=9, fps=3, steps=4))
    written = BACKEND.write([spec(), spec(seed=2)], "/run", LaunchSettings())
    (run,) = written.runs
    assert run.outputs == ("outputs/0.mp4", "outputs/1.mp4")
    argv = BACKEND.argv(written, run, Places("/run", workspace="/lab"), LaunchSettings(model="mover"))
    assert argv[1:] == [
        *("-m", "treadle.recipes.local_tiny", "/run/requests.json", "/run/outputs"),
        *("--workspace", "/lab", "--model", "mover"),
    ]


def test_lines_become_events_whatever_they_hold() -> None:
    event = BACKEND.event(MARK + json.dumps({"type": "step", "step": 3, "total": 8, "item": 1}))
    assert event is not None
    assert (event.type, dict(event.data)) == ("step", {"step": 3, "total": 8, "item": 1})
    for line in ("", "step 3", MARK, f"{MARK}[1]", f'{MARK}{{"type": "boom"}}', MARK + "[" * 100_000):
        assert BACKEND.event(line) is None


@pytest.mark.parametrize(
    ("code", "log", "missing", "ending", "said"),
    [
        (0, "", [], "done", ""),
        (1, f"loading\n{ERROR}There is no model.\n", [0], "failed", "There is no model."),
        (0, "", [1], "failed", "its log is empty"),
        (None, "", [0], "unknown", "no exit code"),
        (137, "", [0], "failed", "memory"),
    ],
)
def test_an_end_is_told_by_code_log_and_videos(
    code: int | None, log: str, missing: list[int], ending: str, said: str
) -> None:
    outcome = BACKEND.outcome(Ended(code, log, missing))
    assert outcome.ending == ending
    assert said in outcome.reason
