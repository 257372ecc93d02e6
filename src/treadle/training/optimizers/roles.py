"""What each weight is to an optimizer, told from its name and shape. The native core follows the same rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Role = Literal["matrix", "embedding", "head", "vector"]


def role(name: str, shape: Sequence[int]) -> Role:
    """Tell a weight's role.

    `vector`: gains and biases (fewer than two axes). `embedding`: token embeddings and learned positions, also where
    the head is tied to them. `matrix`: (out, in) inside a block, that is under `layers.`. `head`: every other one.
    """
    if len(shape) < 2:
        return "vector"
    if name.startswith(("embedding.", "position.")):
        return "embedding"
    if name.startswith("layers.") and len(shape) == 2:
        return "matrix"
    return "head"
