"""The video_flow family in torch: a transformer over patches that guesses the clip behind the noise.

Rectified flow (Liu et al. 2022; Lipman et al. 2023): x_t = (1 - t) noise + t clip, and the way from x_t to the clip is
(clip - x_t) / (1 - t). The network guesses the clip itself, not that way: with patches of many pixels it learns several
times faster so (Li & He 2025, "Back to basics"; measured in docs/experiments.md). The noise is strong (`family.noise`):
neighbouring pixels are so alike that weak noise leaves the layout to be seen, and nothing to be learned from controls.

Symbols in shapes: B batch, T frames, S edge in pixels, P patches, C width, V phrases.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from treadle.base.errors import UsageError
from treadle.models.patch_layers import Attention, FeedForward
from treadle.models.video_flow.config import PATCH
from treadle.models.video_flow.steering import Chance, Steering, phrases_of, pixels, training_steering
from treadle.models.video_flow.weights import COLOURS, CONTROLS, MODULATIONS, PLACES, TIMES

if TYPE_CHECKING:
    from treadle.models.video_flow.config import VideoFlowConfig

LEAST_WAY: Final = 0.05
"""Below, 1 - t is taken for this, so that the last bit of noise does not outweigh all else."""
_TIME_MEAN: Final = -0.2
"""Of the normal distribution whose logistic is t, while training (Esser et al. 2024); its deviation is 1."""


def build(config: VideoFlowConfig, vocabulary: int, context: int, attention: str = "plain") -> VideoFlow:  # noqa: ARG001 - every family's signature
    """Build the module for `vocabulary` phrases and clips of `context` frames."""
    if context % config.patch_frames:
        raise UsageError(
            f"data.clip_frames={context} is not a multiple of family.patch_frames={config.patch_frames}; "
            "make a model with another of them."
        )
    return VideoFlow(config, vocabulary)


class Block(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Attention, then feed-forward, each scaled and shifted by time and phrases (Peebles & Xie 2023, adaLN)."""

    def __init__(self, config: VideoFlowConfig) -> None:
        super().__init__()
        self.epsilon = config.norm_epsilon
        self.modulation = nn.Parameter(torch.zeros(MODULATIONS * config.width))
        self.attention, self.feed_forward = (
            Attention(config.width, config.heads, config.norm_epsilon),
            FeedForward(config.width),
        )

    def forward(self, x: Tensor, condition: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Take and give (B, P, C); `condition` is (B, 6 C), `grid` says how many patches lie in each direction."""
        parts = (self.modulation + condition)[:, None].chunk(MODULATIONS, dim=-1)  # six of (B, 1, C)
        x = x + self.attention(self._normed(x, parts[0], parts[1])) * (1 + parts[2])
        return x + self.feed_forward(_shifted(self._normed(x, parts[3], parts[4]), grid)) * (1 + parts[5])

    def _normed(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return functional.rms_norm(x, x.shape[-1:], eps=self.epsilon) * (1 + scale) + shift


class VideoFlow(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Patches of noise and controls in, patches of the guessed clip out."""

    def __init__(self, config: VideoFlowConfig, vocabulary: int) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        width, area = config.width, config.patch_frames * PATCH**2
        self.stem = nn.Linear(area * (COLOURS + CONTROLS), width)
        self.position = nn.Linear(PLACES, width, bias=False)
        self.embedding = nn.Linear(vocabulary, width, bias=False)
        self.time = nn.Linear(TIMES, width)
        self.modulation = nn.Linear(width, MODULATIONS * width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(width, eps=config.norm_epsilon)
        self.head = nn.Linear(width, area * COLOURS)

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Sum, over clips, the mean squared error of the way to the clip; and count the clips.

        `inputs` are (B, T, S, S, 7) and `targets` (B,) as `data.clip_data` gives them. In evaluation all that is drawn
        is the same each time.
        """
        chance = Chance(inputs.device, fixed=not self.training)
        steering = training_steering(inputs, phrases_of(targets, self.vocabulary), self.config, chance)
        clip = pixels(inputs[..., :COLOURS])
        time = torch.sigmoid(chance.normal(len(clip)) + _TIME_MEAN)
        noise = chance.normal(*clip.shape) * self.config.noise
        share = time[:, None, None, None, None]
        mixed = (1 - share) * noise + share * clip
        mixed = torch.where(steering.given > 0, clip, mixed)
        guess = self.clip_behind(mixed, time, steering)
        open_ = (1 - steering.given).expand_as(clip)
        error = ((guess - clip) / (1 - share).clamp(min=LEAST_WAY)).square() * open_
        return (error.sum((1, 2, 3, 4)) / open_.sum((1, 2, 3, 4))).sum(), torch.tensor(len(clip))

    def clip_behind(self, mixed: Tensor, time: Tensor, steering: Steering) -> Tensor:
        """Guess the clip, -1 to 1, behind `mixed` (B, T, S, S, 3), of which the share `time` (B,) is clip."""
        spread = (self.config.noise**2 * (1 - time) ** 2 + time**2).sqrt()
        mixed = mixed / spread[:, None, None, None, None]
        x = self.stem(self._patches(torch.cat([mixed, steering.channels()], dim=-1)))
        frames, height, width = mixed.shape[1:4]
        grid = (frames // self.config.patch_frames, height // PATCH, width // PATCH)
        x = x + self.position(_places(*grid).to(x.device))
        told = functional.silu(self.time(_waves(time * 100, TIMES // 2, 200.0)) + self.embedding(steering.phrases))
        condition = self.modulation(told)
        for layer in self.layers:
            x = layer(x, condition, grid)
        return self._clip(self.head(self.norm(x)), frames, height, width)

    def _patches(self, x: Tensor) -> Tensor:
        """Cut (B, T, H, W, channels) into (B, P, frames x 4 x 4 x channels)."""
        batch, frames, height, width, channels = x.shape
        deep = self.config.patch_frames
        x = x.view(batch, frames // deep, deep, height // PATCH, PATCH, width // PATCH, PATCH, channels)
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, -1, deep * PATCH**2 * channels)

    def _clip(self, x: Tensor, frames: int, height: int, width: int) -> Tensor:
        """Put patches (B, P, frames x 4 x 4 x 3) together again."""
        deep = self.config.patch_frames
        x = x.view(len(x), frames // deep, height // PATCH, width // PATCH, deep, PATCH, PATCH, COLOURS)
        return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(len(x), frames, height, width, COLOURS)


def _shifted(x: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Take an eighth of the channels of (B, P, C) from each of the six patches beside one, in time and space.

    It costs next to nothing and has no weights, and patches that touch learn of each other at once (Wang et al. 2022,
    "When Shift Operation Meets Vision Transformer"). What comes from outside is 0.
    """
    x = x.view(len(x), *grid, -1)
    moved = torch.zeros_like(x)
    part = x.shape[-1] // 8
    for place, axis in enumerate((1, 2, 3)):
        far = x.shape[axis] - 1
        ahead, behind = (slice((2 * place + way) * part, (2 * place + way + 1) * part) for way in (0, 1))
        moved.narrow(axis, 1, far)[..., ahead] = x.narrow(axis, 0, far)[..., ahead]
        moved.narrow(axis, 0, far)[..., behind] = x.narrow(axis, 1, far)[..., behind]
    moved[..., 6 * part :] = x[..., 6 * part :]
    return moved.flatten(1, 3)


def _places(frames: int, height: int, width: int) -> Tensor:
    """Where each patch lies, (P, 48)."""
    grid = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
    return torch.cat([_waves(axis.reshape(-1).float() * PATCH, PLACES // 6, 64.0) for axis in grid], dim=-1)


def _waves(values: Tensor, count: int, longest: float) -> Tensor:
    """Sines and cosines of numbers (N,) at `count` frequencies, from 1 down to 1 / `longest`: (N, 2 count)."""
    frequencies = torch.exp(torch.arange(count, device=values.device) * (-math.log(longest) / (count - 1)))
    angles = values[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
