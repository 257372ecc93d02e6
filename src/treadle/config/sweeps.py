"""Grids of settings: `key=a,b` in Hydra's sweep syntax, to the cells of their product."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from treadle.base.errors import UsageError
from treadle.config.plain_reading import UnreadableError
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMED = {"training.optimizer": "training.optimizer.name"}
"""Sections that a plain word chooses among: in a grid, `training.optimizer=adamw,muon` means their names."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting and the values it takes in turn."""

    key: str
    values: tuple[str, ...]
    """As a flag would give them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of a grid."""

    label: str
    """What sets it apart from the other cells, in a few words."""
    flags: tuple[str, ...]
    """Settings as `key=value`."""


def read_axis(text: str) -> Axis:
    """Read one `--grid`; raises `UsageError` saying what is wrong with it."""
    try:
        key, values = load("treadle.config.hydra_reading:read_sweep")(text)
    except UnreadableError as error:
        example = "family.layers=2,4 or family.layers=range(1,5)"
        raise UsageError(f"Cannot use `{text}` as a grid: {error}. Write it as {example}.") from error
    if len(set(values)) != len(values):
        raise UsageError(f"The grid `{text}` names a value twice.")
    words = all(value.isidentifier() for value in values)
    return Axis(_NAMED.get(key, key) if words else key, tuple(values))


def cells(axes: Sequence[Axis], named: Mapping[str, Sequence[str]] | None = None) -> list[Cell]:
    """The product of all axes, and of `named` cells with their flags if there are any, in the order given.

    Raises `UsageError` for a key that two axes give.
    """
    keys = [axis.key for axis in axes]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise UsageError(f"The grid gives {', '.join(sorted(twice))} twice; put all its values into one --grid.")
    short = _short_names(keys)
    columns: list[list[tuple[str, tuple[str, ...]]]] = [
        [(f"{short[axis.key]}={_shown(value)}", (f"{axis.key}={value}",)) for value in axis.values] for axis in axes
    ]
    if named:
        columns.insert(0, [(label, tuple(flags)) for label, flags in named.items()])
    found = []
    for point in product(*columns):
        flags = tuple(flag for _, given in point for flag in given)
        found.append(Cell(" ".join(label for label, _ in point) or "as it is", flags))
    return found


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last word of each key, or of what is above a `name`; the whole key where that would be ambiguous."""
    last = {key: key.removesuffix(".name").rpartition(".")[2] for key in keys}
    return {key: word if list(last.values()).count(word) == 1 else key for key, word in last.items()}


def _shown(value: str) -> str:
    return value.replace("\\", "").strip("'\"")
