"""Requests before the parser and validator of a real checkout of cosmos-transfer1.

    TREADLE_COSMOS_TRANSFER1=CHECKOUT pytest tests/unit/video/transfer/test_target_parser.py

With TREADLE_ACCEPT=1 too, what was accepted is stored in `accepted`, where the other tests find it.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from treadle.base.errors import UsageError
from treadle.video.transfer.backends import transfer1_checkpoints
from treadle.video.transfer.dialects.catalog import DIALECTS
from treadle.video.transfer.dialects.written import lay_down
from treadle.video.transfer.explain import course
from treadle.video.transfer.spec import KINDS
from treadle.video.transfer.weights import Mask, normalised

CHECKOUT = os.environ.get("TREADLE_COSMOS_TRANSFER1", "")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="TREADLE_COSMOS_TRANSFER1 names no checkout of cosmos-transfer1")


def _ask(arguments):
    pytest.importorskip("torch")
    script = Path(__file__).parent / "target_parser.py"
    done = subprocess.run(
        [sys.executable, script, CHECKOUT], input=json.dumps(arguments), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_request_passes_the_targets_own_parser_and_weighs_what_was_explained(
    read, sent, requests, batches, accepted, tmp_path
):
    dialect = DIALECTS.get("transfer1")
    specs = {name: read(name, negative=table.get("negative", "fog")) for name, table in requests.items()}
    writings = {name: dialect.write([spec], str(tmp_path / name)) for name, spec in specs.items()}
    batch = [read({"video": "short.mp4", **table}, negative="fog") for table in batches]
    writings["batch"] = dialect.write(batch, str(tmp_path / "batch"))
    for name, written in writings.items():
        lay_down(written, tmp_path / name)
    asked = [(name, run) for name, written in writings.items() for run in written.runs]
    for (name, run), answer in zip(asked, _ask([list(run.arguments) for _, run in asked]), strict=True):
        assert "refused" not in answer, f"{name}: {answer}"
        if name == "batch":
            assert [row["prompt"] for row in answer["batch"]] == [spec.text for spec in batch]
            continue
        spec, settings = specs[name], answer["settings"]
        told = (settings["prompt"], settings["num_steps"], settings["guidance"], settings["sigma_max"], settings["fps"])
        assert told == (spec.text, spec.steps, spec.guidance, spec.sigma, spec.fps)
        assert settings["negative_prompt"].strip() == spec.negative
        assert list(answer["controls"]) == list(spec.kinds)
        plan = dialect.plan(spec)
        clip = next(one for one in plan.clips if one.first == run.first)
        assert settings["seed"] == clip.seed
        ours = normalised(np.stack([_left(control, clip) for control in spec.controls]))
        for place, values in enumerate(answer["weights"]):
            theirs = np.array([row[0] for row in values]) if isinstance(values, list) else np.full(121, values)
            assert theirs[: clip.frames] == pytest.approx(ours[place], abs=0.005), f"{name}: weights"
    _store(accepted, read, (requests, batches), sent)


def _left(control, clip):
    """The weights in the upper left corner, which is white in all masks here."""
    assert not isinstance(control.weight, Mask) or control.weight.path.name in {"left.png", "moving"}
    return course(control, clip)


def test_what_its_validator_lets_through_is_refused_here(read, tmp_path):
    wrong = {
        "misspelled": {"input_video_path": "v.mp4", "edge": {"control_wieght": 0.2}, "nagative_prompt": "fog"},
        "nan": {"input_video_path": "v.mp4", "edge": {"control_weight": float("nan")}},
        "missing": {"input_video_path": "gone.mp4", "edge": {"control_weight": "gone.pt", "input_control": "gone.mp4"}},
    }
    paths = []
    for name, value in wrong.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(value))
    answers = _ask([["--controlnet_specs", str(path)] for path in paths])
    assert "refused" not in answers[0]
    assert answers[0]["controls"]["edge"]["control_weight"] == "0.5"
    assert "refused" not in answers[1]
    assert "No such file" in answers[2]["refused"]  # by the reader of weights, long after its validator
    for table in (
        {"video": "short.mp4", "controls": {"edge": {"wieght": 0.2}}, "nagative": "fog"},
        {"video": "short.mp4", "controls": {"edge": float("nan")}},
        {"video": "gone.mp4", "controls": {"edge": {"weight": "gone.pt", "map": "gone.mp4"}}},
    ):
        with pytest.raises(UsageError):
            read(table)
    path = tmp_path / "seed.json"
    path.write_text(json.dumps({"input_video_path": "v.mp4", "edge": {"control_weight": 1}, "seed": 1}))
    both = _ask([["--controlnet_specs", str(path), *words] for words in (["--seed=5"], ["--seed", "5"])])
    assert [one["settings"]["seed"] for one in both] == [1, 5]


def _store(accepted, read, both, sent):
    requests, batches = both
    if not os.environ.get("TREADLE_ACCEPT"):
        return
    head = subprocess.run(["git", "-C", CHECKOUT, "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = os.environ.get("TREADLE_COSMOS_COMMIT") or head.stdout.strip()
    accepted.mkdir(exist_ok=True)
    dialect = DIALECTS.get("transfer1")
    writings = {
        name: dialect.write([read(name, negative=table.get("negative", "fog"))], "/run")
        for name, table in requests.items()
    }
    writings["batch"] = dialect.write(
        [read({"video": "short.mp4", **table}, negative="fog") for table in batches], "/run"
    )
    for name, written in writings.items():
        value = {
            "accepted_by": f"cosmos-transfer1 {commit}",
            "arguments": [list(run.arguments) for run in written.runs],
            "documents": sent(written),
            "files": sorted(written.files),
        }
        (accepted / f"{name}.json").write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def test_the_checkpoints_that_are_asked_for_are_the_targets_own():
    names = runpy.run_path(str(Path(CHECKOUT) / "cosmos_transfer1" / "checkpoints.py"))
    known = {value for name, value in names.items() if "CHECKPOINT" in name}
    for kind in KINDS:
        for path in transfer1_checkpoints.needed(SimpleNamespace(distilled=False, kinds=(kind,))):
            assert path in known or path.rpartition("/")[0] in known, path
    (alone, *_) = transfer1_checkpoints.needed(SimpleNamespace(distilled=True, kinds=("edge",)))
    assert alone in known
    assert {path.rstrip("/") for path in transfer1_checkpoints.GUARDRAIL} <= known
