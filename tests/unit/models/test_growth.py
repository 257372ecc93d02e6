from __future__ import annotations

import pytest

from treadle.base.errors import UsageError
from treadle.models.growth import places_of_old_layers


def test_new_layers_are_spread_among_the_old_ones_or_come_after_them() -> None:
    assert places_of_old_layers(6, 8, "spread") == [0, 1, 2, 4, 5, 6]
    assert places_of_old_layers(2, 6, "spread") == [0, 3]
    assert places_of_old_layers(6, 8, "end") == [0, 1, 2, 3, 4, 5]
    for before in range(1, 9):
        for after in range(before, 20):
            places = places_of_old_layers(before, after, "spread")
            assert sorted(set(places)) == places
            assert places[-1] < after


def test_fewer_layers_are_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"treadle new NAME family.layers=2"):
        places_of_old_layers(4, 2, "spread")
