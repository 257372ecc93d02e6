"""Biases as people write them."""

from __future__ import annotations

import pytest

from treadle.base.errors import UsageError
from treadle.data.tokenizers.char import CharTokenizer
from treadle.generation.token_bias import parse_bias

TOKENIZER = CharTokenizer(["ab=#"])  # ids 1 to 4 in code-point order: # = a b


def test_a_bias_is_a_text_or_an_id_with_a_number_and_the_last_one_counts() -> None:
    assert parse_bias([], TOKENIZER) == {}
    assert parse_bias(["a=-5", "b=2.5", "#0=1e1", "a=.5"], TOKENIZER) == {3: 0.5, 4: 2.5, 0: 10.0}


def test_the_last_equals_sign_separates_and_a_hash_alone_is_a_text() -> None:
    assert parse_bias(["==1"], TOKENIZER) == {2: 1.0}
    assert parse_bias(["#=1"], TOKENIZER) == {1: 1.0}


@pytest.mark.parametrize("text", ["", "a", "a=", "=1", "a=x", "a=nan", "a=inf", "a=-inf", "#1"])
def test_what_is_no_bias_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no bias of a token\. Write TOKEN=VALUE, such as e=-5"):
        parse_bias([text], TOKENIZER)


def test_ids_beyond_the_vocabulary_are_refused_with_the_last_one() -> None:
    assert parse_bias(["#4=1"], TOKENIZER) == {4: 1.0}
    with pytest.raises(UsageError, match="there is no token 5; ids of this model go from 0 to 4"):
        parse_bias(["#5=1"], TOKENIZER)


@pytest.mark.parametrize(("text", "words"), [("ab=1", "'ab' is 2 tokens of this model, not one"), ("é=1", "lacks")])
def test_a_text_that_is_not_one_token_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_bias([text], TOKENIZER)
