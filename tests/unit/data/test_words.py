from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.data.bundled.texts import bundled_text
from treadle.data.words import LONGEST, real_word_share, words_of


def test_words_are_letters_in_lower_case_of_three_and_more() -> None:
    assert words_of(["The King's 3 co-operating\tDUKES, a to ÉTÉ!"]) == {"the", "kings", "cooperating", "dukes", "été"}


@settings(deadline=None, max_examples=100)
@given(text=st.text(alphabet="abcé '\n.", max_size=60), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_words_across_pieces_are_whole(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[first:last] for first, last in itertools.pairwise(edges)]
    assert words_of(pieces) == words_of([text])


def test_a_text_without_spaces_is_read_in_bounded_memory() -> None:
    assert all(len(word) <= 2 * LONGEST for word in words_of(["x" * LONGEST] * 50))


def test_the_share_counts_what_is_known() -> None:
    known = words_of(["speak to the king"])
    assert real_word_share("The king, speaks! SPEAK xq to", known) == 0.75
    assert real_word_share("", known) == real_word_share("a 12 !", known) == 0.0


def test_shakespeare_is_nearly_all_words_and_noise_is_not() -> None:
    text = bundled_text("shakespeare").read_text()
    known = words_of([text[:1_000_000]])
    assert real_word_share(text[1_000_000:], known) > 0.9
    noise = "".join(chr(97 + (n * n * 31 + n * 7) % 26) if n % 6 else " " for n in range(5000))
    assert real_word_share(noise, known) < 0.1


@pytest.mark.parametrize("texts", [[], [""], ["", " "]])
def test_no_text_has_no_words(texts: list[str]) -> None:
    assert words_of(texts) == frozenset()
