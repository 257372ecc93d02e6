"""Small models, random weights and random tokens for the native core's tests; the torch family as the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.data.batch import MASKED, Batch
from treadle.models.gpt.weights import weight_shapes
from treadle.training.learner import Update
from treadle.training.native_learner import NativeLearner, NativePlan
from treadle.training.optimizers.config import AdamWConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from treadle.models.gpt.config import GPTConfig

    Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Workbench:
    """Makes what tests need and closes learners afterwards."""

    learners: list[NativeLearner]

    def learner(
        self, config: GPTConfig, optimizer: Any = None, *, vocabulary: int, context: int, seed: int = 0, **plan: Any
    ) -> NativeLearner:
        """A learner with random weights."""
        made = NativeLearner(
            config,
            optimizer or AdamWConfig(),
            vocabulary=vocabulary,
            context=context,
            seed=seed,
            plan=NativePlan(**plan),
        )
        self.learners.append(made)
        made.load_weights(self.weights(config, vocabulary, context))
        return made

    @staticmethod
    def weights(config: GPTConfig, vocabulary: int, context: int, seed: int = 0) -> Arrays:
        """Weights far from any symmetry: no zero, no one, gains around 1, biases around 0."""
        random = np.random.default_rng(seed)
        result = {}
        for name, shape in weight_shapes(config, vocabulary, context).items():
            values = random.standard_normal(shape)
            if len(shape) == 1:
                values = 0.2 * values + (1.0 if name.endswith("weight") else 0.0)
            elif not name.startswith(("embedding", "position")):
                values *= shape[1] ** -0.5
            result[name] = values.astype(np.float32)
        return result

    @staticmethod
    def batch(vocabulary: int, rows: int, time: int, *, seed: int = 1, masked: int = 2) -> Batch:
        """Random tokens; the last `masked` targets of the first row count for nothing."""
        random = np.random.default_rng(seed)
        inputs = random.integers(0, vocabulary, (rows, time), dtype=np.int32)
        targets = random.integers(0, vocabulary, (rows, time), dtype=np.int32)
        targets[0, max(1, time - masked) :] = MASKED
        return Batch(inputs, targets)

    @staticmethod
    def train(learner: NativeLearner, batches: list[Batch], *, first: int = 1, clip: float = 1.0) -> list[float]:
        """One step on each batch; the losses."""
        return [learner.step([batch], Update(first + i, 1.0, clip)).loss for i, batch in enumerate(batches)]

    @staticmethod
    def reference_gradients(
        config: GPTConfig, weights: Arrays, batch: Batch, vocabulary: int, context: int, *, bf16: bool = False
    ) -> tuple[float, Arrays]:
        """Mean loss and gradients by torch's autograd, in fp32 or under its own bf16 autocast."""
        torch = pytest.importorskip("torch")
        from treadle.models.gpt.model import build

        module = build(config, vocabulary, context)
        parameters = dict(module.named_parameters())
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(weights[name].copy()))
        module.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            total, _ = module(torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets))
        loss = total / batch.count
        loss.backward()
        zeros = torch.zeros(1)
        gradients = {
            name: (parameter.grad if parameter.grad is not None else zeros.expand_as(parameter)).numpy().copy()
            for name, parameter in parameters.items()
        }
        return loss.item(), gradients

    @staticmethod
    def errors(found: Arrays, expected: Arrays) -> dict[str, float]:
        """Relative error of each tensor.

        A tensor whose whole gradient is a rounding error of zero (the bias of keys that are not normed moves nothing)
        is measured against a part of the typical tensor instead of against itself.
        """
        norms = {name: float(np.linalg.norm(values)) for name, values in expected.items()}
        least = 3e-2 * float(np.median(list(norms.values()))) + 1e-30
        return {
            name: float(np.linalg.norm(found[name] - values)) / max(norms[name], least)
            for name, values in expected.items()
        }


@pytest.fixture
def bench() -> Iterator[Workbench]:
    made = Workbench([])
    yield made
    for learner in made.learners:
        learner.close()


@pytest.fixture(scope="session")
def steady_bench() -> Workbench:
    """For properties that Hypothesis tries many times: the test closes what it makes."""
    return Workbench([])
