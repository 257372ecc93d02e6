from __future__ import annotations

import pytest
from pydantic import ValidationError

from treadle.data.config import DataSettings


def test_the_defaults_hold_out_a_tenth() -> None:
    settings = DataSettings()
    assert (settings.held_out, settings.tokenizer, settings.unknown) == (0.1, "auto", "error")


def test_an_unknown_tokenizer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match=r"Did you mean `bytes`.*Known: auto, bpe, bytes, char, unigram"):
        DataSettings(tokenizer="byte")


@pytest.mark.parametrize("good", ["auto", "bytes", "bpe", "bpe:512", "unigram:4000", "/a/b/tokenizer.json", "my.json"])
def test_a_tokenizer_is_chosen_by_kind_size_or_file(good: str) -> None:
    assert DataSettings(tokenizer=good).tokenizer == good


@pytest.mark.parametrize(
    "wrong", ["bpe:", "bpe:100", "bpe:x", "bpe:9999999", "char:5", "bytes:", "huggingface", "", "bpe:-5"]
)
def test_a_size_that_makes_no_sense_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"tokenizer|vocabulary"):
        DataSettings(tokenizer=wrong)


@pytest.mark.parametrize("wrong", [{"held_out": 1.0}, {"held_out": -0.1}, {"sequence_length": 1}, {"unknown": "drop"}])
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate(wrong)


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in DataSettings.model_fields.values())
