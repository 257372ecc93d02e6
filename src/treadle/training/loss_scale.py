"""Scaling the loss so that gradients in 16-bit floats neither vanish nor overflow (Micikevicius et al. 2018)."""

from __future__ import annotations

from typing import Final

FIRST: Final = 2.0**16
_LARGEST: Final = 2.0**24
_PATIENCE: Final = 2000
"""Steps without overflow after which the scale is doubled."""


class LossScale:
    """A power of two, so that it changes no bit of a gradient that neither vanishes nor overflows.

    A step whose gradients overflow is computed once more at half the scale: no step is left out, no batch is lost. At
    scale 1 an overflow is the gradients' own, and the training loop is told. The scale is not kept in checkpoints: a
    resumed run finds it again within its first step.
    """

    def __init__(self) -> None:
        """Begin high."""
        self.value = FIRST
        self._good = 0

    def overflowed(self) -> bool:
        """Halve the scale; tell whether the step is to be tried again."""
        if self.value <= 1.0:
            return False
        self.value /= 2
        self._good = 0
        return True

    def went_well(self) -> None:
        """Count a step, and double the scale now and then."""
        self._good += 1
        if self._good >= _PATIENCE and self.value < _LARGEST:
            self.value *= 2
            self._good = 0
