from __future__ import annotations

import pytest

from treadle.base.hashing import hash_bytes
from treadle.data.config import DataSettings
from treadle.data.document import PIECE, Document
from treadle.data.splits import sides, training_bytes

SETTINGS = DataSettings(sequence_length=50)
IDS = [hash_bytes(b"%d" % number) for number in range(2000)]


def test_a_document_of_twenty_windows_gives_its_last_tenth() -> None:
    assert {training_bytes(each, 1000, SETTINGS) for each in IDS} == {900}
    assert {training_bytes(each, 1_115_394, SETTINGS) for each in IDS} == {1_003_855}


def test_a_smaller_document_falls_on_one_side_by_its_hash() -> None:
    cuts = [training_bytes(each, 999, SETTINGS) for each in IDS]
    assert set(cuts) == {0, 999}
    assert cuts.count(0) / len(cuts) == pytest.approx(0.1, abs=0.02)
    assert cuts == [training_bytes(each, 999, SETTINGS) for each in IDS]


def test_the_side_does_not_depend_on_the_length() -> None:
    for each in IDS[:200]:
        assert (training_bytes(each, 10, SETTINGS) == 0) == (training_bytes(each, 900, SETTINGS) == 0)


@pytest.mark.parametrize("size", [1, 999, 1000, 10**6])
def test_nothing_need_be_held_out(size: int) -> None:
    settings = DataSettings(sequence_length=50, held_out=0)
    assert {training_bytes(each, size, settings) for each in IDS} == {size}


def test_the_share_is_a_setting() -> None:
    assert training_bytes(IDS[0], 10_000, DataSettings(sequence_length=50, held_out=0.25)) == 7500


@pytest.mark.parametrize("text", ["a" * 1000, "ä" * 500, "€" * 400, "x" + "😀" * 300, "ab€" * PIECE])
def test_the_sides_are_the_text_and_no_character_is_cut(text: str) -> None:
    parts = list(sides(Document.from_text(text, "x"), SETTINGS))
    assert "".join(piece for piece, _ in parts) == text
    assert [held for _, held in parts] == sorted(held for _, held in parts)
    assert all(piece for piece, _ in parts)
    trained = sum(len(piece.encode()) for piece, held in parts if not held)
    wanted = training_bytes(Document.from_text(text, "x").id, len(text.encode()), SETTINGS)
    assert wanted - 3 <= trained <= wanted


def test_a_small_document_is_whole_on_its_side() -> None:
    found = [list(sides(Document.from_text(f"text {number}", "x"), SETTINGS)) for number in range(100)]
    assert {len(parts) for parts in found} == {1}
    assert {held for [(_, held)] in found} == {True, False}
