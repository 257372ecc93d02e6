"""AdamW in torch: its fused kernel, with rates and step numbers given from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from treadle.training.optimizers.config import AdamWConfig, MuonConfig


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that share a peak rate and a decay."""

    weights: Mapping[str, Tensor]
    learning_rate: float
    weight_decay: float


class TorchAdamW:
    """AdamW with decoupled decay (Loshchilov & Hutter 2019, algorithm 2).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w = w (1 - rate decay) - rate m^ / (sqrt(v^) + epsilon), where
    m^ = m / (1 - b1^step) and v^ = v / (1 - b2^step).
    """

    def __init__(self, groups: Sequence[Group], config: AdamWConfig | MuonConfig) -> None:
        """Begin with moments of 0; groups may be empty, but not all of them."""
        self._groups = [group for group in groups if group.weights]
        self._optimizer = torch.optim.AdamW(
            [{"params": list(group.weights.values()), "weight_decay": group.weight_decay} for group in self._groups],
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=True,
        )
        for weight in self._weights().values():
            self._optimizer.state[weight] = {
                "step": torch.tensor(0.0, device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }

    def step(self, step: int, rate_scale: float) -> None:
        """Update all weights from their gradients; `step` counts from 1."""
        for settings, group in zip(self._optimizer.param_groups, self._groups, strict=True):
            settings["lr"] = group.learning_rate * rate_scale
            for weight in group.weights.values():
                self._optimizer.state[weight]["step"].fill_(step - 1)
        self._optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """The moments themselves, by their names in checkpoints."""
        found = {}
        for name, weight in self._weights().items():
            found[f"first_moment/{name}"] = self._optimizer.state[weight]["exp_avg"]
            found[f"second_moment/{name}"] = self._optimizer.state[weight]["exp_avg_sq"]
        return found

    def _weights(self) -> dict[str, Tensor]:
        return {name: weight for group in self._groups for name, weight in group.weights.items()}
