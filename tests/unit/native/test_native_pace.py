from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from treadle.native import build


class Found(NamedTuple):
    over_best: float
    """Time of all steps over that of the best number of threads for each."""
    before: float
    """Share of steps with two threads: before the neighbour came, beside it, and after it."""
    beside: float
    after: float


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("pace") / "pace_steps"
    source = Path(__file__).with_name("pace_steps.cpp")
    command = [build.find_compiler(), "-O1", "-std=c++17", f"-I{build.SOURCES}", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


def paced(
    program: Path,
    *,
    alone: float,
    steps: int,
    rows: int = 1,
    first: float = 0,
    busy: tuple[int, int] = (10**6, 0),
    stall: int = -1,
) -> Found:
    arguments = (alone, steps, rows, first, *busy, stall)
    ran = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True)
    return Found(*map(float, ran.stdout.split()))


@pytest.mark.parametrize(("alone", "steps", "rows"), [(1e-4, 5000, 1), (1e-3, 1000, 8), (0.08, 30, 8), (0.2, 16, 64)])
def test_finding_out_costs_little_however_long_a_step_is(program: Path, alone: float, steps: int, rows: int) -> None:
    found = paced(program, alone=alone, steps=steps, rows=rows)
    assert found.over_best < 1.07
    assert found.before > 0.9


def test_a_first_step_that_takes_memory_says_nothing_about_threads(program: Path) -> None:
    assert paced(program, alone=0.08, steps=40, rows=32, first=1.2).before > 0.9


def test_one_stall_does_not_leave_one_thread_alone(program: Path) -> None:
    # A neighbour who leaves as he comes: `after` are the steps after the stall.
    for alone, before, after in ((2e-4, 30000, 300), (4e-3, 2000, 60), (8e-3, 700, 60)):
        found = paced(program, alone=alone, steps=before + after, busy=(before, before), stall=before)
        assert found.before > 0.9
        assert found.after > 0.75


@pytest.mark.parametrize(("alone", "steps"), [(1e-4, 20000), (2e-3, 3000), (0.08, 400)])
def test_a_busy_neighbour_leaves_one_thread_and_its_end_brings_both_back(
    program: Path, alone: float, steps: int
) -> None:
    found = paced(program, alone=alone, steps=3 * steps, rows=8, busy=(steps, 2 * steps))
    assert found.beside < 0.02
    assert found.after > 0.25
    assert found.over_best < 1.2
