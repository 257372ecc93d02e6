"""How many tokens a draft model is let guess, on a clock of our own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from treadle.native import build


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ahead") / "ahead_steps"
    source = Path(__file__).with_name("ahead_steps.cpp")
    command = [build.find_compiler(), "-O1", "-std=c++17", f"-I{build.SOURCES}", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.mark.parametrize(
    ("right", "row_cost", "guess_cost", "best"),
    [
        (0.9, 0.05, 0.03, 7),
        (0.7, 0.1, 0.05, 3),
        (0.4, 0.1, 0.06, 1),
        (0.1, 0.2, 0.05, 0),  # guesses that do not pay
        (0.8, 1.0, 0.1, 0),  # steps that are bound by computing, as with many texts
    ],
)
def test_the_number_of_guesses_that_pays_most_is_found_and_finding_out_costs_little(
    program: Path, right: float, row_cost: float, guess_cost: float, best: int
) -> None:
    arguments = (4000, right, row_cost, guess_cost)
    ran = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True)
    over_none, over_best, used = map(float, ran.stdout.split())
    assert used == best
    assert over_best > 0.93
    assert over_none > 0.97
