"""Measuring a model on what it was never trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.data.loader import Loader
    from treadle.training.learner import Learner


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Means over held-out targets."""

    loss: float
    """Nats per target."""
    targets: int
    extra: Mapping[str, float]
    """Further sums that the family or the kind of data knows of, such as `bytes` or `correct`."""

    @property
    def perplexity(self) -> float:
        """The exponential of the loss: among how many equally likely answers the model hesitates."""
        return math.exp(min(self.loss, 700.0))  # beyond, a float has no room

    @property
    def bits_per_byte(self) -> float | None:
        """Bits needed per byte of text, whatever the tokenizer; None where the data are not text."""
        size = self.extra.get("bytes", 0.0)
        return self.loss * self.targets / math.log(2) / size if size else None

    @property
    def accuracy(self) -> float | None:
        """Share of right answers; None where answers are not right or wrong."""
        correct = self.extra.get("correct")
        return None if correct is None else correct / self.targets

    def metrics(self) -> dict[str, float]:
        """The figures as checkpoints store them."""
        found = {"held_out_loss": self.loss, "held_out_targets": float(self.targets), "perplexity": self.perplexity}
        if self.bits_per_byte is not None:
            found["bits_per_byte"] = self.bits_per_byte
        if self.accuracy is not None:
            found["accuracy"] = self.accuracy
        return found


def evaluate(learner: Learner, loader: Loader, batch_size: int, limit: int = 0) -> Evaluation | None:
    """Evaluate on the held-out examples, on at most `limit` of them (0 = all); None when nothing is held out."""
    loss, targets = 0.0, 0
    extra: dict[str, float] = {}
    for batch in loader.evaluation(batch_size, limit or None):
        tally = learner.evaluate(batch)
        loss, targets = loss + tally.loss, targets + tally.targets
        for name, value in [*tally.extra.items(), *loader.extra(batch).items()]:  # noqa: S610 - no Django here
            extra[name] = extra.get(name, 0.0) + value
    return Evaluation(loss / targets, targets, extra) if targets else None
