"""What computes a step. The loop, the callbacks and the checkpoints never know which learner runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from treadle.base.errors import TreadleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.batch import Batch

    Arrays = Mapping[str, NDArray[np.float32]]


class DivergedError(TreadleError):
    """A loss, a gradient or a weight is infinite or not a number; the text names which, as the start of a sentence.

    The loop goes back to the last checkpoint then. A learner may raise it from `step`, or return what it measured.
    """


@dataclass(frozen=True, slots=True)
class Update:
    """How one optimizer step is to be taken."""

    step: int
    """Number of this step, from 1: bias correction, momentum rise and dropout depend on it alone."""
    rate_scale: float
    """The schedule's factor on every peak rate, 0 to 1."""
    clip: float
    """Largest global gradient norm; 0 = no clipping."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step measured before its update."""

    loss: float
    """Mean over the targets of all micro-batches, in nats."""
    targets: int
    gradient_norm: float
    """Global, before clipping."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over one evaluated batch; adding tallies and dividing by `targets` gives means."""

    loss: float
    """Summed, in nats."""
    targets: int
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further sums that the family knows of, such as `correct`."""


class Learner(Protocol):
    """A model in training: weights, optimizer state and the arithmetic between them.

    The same seed, plan and calls give identical bits. Arrays are float32 in the layout and under the names of the
    family's weight list, so that state moves freely between learners.
    """

    @property
    def plan(self) -> Mapping[str, Any]:
        """The numeric plan (learner, threads, precision, instruction set ...), stored with each checkpoint."""
        ...

    def step(self, micro_batches: Sequence[Batch], update: Update) -> StepResult:
        """Take one optimizer step on the mean loss over all targets of all `micro_batches`."""
        ...

    def evaluate(self, batch: Batch) -> Tally:
        """Sum the loss over a batch, without dropout, changing nothing."""
        ...

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy out all weights."""
        ...

    def streamed_weights(self) -> Arrays:
        """The same without a second copy of all, for whoever needs them until the next step only."""
        ...

    def load_weights(self, weights: Arrays) -> None:
        """Replace all weights; raises `WeightsError` naming every missing, unused and mismatched one."""
        ...

    def optimizer_state(self) -> dict[str, NDArray[np.float32]]:
        """Copy out the moments: `first_moment/NAME`, `second_moment/NAME` (AdamW), `momentum/NAME` (Muon)."""
        ...

    def streamed_optimizer_state(self) -> Arrays:
        """The same without a second copy of all, until the next step."""
        ...

    def load_optimizer_state(self, state: Arrays) -> None:
        """Replace the moments; raises `WeightsError` naming every missing, unused and mismatched one."""
        ...

    def close(self) -> None:
        """Free threads and memory; the learner cannot be used afterwards."""
        ...
