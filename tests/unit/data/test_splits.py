from __future__ import annotations

import pytest

from treadle.base.hashing import hash_bytes
from treadle.data.config import DataSettings
from treadle.data.splits import training_tokens

SETTINGS = DataSettings(sequence_length=50)
IDS = [hash_bytes(b"%d" % number) for number in range(2000)]


def test_a_document_of_twenty_windows_gives_its_last_tenth() -> None:
    assert {training_tokens(each, 1000, SETTINGS) for each in IDS} == {900}
    assert {training_tokens(each, 1_115_394, SETTINGS) for each in IDS} == {1_003_855}


def test_a_smaller_document_falls_on_one_side_by_its_hash() -> None:
    cuts = [training_tokens(each, 999, SETTINGS) for each in IDS]
    assert set(cuts) == {0, 999}
    assert cuts.count(0) / len(cuts) == pytest.approx(0.1, abs=0.02)
    assert cuts == [training_tokens(each, 999, SETTINGS) for each in IDS]


def test_the_side_does_not_depend_on_the_length() -> None:
    for each in IDS[:200]:
        assert (training_tokens(each, 10, SETTINGS) == 0) == (training_tokens(each, 900, SETTINGS) == 0)


@pytest.mark.parametrize("tokens", [1, 999, 1000, 10**6])
def test_nothing_need_be_held_out(tokens: int) -> None:
    settings = DataSettings(sequence_length=50, held_out=0)
    assert {training_tokens(each, tokens, settings) for each in IDS} == {tokens}


def test_the_share_is_a_setting() -> None:
    assert training_tokens(IDS[0], 10_000, DataSettings(sequence_length=50, held_out=0.25)) == 7500
