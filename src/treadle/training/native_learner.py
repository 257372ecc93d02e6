"""The learner without torch: `gpt` models in the native core, default on CPUs."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import DataError, SettingsError, UsageError, WeightsError
from treadle.data.batch import MASKED
from treadle.models.gpt.weights import parameter_count, weight_shapes
from treadle.native import instruction_sets
from treadle.native.binding import (
    Activation,
    Algorithm,
    Kind,
    Memory,
    Norm,
    Plan,
    Positions,
    Precision,
    Rule,
    Shape,
    Trainer,
    UpdateSettings,
    memory_required,
)
from treadle.training.learner import StepResult, Tally
from treadle.training.optimizers.config import AdamWConfig, MuonConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from treadle.data.batch import Batch
    from treadle.models.gpt.config import GPTConfig
    from treadle.training.learner import Arrays, Update
    from treadle.training.optimizers.config import OptimizerConfig

_LARGE = 32_000_000
"""Parameters from which fewer gradient shards and shorter passes save memory that small models do not miss."""


class DivergedError(DataError):
    """Loss or gradient is not a number or infinite; weights and moments are as they were before the step."""


@dataclass(frozen=True, slots=True)
class NativePlan:
    """How a native learner computes; stored with each checkpoint and replayed. None = choose for this machine.

    `threads` never changes results; the other fields do, in the last bits.
    """

    threads: int | None = None
    precision: str | None = None
    gradient_shards: int | None = None
    pass_tokens: int | None = None


class NativeLearner:
    """Trains a gpt model in native memory. Weights are zero until `load_weights`."""

    def __init__(
        self,
        config: GPTConfig,
        optimizer: OptimizerConfig,
        *,
        vocabulary: int,
        context: int,
        seed: int = 0,
        plan: NativePlan | None = None,
    ) -> None:
        """Take memory and threads; raises `ResourceError` if there is too little memory or no compiler.

        `vocabulary` is the number of token ids, `context` the longest sequence in tokens; `seed` decides dropout.
        """
        self._config = config
        self._optimizer = optimizer
        self._seed = seed
        self._shapes = weight_shapes(config, vocabulary, context)
        self._native_plan = resolve_plan(config, vocabulary, context, plan or NativePlan())
        self._trainer = Trainer(native_shape(config, vocabulary, context), self._native_plan)
        listed = {parameter.name: parameter.shape for parameter in self._trainer.parameters}
        if listed != self._shapes:
            raise AssertionError("the native core and the family list different weights")

    @property
    def plan(self) -> Mapping[str, Any]:
        """The numeric plan, resolved."""
        return {
            "learner": "native",
            "threads": self._native_plan.threads,
            "precision": self._native_plan.precision.name.lower(),
            "gradient_shards": self._native_plan.gradient_shards,
            "pass_tokens": self._native_plan.pass_tokens,
            "instruction_set": self._trainer.library.instruction_set,
        }

    def step(self, micro_batches: Sequence[Batch], update: Update) -> StepResult:
        """Take one optimizer step on the mean loss over all targets of all `micro_batches`.

        Raises `DivergedError` naming the step if loss or gradient norm is not finite; nothing has changed then.
        """
        targets = sum(batch.count for batch in micro_batches)
        if targets == 0:
            raise UsageError(f"step {update.step} has no target to learn: every one is masked")
        loss, sequences = 0.0, 0
        for index, batch in enumerate(micro_batches):
            loss += self._trainer.backward(
                batch.inputs,
                batch.targets,
                loss_scale=1.0 / targets,
                first=index == 0,
                first_sequence=sequences,
                dropout_seed=self._dropout_seed(update.step),
            )
            sequences += len(batch.inputs)
        norm = self._trainer.gradient_norm()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(
                f"step {update.step}: loss {loss / targets} and gradient norm {norm} are not both finite; "
                "go back to the last good checkpoint and lower the learning rate"
            )
        scale = update.clip / norm if 0 < update.clip < norm else 1.0
        self._trainer.update(self._update_settings(update, scale), self._rules(update.rate_scale))
        return StepResult(loss=loss / targets, targets=targets, gradient_norm=norm)

    def evaluate(self, batch: Batch) -> Tally:
        """Sum the loss over a batch, without dropout, changing nothing."""
        return Tally(loss=self._trainer.evaluate(batch.inputs, batch.targets), targets=batch.count)

    def gradients(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Gradients of the batch's mean loss without taking a step: for comparing learners."""
        self._trainer.backward(
            batch.inputs,
            batch.targets,
            loss_scale=1.0 / max(batch.count, 1),
            first=True,
            dropout_seed=self._dropout_seed(1),
        )
        self._trainer.gradient_norm()
        return {name: self._trainer.read(name, Kind.GRADIENT) for name in self._shapes}

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy out all weights."""
        return {name: self._trainer.read(name) for name in self._shapes}

    def load_weights(self, weights: Arrays) -> None:
        """Replace all weights; raises `WeightsError` naming every missing, unused and mismatched one."""
        check_arrays("weights", weights, self._shapes)
        for name in self._shapes:
            self._trainer.write(name, weights[name])
        self._trainer.repack()

    def optimizer_state(self) -> dict[str, NDArray[np.float32]]:
        """Copy out the moments: `first_moment/NAME`, `second_moment/NAME` (AdamW), `momentum/NAME` (Muon)."""
        return {key: self._trainer.read(name, kind) for key, (name, kind) in self._moments().items()}

    def load_optimizer_state(self, state: Arrays) -> None:
        """Replace the moments; raises `WeightsError` naming every missing, unused and mismatched one."""
        moments = self._moments()
        check_arrays("optimizer state", state, {key: self._shapes[name] for key, (name, _) in moments.items()})
        for key, (name, kind) in moments.items():
            self._trainer.write(name, state[key], kind)

    def close(self) -> None:
        """Free threads and memory; the learner cannot be used afterwards."""
        self._trainer.close()

    def _moments(self) -> dict[str, tuple[str, Kind]]:
        """Where each array of the optimizer state lives."""
        result: dict[str, tuple[str, Kind]] = {}
        for name in self._shapes:
            if isinstance(self._optimizer, MuonConfig) and _is_block_matrix(name, self._shapes[name]):
                result[f"momentum/{name}"] = (name, Kind.FIRST_MOMENT)
            else:
                result[f"first_moment/{name}"] = (name, Kind.FIRST_MOMENT)
                result[f"second_moment/{name}"] = (name, Kind.SECOND_MOMENT)
        return result

    def _rules(self, rate_scale: float) -> list[Rule]:
        return [rule_for(self._optimizer, name, shape, rate_scale) for name, shape in self._shapes.items()]

    def _update_settings(self, update: Update, scale: float) -> UpdateSettings:
        momentum = 0.0
        if isinstance(self._optimizer, MuonConfig):
            risen = min(1.0, update.step / self._optimizer.momentum_warmup)
            momentum = self._optimizer.momentum_start
            momentum += risen * (self._optimizer.momentum - self._optimizer.momentum_start)
        return UpdateSettings(
            step=update.step,
            gradient_scale=scale,
            beta1=self._optimizer.beta1,
            beta2=self._optimizer.beta2,
            epsilon=self._optimizer.epsilon,
            momentum=momentum,
        )

    def _dropout_seed(self, step: int) -> int:
        digest = hashlib.blake2b(f"{self._seed} {step}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")


def rule_for(optimizer: OptimizerConfig, name: str, shape: tuple[int, ...], rate_scale: float) -> Rule:
    """How `optimizer` moves the weight `name` when the schedule stands at `rate_scale`."""
    embedding = name in {"embedding.weight", "position.weight"}
    matrix = len(shape) == 2 and not embedding
    if isinstance(optimizer, AdamWConfig):
        decay = optimizer.weight_decay if matrix else 0.0
        return Rule(Algorithm.ADAMW, optimizer.learning_rate * rate_scale, decay)
    if _is_block_matrix(name, shape):
        rate = optimizer.matrix_learning_rate * rate_scale
        return Rule(Algorithm.MUON, rate, optimizer.matrix_weight_decay)
    rate = optimizer.embedding_learning_rate if embedding else optimizer.learning_rate
    return Rule(Algorithm.ADAMW, rate * rate_scale, optimizer.weight_decay if matrix else 0.0)


def native_shape(config: GPTConfig, vocabulary: int, context: int) -> Shape:
    """The core's own description of a gpt model."""
    return Shape(
        layers=config.layers,
        width=config.width,
        heads=config.heads,
        kv_heads=config.key_value_heads,
        head_width=config.width_of_head,
        feed_forward=config.feed_forward_width,
        vocabulary=vocabulary,
        context=context,
        norm=Norm[config.norm.upper()],
        norm_gain=config.norm_gain,
        positions=Positions[config.positions.upper()],
        qk_norm=config.qk_norm,
        activation=Activation[config.activation.upper()],
        bias=config.bias,
        tied_embeddings=config.tied_embeddings,
        embedding_norm=config.embedding_norm,
        norm_epsilon=config.norm_epsilon,
        rope_base=config.rope_base,
        logit_soft_cap=config.logit_soft_cap,
        dropout=config.dropout,
    )


def resolve_plan(config: GPTConfig, vocabulary: int, context: int, wanted: NativePlan) -> Plan:
    """Fill in what `wanted` leaves open: from the machine for threads and precision, from the size for the rest."""
    large = parameter_count(config, vocabulary, context) > _LARGE
    shards = wanted.gradient_shards or (2 if large else 4)
    precision = wanted.precision or ("bfloat16" if instruction_sets.choose().bfloat16 else "float32")
    names = [one.name.lower() for one in Precision]
    if precision not in names:
        raise SettingsError(f"precision {precision} is unknown; known are {', '.join(names)}")
    return Plan(
        precision=Precision[precision.upper()],
        threads=wanted.threads or min(usable_processors(), shards),
        gradient_shards=shards,
        pass_tokens=wanted.pass_tokens or (512 if large else 1024),
    )


def required_memory(config: GPTConfig, vocabulary: int, context: int, wanted: NativePlan | None = None) -> Memory:
    """Bytes that a learner would take, computed beforehand."""
    plan = resolve_plan(config, vocabulary, context, wanted or NativePlan())
    return memory_required(native_shape(config, vocabulary, context), plan)


def usable_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_arrays(what: str, given: Arrays, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `WeightsError` naming every missing, unused and mismatched array; nothing is taken half."""
    problems = [f"missing {name}" for name in wanted if name not in given]
    problems += [f"unused {name}" for name in given if name not in wanted]
    for name, shape in wanted.items():
        if name in given and given[name].shape != shape:
            problems.append(f"{name} has shape {given[name].shape}, not {shape}")
    if problems:
        raise WeightsError(f"{what} do not fit this model: {'; '.join(problems)}")


def _is_block_matrix(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and name.startswith("layers.")
