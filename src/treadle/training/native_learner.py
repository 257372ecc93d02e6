"""The learner without torch: `gpt` models in the native core, default on CPUs."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import ResourceError, UsageError
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_refusal, native_shape
from treadle.models.gpt.weights import parameter_count, weight_shapes
from treadle.models.matching import require_fit
from treadle.models.streamed_arrays import StreamedArrays
from treadle.native import build, instruction_sets
from treadle.native.binding import (
    Algorithm,
    Kind,
    Memory,
    Plan,
    Precision,
    Rule,
    Trainer,
    UpdateSettings,
    memory_required,
)
from treadle.native.precision_choice import chosen_precision
from treadle.telemetry.hardware import usable_cores
from treadle.training.learner import StepResult, Tally
from treadle.training.optimizers.config import MuonConfig
from treadle.training.optimizers.roles import role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.batch import Batch
    from treadle.training.config import TrainingSettings
    from treadle.training.learner import Arrays, Update
    from treadle.training.learners import Network
    from treadle.training.optimizers.config import OptimizerConfig

_LARGE: Final = 32_000_000
"""Parameters from which fewer gradient shards and shorter passes save memory that small models do not miss."""

_PRECISIONS: Final = {"bf16": Precision.BFLOAT16, "fp32": Precision.FLOAT32}


@dataclass(frozen=True, slots=True)
class NativePlan:
    """How a native learner computes; stored with each checkpoint and replayed. None = choose.

    `threads` never changes results; the other fields do, in the last bits.
    """

    threads: int | None = None
    precision: str | None = None
    """`bf16` or `fp32`; None = the faster one, by a short trial that is remembered."""
    gradient_shards: int | None = None
    """Partial gradients, summed in order; no more threads than shards can help."""
    pass_tokens: int | None = None
    """Tokens that a thread carries through the network at once."""


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
            "precision": next(name for name, value in _PRECISIONS.items() if value == self._native_plan.precision),
            "gradient_shards": self._native_plan.gradient_shards,
            "pass_tokens": self._native_plan.pass_tokens,
            "instruction_set": self._trainer.library.instruction_set,
        }

    def step(self, micro_batches: Sequence[Batch], update: Update) -> StepResult:
        """Take one optimizer step on the mean loss over all targets of all `micro_batches`.

        Where the loss or the gradient's norm is not finite the result says so and nothing has been moved.
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
        result = StepResult(loss=loss / targets, targets=targets, gradient_norm=norm)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return result
        scale = update.clip / norm if 0 < update.clip < norm else 1.0
        self._trainer.update(self._update_settings(update, scale), self._rules(update.rate_scale))
        return result

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
        return dict(self.streamed_weights())

    def streamed_weights(self) -> StreamedArrays:
        """All weights, each copied out when it is looked at."""
        return StreamedArrays(self._shapes, self._trainer.read)

    def load_weights(self, weights: Arrays) -> None:
        """Replace all weights; raises `WeightsError` naming every missing, unused and mismatched one."""
        require_fit(weights, self._shapes)
        for name in self._shapes:
            self._trainer.write(name, weights[name])
        self._trainer.repack()

    def optimizer_state(self) -> dict[str, NDArray[np.float32]]:
        """Copy out the moments: `first_moment/NAME`, `second_moment/NAME` (AdamW), `momentum/NAME` (Muon)."""
        return dict(self.streamed_optimizer_state())

    def streamed_optimizer_state(self) -> StreamedArrays:
        """The moments, each copied out when it is looked at."""
        moments = self._moments()
        shapes = {key: self._shapes[name] for key, (name, _) in moments.items()}
        return StreamedArrays(shapes, lambda key: self._trainer.read(*moments[key]))

    def load_optimizer_state(self, state: Arrays) -> None:
        """Replace the moments; raises `WeightsError` naming every missing, unused and mismatched one."""
        moments = self._moments()
        wanted = {key: self._shapes[name] for key, (name, _) in moments.items()}
        require_fit(state, wanted, "The optimizer's state")
        for key, (name, kind) in moments.items():
            self._trainer.write(name, state[key], kind)

    def close(self) -> None:
        """Free threads and memory; the learner cannot be used afterwards."""
        self._trainer.close()

    def _moments(self) -> dict[str, tuple[str, Kind]]:
        """Where each array of the optimizer state lives."""
        result: dict[str, tuple[str, Kind]] = {}
        for name in self._shapes:
            if isinstance(self._optimizer, MuonConfig) and role(name, self._shapes[name]) == "matrix":
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
    its_role = role(name, shape)
    decay = optimizer.weight_decay if its_role in {"matrix", "head"} else 0.0
    rate = optimizer.learning_rate
    if isinstance(optimizer, MuonConfig):
        if its_role == "matrix":
            return Rule(Algorithm.MUON, optimizer.matrix_learning_rate * rate_scale, optimizer.matrix_weight_decay)
        if its_role == "embedding":
            rate = optimizer.embedding_learning_rate
    return Rule(Algorithm.ADAMW, rate * rate_scale, decay)


def resolve_plan(config: GPTConfig, vocabulary: int, context: int, wanted: NativePlan) -> Plan:
    """Fill in what `wanted` leaves open, from the machine and from the size of the model."""
    large = parameter_count(config, vocabulary, context) > _LARGE
    shards = wanted.gradient_shards or (2 if large else _shards_for_this_machine())
    if wanted.precision is not None and wanted.precision not in _PRECISIONS:
        known = ", ".join(_PRECISIONS)
        raise UsageError(f"precision {wanted.precision} is unknown to the native core; known are {known}")
    precision = _PRECISIONS[wanted.precision] if wanted.precision else chosen_precision(config.width)
    tokens = 512 if large else 1024
    return Plan(
        precision=precision,
        threads=wanted.threads or min(usable_cores(), shards),
        gradient_shards=shards,
        pass_tokens=wanted.pass_tokens or (tokens // 2 if precision is Precision.FLOAT32 else tokens),
    )


def _shards_for_this_machine() -> int:
    # By the machine's processors, not by those that this run may use: results must not depend on the latter.
    shards = 4
    while shards < min(os.cpu_count() or 1, 16):
        shards *= 2
    return shards


def required_memory(config: GPTConfig, vocabulary: int, context: int, wanted: NativePlan | None = None) -> Memory:
    """Bytes that a learner would take, computed beforehand."""
    plan = resolve_plan(config, vocabulary, context, wanted or NativePlan())
    return memory_required(native_shape(config, vocabulary, context), plan)


class NativeMaker:
    """Makes native learners, for the `gpt` family."""

    def refusal(self, network: Network, settings: TrainingSettings) -> str | None:
        """Why the native core cannot be used; None when it can. The first call may compile it."""
        if not isinstance(network.config, GPTConfig):
            return f"the native core trains the family gpt, not {network.config.__class__.__name__}."
        if (reason := native_refusal(network.config)) is not None:
            return reason
        if (setting := _for_torch_only(settings)) is not None:
            return f"{setting} is for the torch learner."
        try:
            build.library_path(instruction_sets.choose())
        except ResourceError as error:
            return str(error)
        return None

    def make(self, network: Network, settings: TrainingSettings, plan: Mapping[str, Any] | None) -> NativeLearner:
        """Make it; what a stored numeric `plan` says holds wherever the settings leave it open."""
        if not isinstance(network.config, GPTConfig):
            raise UsageError(str(self.refusal(network, settings)))
        return NativeLearner(
            network.config,
            settings.optimizer,
            vocabulary=network.vocabulary,
            context=network.context,
            seed=settings.seed,
            plan=_wanted_plan(settings, plan or {}),
        )


MAKER: Final = NativeMaker()


def _for_torch_only(settings: TrainingSettings) -> str | None:
    """A setting that only the torch learner can follow."""
    asked = {
        f"training.device={settings.device}": settings.device != "cpu",
        "training.precision=fp16": settings.precision == "fp16",
        "training.compile": settings.compile,
        "training.activation_checkpointing": settings.activation_checkpointing,
    }
    return next((setting for setting, given in asked.items() if given), None)


def _wanted_plan(settings: TrainingSettings, stored: Mapping[str, Any]) -> NativePlan:
    replayed: dict[str, Any] = {}
    if stored.get("learner") == "native":
        replayed = {field.name: stored.get(field.name) for field in fields(NativePlan)}
    replayed["threads"] = settings.threads or None  # Never part of the result, so always of this run.
    if settings.precision != "auto":
        replayed["precision"] = settings.precision
    return NativePlan(**replayed)
