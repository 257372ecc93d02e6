"""One batch of examples, whatever the examples are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MASKED = -1
"""A target that is not one: padding after a short tail, or a place whose answer is not to be learned."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs and the answers to learn. Families say what the shapes mean.

    For token families both are int32 of shape (B, T); a target of `MASKED` counts for nothing.
    """

    inputs: NDArray[Any]
    targets: NDArray[np.int32]

    @property
    def count(self) -> int:
        """Number of targets that count."""
        return int((self.targets != MASKED).sum())
