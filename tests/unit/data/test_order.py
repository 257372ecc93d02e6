from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.data.order import Permutation, seeded_number


@settings(deadline=None, max_examples=60)
@given(size=st.integers(1, 3000), key=st.text(max_size=5))
def test_every_number_comes_once_and_the_inverse_finds_its_place(size: int, key: str) -> None:
    order = Permutation(size, key)
    things = order.forward(np.arange(size))
    assert sorted(things.tolist()) == list(range(size))
    assert order.inverse(things).tolist() == list(range(size))


def test_places_can_be_asked_for_in_any_portion() -> None:
    order = Permutation(1000, "k")
    whole = order.forward(np.arange(1000))
    assert order.forward(np.array([7, 999, 7])).tolist() == whole[[7, 999, 7]].tolist()


def test_keys_give_orders_that_have_nothing_in_common() -> None:
    one, two = (Permutation(10_000, key).forward(np.arange(10_000)) for key in ("epoch 0", "epoch 1"))
    assert (one == two).mean() < 0.002
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05
    assert abs(np.corrcoef(one, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.05


def test_the_order_is_the_same_on_every_machine_and_version() -> None:
    """A stored position means what it meant: changing these numbers breaks every checkpoint."""
    assert Permutation(10, "treadle").forward(np.arange(10)).tolist() == [0, 1, 7, 4, 6, 5, 9, 8, 3, 2]
    assert Permutation(10**12, "treadle").forward(np.arange(3)).tolist() == [737095302523, 203495427309, 325514683347]
    assert [seeded_number(1000, f"treadle {number}") for number in range(3)] == [779, 151, 757]


def test_numbers_below_one_are_zero() -> None:
    assert seeded_number(1, "any") == 0


@pytest.mark.parametrize("size", [2, 3, 5])
def test_small_orders_are_reached_evenly(size: int) -> None:
    first = [int(Permutation(size, f"{key}").forward(np.array([0]))[0]) for key in range(600)]
    assert np.bincount(first, minlength=size).min() > 600 / size * 0.75
