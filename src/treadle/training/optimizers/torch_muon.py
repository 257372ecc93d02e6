"""Muon in torch: momentum, orthogonalised by Newton-Schulz steps (Jordan et al. 2024)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from treadle.training.optimizers.config import MuonConfig

COEFFICIENTS: Final = (
    (8.0195, -22.9987, 16.8990),
    (3.6414, -2.7254, 0.5369),
    (2.6684, -1.9829, 0.4533),
    (1.9581, -1.3395, 0.3841),
)
"""One (a, b, c) per round of X <- a X + (b A + c A^2) X with A = X X^T (Amsel et al. 2025, "The Polar Express")."""

_MARGIN: Final = 1.01


class TorchMuon:
    """Updates matrices W (out, in).

    m = m + (1 - mu)(g - m);  x = g + mu (m - g);  W = W (1 - rate decay) - rate sqrt(max(1, out / in)) orth(x).
    mu rises linearly over the first steps. Matrices of one shape are stacked and treated together.
    """

    def __init__(self, weights: Mapping[str, Tensor], config: MuonConfig, precision: torch.dtype) -> None:
        """Begin with momenta of 0; `precision` is that of the Newton-Schulz products."""
        self._config, self._precision = config, precision
        self._stacks: list[tuple[dict[str, Tensor], Tensor]] = []
        for shape in dict.fromkeys(tuple(weight.shape) for weight in weights.values()):
            alike = {name: weight for name, weight in weights.items() if tuple(weight.shape) == shape}
            device = next(iter(alike.values())).device
            self._stacks.append((alike, torch.zeros(len(alike), *shape, device=device)))  # (N, out, in)

    def step(self, step: int, rate_scale: float) -> None:
        """Update all matrices from their gradients; `step` counts from 1."""
        rate = self._config.matrix_learning_rate * rate_scale
        mu = momentum_at(self._config, step)
        for weights, momentum in self._stacks:
            gradient = torch.stack([weight.grad for weight in weights.values()])  # (N, out, in)
            momentum.lerp_(gradient, 1 - mu)
            direction = orthogonalise(gradient.lerp_(momentum, mu), self._precision)
            outputs, inputs = momentum.shape[1:]
            scale = -rate * math.sqrt(max(1.0, outputs / inputs))
            for weight, update in zip(weights.values(), direction, strict=True):
                weight.mul_(1 - rate * self._config.matrix_weight_decay).add_(update, alpha=scale)

    def state(self) -> dict[str, Tensor]:
        """The momenta themselves, by their names in checkpoints."""
        return {
            f"momentum/{name}": stack[index] for weights, stack in self._stacks for index, name in enumerate(weights)
        }


def momentum_at(config: MuonConfig, step: int) -> float:
    """The momentum of a step, counted from 1."""
    return config.momentum_start + (config.momentum - config.momentum_start) * min(1.0, step / config.momentum_warmup)


def orthogonalise(matrices: Tensor, precision: torch.dtype) -> Tensor:
    """Bring all singular values of `matrices` (N, R, C) near 1, computing in `precision`; the result is fp32."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # (N, S, L) with S <= L: the products A are the small ones
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)).to(precision)
    # The eighth root of the sum of the singular values' eighth powers bounds them closely.
    gram = x @ x.mT
    bound = torch.linalg.matrix_norm((gram @ gram).float(), keepdim=True) ** 0.25
    x = (x / (_MARGIN * bound.clamp_min(1e-3))).to(precision)
    for a, b, c in COEFFICIENTS:
        products = x @ x.mT  # (N, S, S)
        x = a * x + (b * products + c * (products @ products)) @ x
    return (x.mT if tall else x).float()
