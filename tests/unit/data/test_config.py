from __future__ import annotations

import pytest
from pydantic import ValidationError

from treadle.data.config import DataSettings


def test_the_defaults_hold_out_a_tenth() -> None:
    settings = DataSettings()
    assert (settings.held_out, settings.tokenizer, settings.unknown) == (0.1, "bytes", "error")


def test_an_unknown_tokenizer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match=r"Did you mean `bytes`.*Known: bytes, char"):
        DataSettings(tokenizer="byte")


@pytest.mark.parametrize("wrong", [{"held_out": 1.0}, {"held_out": -0.1}, {"sequence_length": 1}, {"unknown": "drop"}])
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate(wrong)


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in DataSettings.model_fields.values())
