"""The core installation, from a built wheel in an empty environment: no torch, and the whole journey works."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_IN_THE_CORE = ["torch", "transformers", "pandas", "ray", "tensorboardX", "typer", "tokenizers", "sentencepiece",
                   "safetensors", "asyncssh", "onnxruntime", "cv2", "av"]  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    wheels = folder / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT]
    built = subprocess.run(build, capture_output=True, text=True, env={**os.environ, "TREADLE_BUILD_NATIVE": "1"})
    if built.returncode:
        pytest.skip(f"the wheel cannot be built here: {built.stderr[-300:]}")
    venv.create(folder / "venv")  # without a pip of its own, which takes seconds: ours installs there
    (wheel,) = wheels.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "venv/bin/python",
        "install",
        "--quiet",
        "--no-compile",
    ]
    done = subprocess.run([*install, "--constraint", ROOT / "constraints.txt", wheel], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the packages cannot be installed here: {done.stderr[-300:]}")
    return folder


def test_the_core_installation_has_none_of_the_large_packages(bare):
    script = f"import importlib.util as u; print([n for n in {NOT_IN_THE_CORE!r} if u.find_spec(n)])"
    done = subprocess.run([bare / "venv/bin/python", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_installed_core_is_small(bare):
    total = sum(path.stat().st_size for path in (bare / "venv/lib").rglob("*") if path.is_file())
    assert total < 200e6


def treadle(bare, *arguments, code=0):
    no_compiler = {**os.environ, "CXX": "/nowhere/g++", "XDG_CACHE_HOME": str(bare / "cache")}
    command = [bare / "venv/bin/treadle", *map(str, arguments)]
    done = subprocess.run(command, cwd=bare, capture_output=True, text=True, timeout=240, env=no_compiler)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_the_journey_works_without_torch_and_without_a_compiler(bare, text):
    lab = ("--workspace", bare / "lab")
    treadle(bare, "init", bare / "lab")
    treadle(bare, "new", "bard", "--size", "nano", "family.width=32", "family.heads=2", *lab)
    treadle(bare, "feed", "bard", text, *lab)
    treadle(bare, "train", "bard", "--steps", 10, "training.sample_every=0", *lab)
    sample = json.loads(treadle(bare, "sample", "bard", "--tokens", 20, "--json", *lab).stdout)
    assert len(sample["ids"]) <= 20
    assert sample["engine"] == "native"


def test_the_torch_learner_says_how_to_get_it(bare):
    lab = ("--workspace", bare / "lab")
    refused = treadle(bare, "train", "bard", "--steps", 20, "training.learner=torch", *lab, code=1)
    assert "treadle[torch]" in refused.stderr
