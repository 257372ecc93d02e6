from __future__ import annotations

import numpy as np
import pytest

from treadle.base.errors import UsageError, WeightsError
from treadle.models.catalog import FAMILIES
from treadle.models.family import Family
from treadle.models.matching import require_fit

EXPECTED = {"a.weight": (2, 3), "b.weight": (4,), "c.weight": ()}
FITTING = {"a.weight": np.zeros((2, 3)), "b.weight": np.zeros(4), "c.weight": np.zeros(())}


def test_the_catalogue_knows_gpt_and_refuses_what_it_does_not_know() -> None:
    family = FAMILIES.get("gpt")
    assert isinstance(family, Family)
    assert family.needs == "tokens"
    assert family.config_class()().name == family.name  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="Did you mean `gpt`"):
        FAMILIES.get("gtp")


@pytest.mark.parametrize("name", FAMILIES.names())
def test_every_family_builds_what_its_weight_list_says(name: str) -> None:
    pytest.importorskip("torch")
    family = FAMILIES.get(name)
    config = family.config_class()()
    shapes = family.weight_shapes(config, 20, 8)
    require_fit(family.initial_weights(config, 20, 8, 0), shapes)
    model = family.build_model(config, 20, 8)
    require_fit({key: value.numpy() for key, value in model.state_dict().items()}, shapes)


def test_weights_that_fit_are_accepted() -> None:
    require_fit(FITTING, EXPECTED)


def test_every_missing_unused_and_mismatched_weight_is_named() -> None:
    found = {"a.weight": np.zeros((3, 2)), "c.weight": np.zeros(1), "d.weight": np.zeros(1)}
    with pytest.raises(WeightsError) as error:
        require_fit(found, EXPECTED)
    message = str(error.value)
    assert "missing: b.weight" in message
    assert "unused: d.weight" in message
    assert "mismatched: a.weight is (3, 2) instead of (2, 3); mismatched: c.weight is (1) instead of ()" in message
