from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from treadle.generation.config import GenerationSettings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tokens", 0),
        ("tokens", -1),
        ("tokens", 1.5),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repetition_penalty", 0),
        ("frequency_penalty", 3),
        ("presence_penalty", -3),
        ("seed", -1),
        ("seed", 2**63),
        ("stop", ("",)),
        ("stop", "END"),
        ("temprature", 1),
    ],
)
def test_impossible_values_are_refused_and_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        GenerationSettings(**{field: value})


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in GenerationSettings.model_fields.values())


def test_the_settings_need_neither_torch_nor_numpy() -> None:
    code = "import sys, treadle.generation.config; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
