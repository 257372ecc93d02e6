"""Our program for hosts with the real library diffusers: a tiny, untrained pipeline makes a video on the processor.

Runs where diffusers, transformers, torch and imageio-ffmpeg are installed, here or in the Python that
TREADLE_TARGET_PYTHON names. The guardrail, whose models nobody has at hand, is played by a package of that name, and so
is the one function of torchvision that the pipeline calls, where torchvision is missing.
"""

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from treadle.video.frames import FrameWriter, probe
from treadle.video.transfer.backends import diffusers_runner
from treadle.video.transfer.dialects.diffusers import DIALECT

PYTHON = os.environ.get("TREADLE_TARGET_PYTHON", sys.executable)
NEEDED = ("diffusers", "transformers", "torch", "accelerate", "imageio_ffmpeg")
FIND = f"import importlib.util as u; print(*[n for n in {NEEDED} if u.find_spec(n) is None])"
GUARDRAIL = """
import torch

class CosmosSafetyChecker(torch.nn.Module):
    dtype, device = torch.float32, torch.device("cpu")

    def check_text_safety(self, prompt):
        return "[unsafe]" not in prompt

    def check_video_safety(self, frames):
        import os
        return None if os.environ.get("REFUSE_VIDEOS") else frames
"""
STARTED = """
import importlib.util, runpy, sys, torch
from types import SimpleNamespace
if importlib.util.find_spec("torchvision") is None:
    def resize(mask, size, interpolation):
        return torch.nn.functional.interpolate(mask.float(), size=list(size), mode="nearest").to(mask.dtype)
    found = SimpleNamespace(functional=SimpleNamespace(resize=resize), InterpolationMode=SimpleNamespace(NEAREST=0))
    from diffusers.models.controlnets import controlnet_cosmos
    from diffusers.models.transformers import transformer_cosmos
    controlnet_cosmos.transforms = transformer_cosmos.transforms = found
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder of the pipeline, and where the guardrail's package lies."""
    lacks = subprocess.run([PYTHON, "-c", FIND], capture_output=True, text=True, check=True).stdout.strip()
    if lacks:
        pytest.skip(f"{PYTHON} has no {lacks.replace(' ', ', ')}")
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "cosmos_guardrail").mkdir()
    (folder / "cosmos_guardrail" / "__init__.py").write_text(GUARDRAIL)
    (folder / "cosmos_guardrail-0.1.dist-info").mkdir()
    (folder / "cosmos_guardrail-0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: cosmos_guardrail\nVersion: 0.1\n"
    )
    script = Path(__file__).with_name("tiny_diffusers.py")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([PYTHON, script, folder / "model"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def ask(tiny, read, tmp_path):
    """Runs a request of our dialect, made small enough; returns what was told and the video."""

    def asking(adjust=None, environment=(), **changes):
        with FrameWriter(tmp_path / "long.mp4", Fraction(24), quality="lossless") as writer:
            for number in range(17):
                writer.write(np.full((64, 64, 3), 60 + 8 * number, np.uint8))
        table = {"video": str(tmp_path / "long.mp4"), "controls": {"edge": {"weight": 0.7, "strength": "low"}}}
        spec = read({**table, "steps": 2, "guidance": 3, **changes})
        written = DIALECT.write([spec], str(tmp_path))
        asked = json.loads(written.files["call.json"])
        asked["call"] |= {"width": 32, "height": 32, "num_frames_per_chunk": 9}
        (tmp_path / "call.json").write_text(json.dumps(asked))
        (tmp_path / "inputs").mkdir(exist_ok=True)
        written.files["inputs/edge.mp4"].write(tmp_path / "inputs" / "edge.mp4")
        if adjust is not None:
            (tmp_path / "adjust.json").write_text(json.dumps(adjust))
        runner = shutil.copy(diffusers_runner.__file__, tmp_path)  # on a host, no module of ours lies beside it
        command = [PYTHON, "-c", STARTED, runner, tmp_path / "call.json", tmp_path / "outputs", tiny / "model"]
        variables = {**os.environ, "PYTHONPATH": str(tiny), **dict(environment)}
        done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=170)
        lines = [line.removeprefix("@treadle ") for line in done.stdout.splitlines() if line.startswith("@treadle ")]
        video = tmp_path / "outputs" / "output.mp4"
        told = [json.loads(line) for line in lines]
        assert (done.returncode == 0) == video.exists(), done.stderr
        assert video.exists() or (told[-1:] and told[-1]["type"] == "blocked"), done.stderr
        return told, video

    return asking


def test_a_request_of_17_frames_in_pieces_of_9_becomes_a_video_with_steps_and_pictures(ask, tmp_path):
    told, video = ask(adjust={"guidance": 5})
    shown = probe(video)
    assert (shown.frames, shown.width, shown.height, shown.fps) == (17, 32, 32, 24.0)
    steps = [(event["clip"], event["step"]) for event in told if event["type"] == "step"]
    assert steps == [(0, 1), (0, 2), (1, 1), (1, 2)]
    pictures = [tmp_path / event["file"] for event in told if event["type"] == "preview"]
    assert len(pictures) == 4
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert next(event["type"] for event in told if event["type"] in {"adjusted", "item"}) == "adjusted"


def test_what_the_guardrail_refuses_is_told_whether_it_is_the_text_or_the_video(ask):
    told, _ = ask(text="A street [unsafe], long enough to be called a description of a scene for a model.")
    assert told[-1] == {"type": "blocked", "item": 0, "what": "prompt"}
    told, _ = ask(environment={"REFUSE_VIDEOS": "1"})
    assert told[-1] == {"type": "blocked", "item": 0, "what": "video"}
