"""More layers for a model that has learned: new ones begin as the identity, so that it computes what it did before.

Function-preserving growth goes back to Net2Net (Chen et al. 2016); here it needs no copied or averaged weights, since
every family starts a layer as the identity: the last matrix of each residual branch is zero (each family's
`initialise.py`). That matrix receives gradient from the first step, the others as soon as it has moved.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import numpy as np

from treadle.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.float32]]

Placing = Literal["spread", "end"]
"""Where new layers go: evenly among the old ones, or after the last of them."""

_LAYER = re.compile(r"layers\.(\d+)\.")


def places_of_old_layers(before: int, after: int, placing: Placing) -> list[int]:
    """Where each of the `before` layers stands among the `after`, which are more.

    Spread, the new ones follow the old ones as evenly as they can, the last one included.
    """
    if after < before:
        raise UsageError(
            f"A model with weights cannot go from {before} layers to {after}: what the others have learned would be "
            f"lost. Make a smaller one: treadle new NAME family.layers={after}"
        )
    if placing == "end":
        return list(range(before))
    new = after - before
    return [index + index * new // before for index in range(before)]


def grown_weights(weights: Arrays, start: Arrays, places: list[int]) -> dict[str, NDArray[np.float32]]:
    """Weights of the larger model: the old ones at their new places, the rest from `start`, its first weights."""
    moved = {_moved(name, places): array for name, array in weights.items()}
    return {name: moved.get(name, array) for name, array in start.items()}


def grown_moments(moments: Arrays, weights: Arrays, places: list[int]) -> dict[str, NDArray[np.float32]]:
    """The optimizer's state for the larger model: the old moments at their new places, zeros for what is new.

    Moments are named `KIND/WEIGHT`. `weights` are those of the larger model; a weight in a new layer gets the kinds of
    moments that the same weight has in the old ones.
    """
    moved = {_moved(name, places): array for name, array in moments.items()}
    kinds: dict[str, set[str]] = {}
    for name in moments:
        kind, _, weight = name.partition("/")
        kinds.setdefault(_LAYER.sub("layers.*.", weight), set()).add(kind)
    found = dict(moved)
    for name, array in weights.items():
        for kind in kinds.get(_LAYER.sub("layers.*.", name), ()):
            found.setdefault(f"{kind}/{name}", np.zeros_like(array))
    return found


def _moved(name: str, places: list[int]) -> str:
    return _LAYER.sub(lambda match: f"layers.{places[int(match[1])]}.", name)
