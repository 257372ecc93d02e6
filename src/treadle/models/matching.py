"""The strict comparison of named arrays: nothing missing, nothing unused, nothing of another shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import WeightsError
from treadle.models.streamed_arrays import shapes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Shapes = Mapping[str, Sequence[int]]


def require_fit(found: Mapping[str, NDArray[Any]], expected: Shapes, what: str = "The set of weights") -> None:
    """Raise `WeightsError` unless the arrays are those of a model of these shapes."""
    require_match(shapes_of(found), expected, what, "Load it into a model of the settings that it was saved with.")


def require_match(found: Shapes, expected: Shapes, what: str, remedy: str = "") -> None:
    """Raise `WeightsError`, beginning with `what`, that names every missing, unused and mismatched entry of `found`."""
    problems = [f"missing: {name} {_shape(expected[name])}" for name in expected if name not in found]
    problems += [f"unused: {name} {_shape(found[name])}" for name in found if name not in expected]
    problems += [
        f"mismatched: {name} is {_shape(found[name])} instead of {_shape(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    if problems:
        raise WeightsError(
            f"{what} does not fit ({len(problems)} of {len(expected)} names). " + _list(problems, remedy)
        )


def _list(problems: list[str], remedy: str) -> str:
    return "; ".join(problems) + "." + (f" {remedy}" if remedy else "")


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(str(extent) for extent in shape) + ")"
