from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.generation.stops import StopFilter

if TYPE_CHECKING:
    from collections.abc import Iterable


def streamed(stops: list[str], pieces: Iterable[str]) -> tuple[list[str], bool]:
    stop_filter = StopFilter(stops)
    out = [stop_filter.push(piece) for piece in pieces]
    return [*out, stop_filter.finish()], stop_filter.stopped


def test_without_stops_everything_passes_at_once() -> None:
    assert streamed([], ["a", "b"]) == (["a", "b", ""], False)


def test_text_before_a_stop_across_pieces_is_kept_and_nothing_leaks() -> None:
    assert streamed(["END"], ["one E", "N", "D two", "more"]) == (["one ", "", "", "", ""], True)


def test_a_stop_that_does_not_come_is_given_back() -> None:
    assert streamed(["END"], ["E", "N", "ter E", "N"]) == (["", "", "ENter ", "", "EN"], False)


def test_a_stop_that_begins_inside_a_false_start_is_found() -> None:
    assert streamed(["aab"], ["a", "a", "a", "b"]) == (["", "", "a", "", ""], True)


@pytest.mark.parametrize("pieces", [["xabcx"], list("xabcx"), ["xab", "cx"]])
def test_the_stop_that_is_complete_first_counts(pieces: list[str]) -> None:
    assert "".join(streamed(["abc", "b"], pieces)[0]) == "xa"
    assert "".join(streamed(["abc", "c"], pieces)[0]) == "x"


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.text("abc", max_size=4), max_size=8),
)
def test_the_cutting_of_the_text_makes_no_difference(stops: list[str], pieces: list[str]) -> None:
    whole = "".join(pieces)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    expected = whole[: min(ends)[1]] if ends else whole
    for cut in (pieces, list(whole), [whole]):
        out, stopped = streamed(stops, cut)
        assert "".join(out) == expected
        assert stopped == bool(ends)
