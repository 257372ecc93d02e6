"""Keeping account of which targets were trained: in every checkpoint, and checked when a run ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from treadle.base.errors import DataError
from treadle.data.arrivals import ArrivalLoader
from treadle.data.coverage import Coverage, merged, token_ledger
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.data.coverage import Span, TokenLedger
    from treadle.training.checkpoints import Checkpoint
    from treadle.training.learner import StepResult
    from treadle.training.loop import Outcome, Recovery, Training


class Accounting(Callback):
    """Remembers the slots of every step; what a run lost or skipped is not among them.

    Two counts are kept apart and compared at the end: what the learner said it was trained on, and what the order of
    reading says that those slots hold.
    """

    name: ClassVar[str] = "tokens"

    def __init__(self, model: str) -> None:
        """Take the model's name, for messages."""
        self._model = model
        self._coverage = Coverage()
        self._ranges: list[Span] = []
        self._learned = 0
        self._training: Training | None = None

    def on_start(self, training: Training) -> None:
        """Take up the account of the checkpoint that the run starts from."""
        self._training = training
        self._coverage = self._coverage.on(training.loader.pieces)

    def on_step(self, training: Training, result: StepResult) -> None:
        """Remember what was read."""
        last = training.place.examples
        first = last - training.settings.examples_per_step
        if self._ranges and self._ranges[-1][1] == first:
            first = self._ranges.pop()[0]
        self._ranges.append((first, last))
        self._learned += result.targets

    def on_recovery(self, training: Training, recovery: Recovery) -> None:  # noqa: ARG002 - the moment's signature
        """Forget the steps that were taken back; those of a checkpoint have come with it."""
        self._forget()
        if training.last_checkpoint is None:
            self._coverage = Coverage()
        self._coverage = self._coverage.on(training.loader.pieces)

    def on_stop(self, training: Training, outcome: Outcome) -> None:  # noqa: ARG002 - the moment's signature
        """Check the ledger; raises `DataError` with the numbers if it does not add up."""
        self.ledger(training).check(f"`{self._model}`")

    def ledger(self, training: Training) -> TokenLedger:
        """Where every token is now."""
        return token_ledger(training.loader, self._settled())

    def state_dict(self) -> dict[str, Any]:
        """The account so far."""
        return self._settled().to_json()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the account of a checkpoint."""
        self._forget()
        self._coverage = Coverage.from_json(state)

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the moment's signature
        """Go on from what was written."""
        self.load_state_dict(checkpoint.document["callbacks"][self.name])

    def _forget(self) -> None:
        self._ranges, self._learned = [], 0

    def _settled(self) -> Coverage:
        """The account with the steps since the last checkpoint."""
        training = self._training
        if training is None or not self._ranges:
            return self._coverage
        loader, ranges = training.loader, merged(self._ranges)
        if isinstance(loader, ArrivalLoader):
            spans: list[Span] = []
            replayed = 0
            for first, last in ranges:
                fresh, old = loader.read(first, last)
                spans, replayed = spans + fresh, replayed + old
            read = sum(end - begin for begin, end in spans) + replayed
            found = self._coverage.with_arrivals(spans, replayed)
        else:
            read = sum(loader.targets_between(first, last) for first, last in ranges)
            found = self._coverage.with_pass(loader.order, ranges, read)
        if read != self._learned:
            raise DataError(
                f"The token ledger of `{self._model}` does not add up: the learner was trained on {self._learned:,} "
                f"targets since the last checkpoint, but the steps that it took hold {read:,}. Please report this."
            )
        return found
