from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from treadle.base.errors import MissingExtraError, UsageError
from treadle.generation.engine import EngineModel, Rows, check_rows, open_engine
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = GPTConfig(layers=1, width=8, heads=1)


def model() -> EngineModel:
    return EngineModel("gpt", CONFIG, initial_weights(CONFIG, 9, 4, 0), 9, 4)


def test_rows_gather_in_order_with_the_indexes_of_the_wanted_ones() -> None:
    rows = Rows.of([(7, 0, 3, False), (8, 0, 4, True), (1, 2, 0, True)])
    assert rows.tokens.tolist() == [7, 8, 1]
    assert rows.slots.tolist() == [0, 0, 2]
    assert rows.positions.tolist() == [3, 4, 0]
    assert rows.wanted.tolist() == [1, 2]
    assert rows.tokens.dtype == rows.wanted.dtype == np.int32
    assert Rows.of([]).tokens.size == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((9, 0, 0, True), "outside the vocabulary"),
        ((-1, 0, 0, True), "outside the vocabulary"),
        ((0, 2, 0, True), "slot 2 does not exist"),
        ((0, -1, 0, True), "slot -1 does not exist"),
        ((0, 0, 4, True), "position 4 is outside the context of 4"),
        ((0, 0, 3, True), "after only 2 tokens"),
        ((0, 1, 1, True), "after only 0 tokens"),
    ],
)
def test_impossible_rows_are_refused(row: tuple[int, int, int, bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rows(Rows.of([row]), {0: 2}, 2, 4, 9)


def test_rows_may_follow_each_other_and_go_back() -> None:
    check_rows(Rows.of([(0, 0, 1, False), (0, 0, 2, False), (0, 0, 3, True), (1, 1, 0, True)]), {0: 2}, 2, 4, 9)


def test_unknown_engines_and_precisions_are_refused_with_what_is_known() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=r"Unknown engine `toch`. Did you mean `torch`"):
        open_engine(model(), "toch")
    with pytest.raises(UsageError, match="fp32, not in int8"):
        open_engine(model(), "torch", "int8")


def test_where_nothing_runs_the_message_says_how_to_add_it(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
from treadle.base.errors import MissingExtraError
from treadle.generation.engine import EngineModel, open_engine
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights
config = GPTConfig(layers=1, width=8, heads=1)
try:
    open_engine(EngineModel("gpt", config, initial_weights(config, 9, 4, 0), 9, 4), NAME)
except MissingExtraError as error:
    assert "pip install 'treadle[torch]'" in str(error), error
    assert (NAME == "auto") == str(error).startswith("No engine can run this model here."), error
else:
    raise SystemExit("no error")
"""
    for name in ("'torch'", "'auto'"):
        nothing = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CXX": "no-such-compiler"}
        subprocess.run([sys.executable, "-c", code.replace("NAME", name)], check=True, env=nothing)


def test_the_fastest_engine_needs_no_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None
from treadle.generation.engine import EngineModel, open_engine
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights
config = GPTConfig(layers=1, width=8, heads=1)
assert open_engine(EngineModel("gpt", config, initial_weights(config, 9, 4, 0), 9, 4)).name == "native"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_auto_takes_an_engine_that_runs_here() -> None:
    try:
        engine = open_engine(model())
    except MissingExtraError:
        pytest.skip("no engine is installed")
    assert engine.step(Rows.of([(0, 0, 0, True)])).shape == (1, 9)
    engine.close()
