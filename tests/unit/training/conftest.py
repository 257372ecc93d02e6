"""A real but tiny learner and loader: a table of next-token scores, trained by momentum, in numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.data.batch import MASKED, Batch
from treadle.models.matching import require_match
from treadle.training.checkpoints import CheckpointFolder, ModelRecord
from treadle.training.config import TrainingSettings
from treadle.training.learner import StepResult, Tally
from treadle.training.loop import Training
from treadle.training.start import Subject, find_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.training.learner import Update
    from treadle.training.schedules import Budget

VOCABULARY = 7


class TableLearner:
    """Bigram scores; deterministic, and quick enough for thousands of steps a second."""

    def __init__(self) -> None:
        self.table = np.zeros((VOCABULARY, VOCABULARY), np.float32)
        self.momentum = np.zeros_like(self.table)
        self.updates: list[Update] = []
        self.poison: Callable[[Update], bool] = lambda _: False
        self.plan: Mapping[str, Any] = {"learner": "table", "threads": 1}

    def step(self, micro_batches: Sequence[Batch], update: Update) -> StepResult:
        self.updates.append(update)
        loss, count, gradient = 0.0, 0, np.zeros_like(self.table)
        for batch in micro_batches:
            part, shares, inputs, targets = self._forward(batch)
            loss, count = loss + part, count + len(targets)
            shares[np.arange(len(targets)), targets] -= 1
            np.add.at(gradient, inputs, shares)
        gradient /= count
        self.momentum = np.float32(0.5) * self.momentum + gradient
        self.table = self.table - np.float32(0.5 * update.rate_scale) * self.momentum
        if self.poison(update):
            self.table[0, 0] = np.nan
            return StepResult(float("nan"), count, 1.0)
        return StepResult(loss / count, count, float(np.linalg.norm(gradient)))

    def evaluate(self, batch: Batch) -> Tally:
        loss, _, _, targets = self._forward(batch)
        return Tally(loss, len(targets))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        return {"table": self.table.copy()}

    def streamed_weights(self) -> Mapping[str, NDArray[np.float32]]:
        return self.weights()

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        require_match({key: value.shape for key, value in weights.items()}, {"table": self.table.shape}, "The table")
        self.table = weights["table"].copy()

    def optimizer_state(self) -> dict[str, NDArray[np.float32]]:
        return {"momentum/table": self.momentum.copy()}

    def streamed_optimizer_state(self) -> Mapping[str, NDArray[np.float32]]:
        return self.optimizer_state()

    def load_optimizer_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        self.momentum = state["momentum/table"].copy()

    def close(self) -> None:
        pass

    def _forward(self, batch: Batch) -> tuple[float, NDArray[np.float32], NDArray[Any], NDArray[Any]]:
        counted = batch.targets != MASKED
        inputs, targets = batch.inputs[counted], batch.targets[counted]
        scores = self.table[inputs]  # (N, V)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return float(-np.log(shares[np.arange(len(targets)), targets]).sum()), shares, inputs, targets


class CycleLoader:
    """Windows of a noisy cycle through the vocabulary, in a seeded order; the last windows are held out."""

    def __init__(self, examples: int = 20, length: int = 5, held_out: int = 3) -> None:
        random = np.random.default_rng(5)
        ids = np.arange((examples + held_out) * length + 1) % VOCABULARY
        noise = random.random(len(ids)) < 0.2
        ids[noise] = random.integers(VOCABULARY, size=int(noise.sum()))
        starts = np.arange(examples + held_out) * length
        rows = np.stack([ids[start : start + length + 1] for start in starts]).astype(np.int32)
        self.rows, self.held_out_rows = rows[:examples], rows[examples:]
        self.empty: set[int] = set()
        self.read: list[int] = []

    @property
    def examples_per_epoch(self) -> int:
        return len(self.rows)

    @property
    def targets_per_epoch(self) -> int:
        return self.rows[:, 1:].size

    @property
    def held_out_targets(self) -> int:
        return self.held_out_rows[:, 1:].size

    def batch(self, position: int, size: int) -> Batch:
        self.read += range(position, position + size)
        order = [np.random.default_rng(p // len(self.rows)).permutation(len(self.rows)) for p in self.read[-size:]]
        rows = self.rows[[order[i][(position + i) % len(self.rows)] for i in range(size)]]
        batch = Batch(rows[:, :-1].copy(), rows[:, 1:].copy())
        batch.targets[[position + i in self.empty for i in range(size)]] = MASKED
        return batch

    def targets_between(self, first: int, last: int) -> int:
        return (last - first) * (self.rows.shape[1] - 1)

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        rows = self.held_out_rows[:limit]
        for first in range(0, len(rows), size):
            yield Batch(rows[first : first + size, :-1], rows[first : first + size, 1:])

    def extra(self, batch: Batch) -> Mapping[str, float]:
        return {"bytes": 2.0 * batch.count}


@dataclass
class Bench:
    """One model's folder, and trainings of it."""

    path: Path
    dataset: str = "dataset-1"
    initial: Mapping[str, NDArray[np.float32]] = field(
        default_factory=lambda: {"table": np.zeros((VOCABULARY, VOCABULARY), np.float32)}
    )

    @property
    def folder(self) -> CheckpointFolder:
        return CheckpointFolder(self.path / "checkpoints")

    def settings(self, **changes: Any) -> TrainingSettings:
        values = {"batch_size": 4, "warmup_steps": 3, "cooldown": 0.5, "checkpoint_every": 0, **changes}
        return TrainingSettings.model_validate(values)

    def subject(self, run: str = "run-1") -> Subject:
        record = ModelRecord("table", {"name": "table"}, VOCABULARY, 5, {"kind": "cycle"}, {"training": {}})
        return Subject(record, self.folder, lambda: dict(self.initial), run, self.dataset)

    def training(
        self, budget: Budget, settings: TrainingSettings | None = None, *, run: str = "run-1", **parts: Any
    ) -> Training:
        """Build a training of this model; `parts` are learner, loader, callbacks, stop_requested."""
        settings = settings or self.settings()
        loader = parts.pop("loader", None) or CycleLoader()
        subject = self.subject(run)
        start = find_start(subject, budget, settings, loader)
        learner = parts.pop("learner", None) or TableLearner()
        return Training(learner, loader, settings, subject, start, **parts)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def table_learner() -> TableLearner:
    return TableLearner()


@pytest.fixture
def cycle_loader() -> type[CycleLoader]:
    return CycleLoader
