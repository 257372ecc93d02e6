from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.base.errors import SettingsError
from treadle.config.compose import Sources, compose
from treadle.config.settings import Settings
from treadle.config.tree import Origin


def test_stored_settings_come_back_equal() -> None:
    flags = ["experiment=nanogpt-cpu", "generation.stop=[a,'b c']", "training.clip=0.3"]
    settings = compose(Sources(flags=flags, values={"generation.seed": 2**63 - 1}))
    again = Settings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings
    assert again.origins["training.clip"] == Origin("command line")
    assert again.origins["data.tokenizer"].file == "conf/experiment/nanogpt-cpu.yaml"
    assert again.size == "nano"


@given(st.floats(min_value=5e-324, max_value=1.7e308, exclude_min=True))
def test_every_number_survives_storing_bit_for_bit(rate: float) -> None:
    stored = _stored()
    stored["training"]["clip"] = rate
    assert Settings.from_dict(json.loads(json.dumps(stored))).training.clip == rate


def test_stored_settings_with_unknown_keys_or_sections_are_refused_by_name() -> None:
    stored = _stored()
    stored["training"]["bach_size"] = 3
    with pytest.raises(SettingsError, match=r"Unknown setting `training.bach_size` in runs/1/spec.yaml"):
        Settings.from_dict(stored, "runs/1/spec.yaml")
    stored = _stored()
    del stored["data"]
    with pytest.raises(SettingsError, match=r"the stored settings does not hold complete settings .*: data"):
        Settings.from_dict(stored)


def test_a_key_that_is_newer_than_the_stored_settings_has_its_default() -> None:
    stored = _stored()
    del stored["training"]["clip"], stored["origins"]["training.clip"]
    again = Settings.from_dict(stored)
    assert (again.training.clip, again.origins["training.clip"]) == (1.0, Origin("built-in"))


def test_without_a_chosen_size_there_is_no_size() -> None:
    stored = _stored()
    stored["choices"] = {}
    assert Settings.from_dict(stored).size is None


def _stored() -> dict[str, dict[str, object]]:
    stored: dict[str, dict[str, object]] = json.loads(_TEXT)
    return stored


_TEXT = json.dumps(compose(Sources()).to_dict())
