"""What steers a clip, as the network sees it; and how training clips are steered, so that weights mean something.

Symbols in shapes: B batch, T frames, S edge in pixels, V phrases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from treadle.models.video_flow.config import VideoFlowConfig

FULL: Final = 0.6
"""Share of the training clips with a control whose control has its full weight; the others draw one from 0 to 1."""
MASKED: Final = 0.25
"""Share of the training clips whose controls hold in a part of the picture only."""
REACH: Final = 4
"""A map of weight near 0 lies up to an S / REACH beside the place where its edges are."""


class Chance:
    """Random numbers on a device: torch's own while training, which are seeded by the step, else always the same."""

    def __init__(self, device: torch.device, *, fixed: bool) -> None:
        """With `fixed`, begin with the same number each time."""
        self.device = device
        self._generator = torch.Generator(device).manual_seed(0) if fixed else None

    def uniform(self, *shape: int) -> Tensor:
        """From 0 to 1."""
        return torch.rand(shape, generator=self._generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Around 0 with deviation 1."""
        return torch.randn(shape, generator=self._generator, device=self.device)


class Steering(NamedTuple):
    """All that a clip is made from, besides noise."""

    edges: Tensor
    """0 to 1, (B, T, S, S, 1)."""
    edge_weight: Tensor
    """0 = these edges count for nothing, 1 = they are followed; (B, T, S, S, 1)."""
    blur: Tensor
    """-1 to 1, (B, T, S, S, 3)."""
    blur_weight: Tensor
    """(B, T, S, S, 1)."""
    given: Tensor
    """1 where a frame is given as it shall be, (B, T, 1, 1, 1)."""
    phrases: Tensor
    """1 for each phrase of the caption, (B, V)."""

    def channels(self) -> Tensor:
        """As the network reads them, (B, T, S, S, 7): what has no weight cannot be seen."""
        there = (self.blur_weight > 0).to(self.blur.dtype)
        edged = (self.edge_weight > 0).to(self.edges.dtype)
        given = self.given.expand_as(self.edge_weight)
        parts = [self.edges * edged, self.edge_weight, self.blur * there, self.blur_weight, given]
        return torch.cat(parts, dim=-1)


def pixels(frames: Tensor) -> Tensor:
    """Colours of 0 to 255 as numbers from -1 to 1."""
    return frames.float() / 127.5 - 1


def phrases_of(bits: Tensor, vocabulary: int) -> Tensor:
    """Turn the bits of `data.clip_data` (B,) into one number for each phrase, (B, V)."""
    return ((bits.long()[:, None] >> torch.arange(vocabulary, device=bits.device)) & 1).float()


def training_steering(inputs: Tensor, phrases: Tensor, config: VideoFlowConfig, chance: Chance) -> Steering:
    """Draw how strictly each clip of `inputs` (B, T, S, S, 7) is steered.

    A control of weight w below 1 is moved aside by up to (1 - w) S / REACH pixels each way, so the network learns to
    follow it no closer than that: this is what a weight means.
    """
    batch, frames, edge = inputs.shape[:3]
    found = []
    for control in (inputs[..., 3:4].float() / 255, pixels(inputs[..., 4:7])):
        weight = _weights(batch, config.control_dropout, chance)
        moved = _moved(control, (1 - weight) * edge / REACH, chance)
        area = _areas(batch, edge, chance)[:, None, :, :, None]
        found.append((moved, (weight[:, None, None, None, None] * area).expand(batch, frames, edge, edge, 1)))
    kept = (chance.uniform(batch, 1) >= config.phrase_dropout).float()
    overlap = chance.uniform(batch) * frames / 2 * (chance.uniform(batch) < config.known_frames)
    given = (torch.arange(frames, device=chance.device)[None] < overlap.ceil()[:, None]).float()
    return Steering(*found[0], *found[1], given[:, :, None, None, None], phrases * kept)


def _weights(count: int, dropped: float, chance: Chance) -> Tensor:
    kind, weight = chance.uniform(count), chance.uniform(count)
    weight = torch.where(kind < dropped + (1 - dropped) * FULL, 1.0, weight)
    return torch.where(kind < dropped, 0.0, weight)


def _moved(control: Tensor, most: Tensor, chance: Chance) -> Tensor:
    """Move each control (T, S, S, C) aside by up to `most` (B,) pixels each way."""
    ways = ((chance.uniform(len(control), 2) * 2 - 1) * most[:, None]).round().long().tolist()
    return torch.stack([one.roll((down, right), (1, 2)) for one, (down, right) in zip(control, ways, strict=True)])


def _areas(count: int, edge: int, chance: Chance) -> Tensor:
    """Where controls hold, (B, S, S): mostly everywhere, else on one side of a line."""
    angle = chance.uniform(count, 1, 1) * 2 * torch.pi
    middle = chance.uniform(count, 2, 1, 1)
    steps = torch.arange(edge, device=chance.device) / edge
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    side = (x - middle[:, 0]) * angle.cos() + (y - middle[:, 1]) * angle.sin() > 0
    everywhere = chance.uniform(count, 1, 1) >= MASKED
    return (side | everywhere).float()
