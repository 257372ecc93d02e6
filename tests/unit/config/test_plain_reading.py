"""What is read without Hydra is exactly what Hydra reads."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from treadle.config import hydra_reading, plain_reading
from treadle.config.compose import CONF, Sources, compose
from treadle.config.presets import options
from treadle.config.schema import GROUPS

if TYPE_CHECKING:
    from pathlib import Path

COMBINATIONS = [
    {group: name for group, name in zip(GROUPS, names, strict=True) if name is not None}
    for names in itertools.product(*([*options(CONF, group), None] for group in GROUPS))
]
CHOICES = [choices for choices in COMBINATIONS if len(choices) < 2] + random.Random(1).sample(COMBINATIONS, 40)
"""Each preset by itself, and forty of all combinations: Hydra takes a tenth of a second for each."""
VALUES = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text("0123456789.eE+-_", min_size=1, max_size=8),
    st.text("abeflnrstu-_01", min_size=1, max_size=8),
    st.sampled_from(
        ["true", "True", "null", "Null", "nan", "inf", "-inf", "1e5", "1_0", "007", "1.", ".5", "-0", "--"]
    ),
)


def test_presets_are_plain_and_ordered_as_hydra_orders_them() -> None:
    for choices in CHOICES:
        assert plain_reading.preset_order(CONF, choices) == hydra_reading.preset_order(CONF, choices)


@given(VALUES)
@example("1e-3")
@example("char")
@example("a--b")
def test_a_flag_that_is_plain_has_the_value_that_hydra_gives_it(value: str) -> None:
    flag = plain_reading.read_flag(f"training.batch_size={value}")
    if flag is not None:
        theirs = hydra_reading.read_flag(f"training.batch_size={value}")
        assert flag == theirs
        assert type(flag.value) is type(theirs.value)


@pytest.mark.parametrize("value", ["12", "-3", "0", "0.5", "1e-3", "3.0e4", "true", "null", "char", "nanogpt-cpu"])
def test_the_values_that_people_type_most_are_plain(value: str) -> None:
    assert plain_reading.read_flag(f"training.clip={value}") is not None


@pytest.mark.parametrize("text", ["+a=1", "a@b=1", "~a", "a", "a=", "a=[1,2]", "a='x'", "a=1,2", "a=x y", "a=${b}"])
def test_what_is_not_plain_is_left_to_hydra(text: str) -> None:
    assert plain_reading.read_flag(text) is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("size/odd.yaml", "defaults:\n  - /size: nano\ntraining:\n  batch_size: 2\n"),
        ("size/odd.yaml", "# @package training\nbatch_size: 2\n"),
        ("size/odd.yaml", "# A size.\n# @package _global_\ntraining:\n  batch_size: 2\n"),
        ("training/odd.yaml", "# @package _global_.training\nbatch_size: 2\n"),
    ],
)
def test_a_preset_that_is_not_plain_is_left_to_hydra(tmp_path: Path, file: str, text: str) -> None:
    conf = copy_of_presets(tmp_path)
    (conf / file).write_text(text)
    group = file.partition("/")[0]
    assert plain_reading.preset_order(conf, {group: "odd"}) is None
    assert hydra_reading.preset_order(conf, {group: "odd"})


def test_a_group_that_the_primary_file_does_not_name_is_left_to_hydra() -> None:
    assert plain_reading.preset_order(CONF, {"experiment": "nanogpt-cpu"}) is None


def test_usual_settings_are_composed_without_importing_hydra(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom treadle.config.compose import Sources, compose\n"
        "compose(Sources(size='nano', flags=['training.batch_size=4', 'data.tokenizer=char', 'training=adamw']))\n"
        "assert not any(name.startswith(('hydra', 'omegaconf', 'antlr4')) for name in sys.modules)\n"
        "compose(Sources(flags=['data.tokenizer=\"char\"']))\n"
        "assert 'hydra' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_with_and_without_hydra_the_same_settings_come_out() -> None:
    assert compose(Sources(flags=["size=tiny"])).values() == compose(Sources(flags=["size='tiny'"])).values()


def copy_of_presets(folder: Path) -> Path:
    for path in CONF.rglob("*.yaml"):
        target = folder / path.relative_to(CONF)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    return folder
