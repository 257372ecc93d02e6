"""What a command says when it fails through no fault of its own words."""

import re
import sys
from pathlib import Path

import pytest

from treadle.cli.failures import defect, with_own_pip

MISSING = "Videos need an optional part: pip install 'treadle[video]'."


def test_the_pip_of_this_installation_is_named_unless_it_is_the_one_that_would_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = with_own_pip(MISSING)
    assert said == f"Videos need an optional part: {sys.executable} -m pip install 'treadle[video]'."
    active = tmp_path / "bin"
    active.mkdir()
    for name in ("pip", "python"):
        (active / name).write_text("#!/bin/sh\n")
        (active / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(active))
    assert with_own_pip(MISSING) != MISSING, "the pip of another environment is active"
    monkeypatch.setattr(sys, "executable", str(active / "python"))
    assert with_own_pip(MISSING) == MISSING


def test_the_traceback_of_a_defect_is_kept_and_its_place_named():
    with pytest.raises(KeyError) as caught:
        {}["eta_seconds"]
    said = defect(caught.value)
    assert said.startswith("Treadle has a defect: KeyError: 'eta_seconds'. The traceback is in ")
    path = Path(re.search(r"is in (\S+)\. ", said)[1])
    assert "KeyError: 'eta_seconds'" in path.read_text()
    path.unlink()
