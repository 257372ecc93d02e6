"""From noise to clips: the steps of the flow, one clip at a time, or several whose frames overlap.

Symbols in shapes: B batch, T frames, S edge in pixels, V phrases.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from treadle.models.video_flow.steering import Steering

    Watch = Callable[[int, Tensor], None]


@dataclass(frozen=True, slots=True)
class Flow:
    """How the way from noise to a clip is gone."""

    steps: int = 24
    """Of equal length."""
    guidance: float = 1.0
    """How far to go beyond what the negative phrases alone would give; 1 = not beyond, 0 = phrases do not count."""
    sigma: float = 70.0
    """Noise for each part of the clip that is begun from, as its deviation; matters only where there is such a clip."""


def generate(
    module: Any,  # noqa: ANN401 - a VideoFlow, which torch makes Any
    steering: Steering,
    seeds: Sequence[int],
    flow: Flow,
    *,
    negative: Tensor | None = None,
    frames: Tensor | None = None,
    start: Tensor | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """Draw clips of -1 to 1, (B, T, S, S, 3). Each depends on its own seed and steering alone.

    Args:
        module: The network.
        steering: Controls, phrases, and which frames are given.
        seeds: Of the noise of each clip.
        flow: Steps and guidance.
        negative: Phrases of what shall not be seen (B, V); none = nothing in particular.
        frames: The given frames at their places, (B, T, S, S, 3); the others are not looked at.
        start: A clip to begin from instead of noise alone, as far as `flow.sigma` leaves of it.
        watch: Is called with the number of each step, from 1, and the clip that is guessed there.
    """
    module.eval()
    shape = (*steering.edges.shape[1:4], 3)
    device = steering.edges.device
    noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    x, first = noise.to(device) * module.config.noise, 0.0
    if start is not None:
        first = 1 / (1 + flow.sigma)
        x = (1 - first) * x + first * start
    times = torch.linspace(first, 1, flow.steps + 1).tolist()
    with torch.inference_mode():
        for step, (time, following) in enumerate(pairwise(times), 1):
            if frames is not None:
                x = torch.where(steering.given > 0, frames, x)
            guess = _guided(module, x, time, steering, negative, flow.guidance)
            x = x + (guess - x) * ((following - time) / (1 - time))
            if watch is not None:
                watch(step, guess)
        return x if frames is None else torch.where(steering.given > 0, frames, x)


def _guided(
    module: Any,  # noqa: ANN401 - a VideoFlow
    x: Tensor,
    time: float,
    steering: Steering,
    negative: Tensor | None,
    guidance: float,
) -> Tensor:
    """The guessed clip, further from what the negative phrases give (Ho & Salimans 2022)."""
    times = torch.full((len(x),), time, device=x.device)
    guess: Tensor = module.clip_behind(x, times, steering)
    if guidance != 1:
        other = torch.zeros_like(steering.phrases) if negative is None else negative
        away = module.clip_behind(x, times, steering._replace(phrases=other))
        guess = away + guidance * (guess - away)
    return guess.clamp(-1, 1)


def colours(clip: Tensor) -> Tensor:
    """Numbers of -1 to 1 as colours of 0 to 255."""
    return ((clip + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
