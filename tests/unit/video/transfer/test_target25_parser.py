"""Requests before the command line and the config classes of a real checkout of cosmos-transfer2.5.

    TREADLE_COSMOS_TRANSFER25=CHECKOUT pytest tests/unit/video/transfer/test_target25_parser.py

Nothing of the checkout is replaced. Its parser needs torch, pydantic, tyro and loguru; TREADLE_TARGET_PYTHON names a
Python that has them, where this one has not.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.base.errors import UsageError
from treadle.video.transfer.backends.backend import LaunchSettings, Places
from treadle.video.transfer.backends.transfer25_cli import BACKEND
from treadle.video.transfer.dialects.transfer25 import DIALECT

CHECKOUT = os.environ.get("TREADLE_COSMOS_TRANSFER25", "")
PYTHON = os.environ.get("TREADLE_TARGET_PYTHON", sys.executable)
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="TREADLE_COSMOS_TRANSFER25 names no checkout of cosmos-transfer2.5"
)

MASKED = {"edge": {"weight": "left.png"}, "depth": {"weight": 0.7, "map": "depth.mp4"}}
OWN = {
    "all-four": {
        "video": "short.mp4",
        "controls": {
            "edge": {"weight": 1, "strength": "very_low"},
            "vis": {"weight": 1, "strength": "very_high"},
            "depth": {"weight": 0.5, "map": "depth.mp4"},
            "seg": {"weight": 2, "subject": "car road"},
        },
    },
    "steps-between-clips": {"video": "long.mp4", "controls": {"edge": "92:0.2 93:0.8", "vis": 0.1}, "seed": 2025},
    "long": {"video": "long.mp4", "controls": {"edge": 0.6}, "overlap": 2, "guidance": 7, "steps": 4},
    "with-a-style": {"video": "short.mp4", "controls": {"edge": 0.6}, "style": "left.png", "sigma": 80, "overlap": 0},
    "masked": {"video": "short.mp4", "controls": MASKED},
}
"""Requests besides those of all dialects."""


def _ask(asked):
    script = Path(__file__).parent / "target25_parser.py"
    done = subprocess.run(
        [PYTHON, script, CHECKOUT], input=json.dumps(asked), capture_output=True, text=True, timeout=170
    )
    if "ModuleNotFoundError" in done.stderr and done.returncode:
        pytest.skip(f"{PYTHON} lacks what the target's parser needs: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _arguments(written, run):
    """What stands behind the program on the command line that a backend would start."""
    argv = BACKEND.argv(written, run, Places(run="/run"), LaunchSettings())
    return argv[argv.index(written.program[0]) + 1 :]


def test_every_request_passes_the_targets_own_command_line_and_classes(read, requests, batches, tmp_path):
    specs, refused = {}, {}
    for name, table in {**requests, **OWN}.items():
        specs[name] = [read(table, negative=table.get("negative", "fog"))]
    specs["batch"] = [read({"video": "short.mp4", **table}, negative="fog") for table in batches]
    asked = []
    for name, together in specs.items():
        try:
            written = DIALECT.write(together, str(tmp_path / name))
        except UsageError as error:
            refused[name] = str(error)
            continue
        for file, content in written.files.items():  # its classes look whether files are there, and not into them
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(content if isinstance(content, bytes) else b"")
        asked += [(name, run, _arguments(written, run)) for run in written.runs]
    assert set(refused) == {
        "zero-beside-a-map", "schedule-over-clips", "still-mask-over-clips", "driving", "enlarged", "distilled",
        "maps-alone",
    }, refused  # fmt: skip
    weights = {}
    for (name, run, arguments), answer in zip(asked, _ask([words for _, _, words in asked]), strict=True):
        assert "refused" not in answer, f"{name}: {answer['refused']}"
        assert len(answer["samples"]) == len(run.outputs)
        assert answer["setup"]["output_dir"] == arguments[arguments.index("-o") + 1]
        for spec, sample, output in zip(specs[name], answer["samples"], run.outputs, strict=True):
            assert output == f"outputs/{sample['name']}.mp4"
            told = sample["prompt"], sample["num_steps"], sample["guidance"], sample["num_conditional_frames"]
            assert told == (spec.text, spec.steps, spec.guidance, spec.overlap)
            assert sample["negative_prompt"].strip() == spec.negative
            assert sample["sigma_max"] == (None if spec.sigma >= 200 else str(spec.sigma))
            assert sample["max_frames"] == run.frames
            assert set(sample["weights"]) == set(spec.kinds)
            assert set(answer["hints"]) == set(spec.kinds)
            weights[name] = [float(weight) for weight in sample["weights"].values()]
            for kind in spec.kinds:
                assert sample["paths"][kind] is None or Path(sample["paths"][kind]).is_file()
    assert weights["all-four"] == pytest.approx([1 / 4.5, 1 / 4.5, 0.5 / 4.5, 2 / 4.5], abs=1e-5)
    assert weights["masked"] == [1.0, 0.7]  # where there is a mask, the target scales them itself, place by place


def test_what_its_classes_let_through_is_refused_here(read, tmp_path):
    (tmp_path / "v.mp4").touch()
    plain = {"name": "a", "prompt": "x", "video_path": str(tmp_path / "v.mp4")}
    wrong = {
        "misspelled": {**plain, "edge": {"control_wieght": 0.2}},
        "words-for-numbers": {**plain, "edge": {}, "sigma_max": "much"},
        "two-masks": {**plain, "edge": {"mask_path": str(tmp_path / "v.mp4"), "mask_prompt": "car"}},
        "empty-negative": {**plain, "edge": {}, "negative_prompt": ""},
        "strange-setting": {**plain, "edge": {}, "stepps": 3},
        "not-a-number": {**plain, "edge": {"control_weight": float("nan")}},
        "missing": {**plain, "edge": {"control_path": "gone.mp4"}},
    }
    asked = []
    for name, value in wrong.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
        asked.append(["-i", str(tmp_path / f"{name}.json"), "-o", str(tmp_path)])
    answers = dict(zip(wrong, _ask(asked), strict=True))
    through = {name for name, answer in answers.items() if "refused" not in answer}
    assert through == {"misspelled", "words-for-numbers", "two-masks", "empty-negative"}
    assert answers["misspelled"]["samples"][0]["weights"] == {"edge": "1.0"}
    for controls, more in (
        ({"edge": {"control_wieght": 0.2}}, {}),
        ({"edge": 1}, {"sigma": "much"}),
        ({"edge": {"weight": "left.png", "weight_subject": "car"}}, {}),
    ):
        with pytest.raises(UsageError):
            read({"video": "short.mp4", "controls": controls, **more})
