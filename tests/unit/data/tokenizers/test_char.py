from __future__ import annotations

import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.tokenizer import UnknownCharactersError


def test_ids_follow_the_code_points_and_the_boundary_is_zero() -> None:
    tokenizer = CharTokenizer.train(["banana", "ä\n"])
    assert tokenizer.describe() == {"kind": "char", "characters": "\nabnä"}
    assert tokenizer.encode("\nabnä").tolist() == [1, 2, 3, 4, 5]
    assert (tokenizer.vocabulary_size, tokenizer.boundary) == (6, 0)


def test_the_order_of_the_texts_does_not_matter() -> None:
    assert CharTokenizer.train(["ab", "c"]).describe() == CharTokenizer.train(["c", "ba"]).describe()


def test_unknown_characters_are_named_with_counts_and_the_remedy() -> None:
    tokenizer = CharTokenizer("abc")
    text = "aéb\0é😀c\U0010ffff"
    assert tokenizer.unknown_characters(text) == {"\0": 1, "é": 2, "😀": 1, "\U0010ffff": 1}
    with pytest.raises(UnknownCharactersError) as error:
        tokenizer.encode(text)
    assert "'é' (U+00E9) x 2" in str(error.value)
    assert "U+0000 x 1" in str(error.value)
    assert "skip" in str(error.value)
    assert error.value.counts["é"] == 2


def test_many_unknown_characters_are_summed_up() -> None:
    with pytest.raises(UnknownCharactersError, match="and 14 more"):
        CharTokenizer("a").encode("bcdefghijklmnopqrstuvwxyzB")


def test_unknown_characters_can_be_left_out() -> None:
    tokenizer = CharTokenizer("abc")
    assert tokenizer.decode(tokenizer.encode("xaxbxc\U0010ffff", "skip")) == "abc"


def test_a_vocabulary_beyond_two_bytes_gets_wider_ids() -> None:
    characters = [chr(point) for point in range(0x10000, 0x10000 + 66_000)]
    tokenizer = CharTokenizer(characters)
    ids = tokenizer.encode("".join(characters))
    assert ids.dtype == np.uint32
    assert ids[-1] == 66_000
    assert tokenizer.decode(ids) == "".join(characters)


def test_no_text_gives_no_vocabulary() -> None:
    with pytest.raises(DataError, match="Feed some first"):
        CharTokenizer.train(["", ""])


def test_a_streaming_decoder_gives_each_character_at_once() -> None:
    tokenizer = CharTokenizer("ab")
    decoder = tokenizer.decoder()
    assert decoder.push([1]) == "a"
    assert decoder.push([0, 2]) == "b"
    assert decoder.finish() == ""


@pytest.mark.parametrize("characters", ["ba", "aa", 3])
def test_a_description_out_of_order_is_refused(characters: object) -> None:
    with pytest.raises(DataError):
        CharTokenizer.from_description({"kind": "char", "characters": characters})
