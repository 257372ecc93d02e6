"""The torch learner: every family, and the reference that the native core is tested against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch

from treadle.models.matching import require_fit
from treadle.training.learner import StepResult, Tally
from treadle.training.loss_scale import LossScale
from treadle.training.optimizers.roles import role
from treadle.training.optimizers.torch_adamw import Group, TorchAdamW
from treadle.training.optimizers.torch_muon import TorchMuon
from treadle.training.torch_blocks import prepare_blocks
from treadle.training.torch_plan import choose_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from treadle.data.batch import Batch
    from treadle.training.config import TrainingSettings
    from treadle.training.learner import Arrays, Update
    from treadle.training.learners import Network
    from treadle.training.optimizers.config import OptimizerConfig


HALF: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}


def make(network: Network, settings: TrainingSettings, stored: Mapping[str, Any] | None) -> TorchLearner:
    """Make a learner; what a `stored` numeric plan says holds wherever the settings leave it open."""
    plan = choose_plan(network, settings, stored or {})
    module = network.family.build_model(network.config, network.vocabulary, network.context, plan["attention"])
    prepare_blocks(module, settings)
    return TorchLearner(module, settings.optimizer, plan, settings.seed)


class TorchLearner:
    """Trains a torch module whose `forward(inputs, targets)` gives the summed loss and the number of targets.

    Where the module has `measure(inputs, targets)`, evaluation takes the summed loss and further sums from that.

    Weights and moments stay fp32; with precision `bf16` or `fp16` the products run under autocast, with `fp16` on a
    scaled loss. Dropout is seeded by the number of the step, so there is no random state to keep.
    """

    def __init__(self, module: Any, optimizer: OptimizerConfig, plan: Mapping[str, Any], seed: int) -> None:  # noqa: ANN401 - a torch module
        """Take over `module`; its weights are to be loaded next."""
        torch.set_num_threads(plan["threads"])
        self._device = str(plan.get("device", "cpu"))
        self._module, self._plan, self._seed = module.to(self._device), dict(plan), seed
        self._half = HALF.get(plan["precision"])
        self._scale = LossScale() if self._half is torch.float16 else None
        self._weights: dict[str, Tensor] = dict(module.named_parameters())
        precision = torch.bfloat16 if self._half is torch.bfloat16 else torch.float32  # fp16 has too small a range
        self._optimizers = _optimizers(self._weights, optimizer, precision)

    @property
    def plan(self) -> Mapping[str, Any]:
        """The numeric plan, stored with each checkpoint."""
        return self._plan

    def step(self, micro_batches: Sequence[Batch], update: Update) -> StepResult:
        """Take one optimizer step on the mean loss over all targets of all `micro_batches`."""
        self._module.train()
        targets = sum(batch.count for batch in micro_batches)
        while True:
            loss, norm = self._differentiate(micro_batches, update, max(1, targets))
            overflowed = math.isfinite(loss) and not math.isfinite(norm)
            if self._scale is None or not overflowed or not self._scale.overflowed():
                break
        result = StepResult(loss / max(1, targets), targets, norm)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return result
        if self._scale is not None:
            self._scale.went_well()
        with torch.no_grad():
            self._clip(norm, update.clip)
            for optimizer in self._optimizers:
                optimizer.step(update.step, update.rate_scale)
        return result

    def _differentiate(self, micro_batches: Sequence[Batch], update: Update, targets: int) -> tuple[float, float]:
        """Leave the gradients of the mean loss in the weights; returns the summed loss and the gradients' norm."""
        torch.manual_seed((self._seed * 1_000_003 + update.step) % 2**63)
        for weight in self._weights.values():
            weight.grad = None
        scale = 1.0 if self._scale is None else self._scale.value
        loss = 0.0
        for batch in micro_batches:
            part = self._loss(batch)
            (part / targets * scale).backward()
            loss += part.item()
        with torch.no_grad():
            for weight in self._weights.values():
                if weight.grad is None:  # a weight that this batch did not touch
                    weight.grad = torch.zeros_like(weight)
                elif scale != 1.0:
                    weight.grad.mul_(1 / scale)
            gradients = [weight.grad for weight in self._weights.values()]
            norms = torch.stack([torch.linalg.vector_norm(each) for each in gradients])
            return loss, float(torch.linalg.vector_norm(norms))

    def evaluate(self, batch: Batch) -> Tally:
        """Sum the loss over a batch, without dropout, changing nothing."""
        self._module.eval()
        with torch.inference_mode():
            if not hasattr(self._module, "measure"):
                return Tally(self._loss(batch).item(), batch.count)
            with self._autocast():
                loss, extra = self._module.measure(*self._tensors(batch))
            return Tally(loss.item(), batch.count, extra)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy out all weights."""
        return _copy_out(self._weights)

    def streamed_weights(self) -> Arrays:
        """The same: torch's own memory is not looked into."""
        return self.weights()

    def load_weights(self, weights: Arrays) -> None:
        """Replace all weights; raises `WeightsError` naming every missing, unused and mismatched one."""
        _copy_in(self._weights, weights, "The set of weights")

    def optimizer_state(self) -> dict[str, NDArray[np.float32]]:
        """Copy out the moments."""
        return _copy_out(self._moments())

    def streamed_optimizer_state(self) -> Arrays:
        """The same."""
        return self.optimizer_state()

    def load_optimizer_state(self, state: Arrays) -> None:
        """Replace the moments; raises `WeightsError` naming every missing, unused and mismatched one."""
        _copy_in(self._moments(), state, "The optimizer's state")

    def close(self) -> None:
        """Free the memory."""
        self._module, self._weights, self._optimizers = None, {}, []

    def _loss(self, batch: Batch) -> Tensor:
        with self._autocast():
            loss, _ = self._module(*self._tensors(batch))
        return loss

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return torch.tensor(batch.inputs, device=self._device), torch.tensor(batch.targets, device=self._device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device, self._half or torch.bfloat16, enabled=self._half is not None)

    def _clip(self, norm: float, largest: float) -> None:
        """Scale all gradients, whose global norm is `norm`, so that it is at most `largest`."""
        if 0 < largest < norm:
            for weight in self._weights.values():
                weight.grad.mul_(largest / norm)

    def _moments(self) -> dict[str, Tensor]:
        return {name: moment for optimizer in self._optimizers for name, moment in optimizer.state().items()}


def _optimizers(
    weights: Mapping[str, Tensor], config: OptimizerConfig, precision: torch.dtype
) -> list[TorchAdamW | TorchMuon]:
    by_role: dict[str, dict[str, Tensor]] = {"matrix": {}, "embedding": {}, "head": {}, "vector": {}}
    for name, weight in weights.items():
        by_role[role(name, weight.shape)][name] = weight
    rate, decay = config.learning_rate, config.weight_decay
    if config.name == "adamw":
        groups = [
            Group({**by_role["matrix"], **by_role["head"]}, rate, decay),
            Group({**by_role["embedding"], **by_role["vector"]}, rate, 0.0),
        ]
        return [TorchAdamW(groups, config)]
    groups = [
        Group(by_role["head"], rate, decay),
        Group(by_role["vector"], rate, 0.0),
        Group(by_role["embedding"], config.embedding_learning_rate, 0.0),
    ]
    return [TorchAdamW(groups, config), TorchMuon(by_role["matrix"], config, precision)]


def _copy_out(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def _copy_in(tensors: Mapping[str, Tensor], arrays: Arrays, what: str) -> None:
    require_fit(arrays, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, what)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.tensor(arrays[name]))
