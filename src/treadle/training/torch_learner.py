"""The torch learner: every family, and the reference that the native core is tested against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from treadle.models.matching import require_fit
from treadle.training.learner import StepResult, Tally
from treadle.training.optimizers.roles import role
from treadle.training.optimizers.torch_adamw import Group, TorchAdamW
from treadle.training.optimizers.torch_muon import TorchMuon
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


def make(network: Network, settings: TrainingSettings, stored: Mapping[str, Any] | None) -> TorchLearner:
    """Make a learner; what a `stored` numeric plan says holds wherever the settings leave it open."""
    plan = choose_plan(network, settings, stored or {})
    module = network.family.build_model(network.config, network.vocabulary, network.context, plan["attention"])
    return TorchLearner(module, settings.optimizer, plan, settings.seed)


class TorchLearner:
    """Trains a torch module whose `forward(inputs, targets)` gives the summed loss and the number of targets.

    Where the module has `measure(inputs, targets)`, evaluation takes the summed loss and further sums from that.

    Weights and moments stay fp32; with precision `bf16` the products run under autocast. Dropout is seeded by
    the number of the step, so there is no random state to keep.
    """

    def __init__(self, module: Any, optimizer: OptimizerConfig, plan: Mapping[str, Any], seed: int) -> None:  # noqa: ANN401 - a torch module
        """Take over `module`; its weights are to be loaded next."""
        torch.set_num_threads(plan["threads"])
        self._module, self._plan, self._seed = module, dict(plan), seed
        self._bf16 = plan["precision"] == "bf16"
        self._weights: dict[str, Tensor] = dict(module.named_parameters())
        self._optimizers = _optimizers(self._weights, optimizer, torch.bfloat16 if self._bf16 else torch.float32)

    @property
    def plan(self) -> Mapping[str, Any]:
        """The numeric plan, stored with each checkpoint."""
        return self._plan

    def step(self, micro_batches: Sequence[Batch], update: Update) -> StepResult:
        """Take one optimizer step on the mean loss over all targets of all `micro_batches`."""
        self._module.train()
        torch.manual_seed((self._seed * 1_000_003 + update.step) % 2**63)
        targets = sum(batch.count for batch in micro_batches)
        for weight in self._weights.values():
            weight.grad = None
        loss = 0.0
        for batch in micro_batches:
            part = self._loss(batch)
            (part / max(1, targets)).backward()
            loss += part.item()
        with torch.no_grad():
            norm = self._clip(update.clip)
            for optimizer in self._optimizers:
                optimizer.step(update.step, update.rate_scale)
        return StepResult(loss / max(1, targets), targets, norm)

    def evaluate(self, batch: Batch) -> Tally:
        """Sum the loss over a batch, without dropout, changing nothing."""
        self._module.eval()
        with torch.inference_mode():
            if not hasattr(self._module, "measure"):
                return Tally(self._loss(batch).item(), batch.count)
            with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
                loss, extra = self._module.measure(torch.tensor(batch.inputs), torch.tensor(batch.targets))
            return Tally(loss.item(), batch.count, extra)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy out all weights."""
        return _copy_out(self._weights)

    def load_weights(self, weights: Arrays) -> None:
        """Replace all weights; raises `WeightsError` naming every missing, unused and mismatched one."""
        _copy_in(self._weights, weights, "The set of weights")

    def optimizer_state(self) -> dict[str, NDArray[np.float32]]:
        """Copy out the moments."""
        return _copy_out(self._moments())

    def load_optimizer_state(self, state: Arrays) -> None:
        """Replace the moments; raises `WeightsError` naming every missing, unused and mismatched one."""
        _copy_in(self._moments(), state, "The optimizer's state")

    def close(self) -> None:
        """Free the memory."""
        self._module, self._weights, self._optimizers = None, {}, []

    def _loss(self, batch: Batch) -> Tensor:
        inputs, targets = torch.tensor(batch.inputs), torch.tensor(batch.targets)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            loss, _ = self._module(inputs, targets)
        return loss

    def _clip(self, largest: float) -> float:
        """Scale all gradients so that their global norm is at most `largest`; returns the norm before."""
        for weight in self._weights.values():
            if weight.grad is None:  # a weight that this batch did not touch
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in self._weights.values()]
        norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(each) for each in gradients])))
        if 0 < largest < norm:
            for gradient in gradients:
                gradient.mul_(largest / norm)
        return norm

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
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def _copy_in(tensors: Mapping[str, Tensor], arrays: Arrays, what: str) -> None:
    require_fit(arrays, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, what)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.tensor(arrays[name]))
