"""Who imports what, at run time: the command line starts without numpy, torch or pydantic."""

import json
import subprocess
import sys

import pytest

import treadle

HEAVY = ["torch", "numpy", "pydantic", "hydra", "omegaconf", "rich", "safetensors", "transformers", "pandas", "ray"]


def modules_after(code, cwd):
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=cwd, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def run(*arguments):
    return (
        "from treadle.cli.main import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


def test_help_imports_nothing_heavy(tmp_path):
    assert not modules_after(run("--help"), tmp_path) & set(HEAVY)


def test_the_help_of_a_light_verb_imports_nothing_heavy(tmp_path):
    assert not modules_after(run("train", "--help"), tmp_path) & set(HEAVY)


def test_list_imports_neither_torch_nor_numpy(tmp_path):
    treadle.Workspace.create(tmp_path).new("bard", size="nano")
    found = modules_after(run("list"), tmp_path)
    assert not found & {"torch", "numpy", "pydantic"}


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    assert not modules_after("import treadle", tmp_path) & set(HEAVY)


@pytest.mark.parametrize(
    "module",
    ["treadle.training.checkpoints", "treadle.recipes.train", "treadle.recipes.sample", "treadle.recipes.evaluate"],
)
def test_what_a_torch_free_installation_needs_does_not_import_torch(module, tmp_path):
    assert "torch" not in modules_after(f"import {module}", tmp_path)


def test_the_exported_names_are_these():
    assert treadle.__all__ == ["TreadleError", "Workspace", "__version__"]
    assert all(getattr(treadle, name) for name in treadle.__all__)
