"""Clips of moving shapes, drawn by numbers alone: what a model of video learns from in the first minutes, and in tests.

A clip shows one or two shapes of one colour each that move straight on, turn, and bounce off the border. Its caption
names them: `red circle, white square, on teal`. The same seed and number give the same clip on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

COLOURS = {
    "red": (220, 40, 40),
    "green": (50, 190, 70),
    "blue": (50, 90, 230),
    "yellow": (240, 210, 50),
    "white": (245, 245, 245),
    "pink": (240, 120, 190),
}
GROUNDS = {"black": (12, 12, 16), "grey": (110, 110, 115), "teal": (15, 85, 90), "brown": (95, 60, 35)}
SHAPES = ("circle", "square", "triangle")
FRAMES = 16
"""Of each clip."""
EDGE = 32
"""Width and height of each clip, in pixels."""


@dataclass(frozen=True, slots=True)
class ShapeClip:
    """One clip and what it shows."""

    caption: str
    frames: NDArray[np.uint8]
    """(T, S, S, 3)."""


def shape_clips(count: int, seed: int, frames: int = FRAMES, edge: int = EDGE) -> Iterator[ShapeClip]:
    """Draw `count` clips of `frames` frames of `edge` x `edge` pixels."""
    for number in range(count):
        yield shape_clip(np.random.default_rng([seed, number]), frames, edge)


def shape_clip(random: np.random.Generator, frames: int = FRAMES, edge: int = EDGE) -> ShapeClip:
    """Draw one clip with what `random` decides."""
    ground = str(random.choice(list(GROUNDS)))
    picture = np.broadcast_to(np.array(GROUNDS[ground], np.float32), (frames, edge, edge, 3)).copy()
    colours = random.choice(list(COLOURS), size=int(random.integers(1, 3)), replace=False)
    phrases = []
    for colour in map(str, colours):
        shape = str(random.choice(SHAPES))
        share = _coverage(shape, random, frames, edge)[..., None]
        picture = picture * (1 - share) + np.array(COLOURS[colour], np.float32) * share
        phrases.append(f"{colour} {shape}")
    return ShapeClip(", ".join([*phrases, f"on {ground}"]), np.rint(picture).astype(np.uint8))


def _coverage(shape: str, random: np.random.Generator, frames: int, edge: int) -> NDArray[np.float32]:
    """Which share of each pixel a moving shape covers, (T, S, S)."""
    radius = random.uniform(0.15, 0.24) * edge
    low, high = radius, edge - radius
    start = random.uniform(low, high, size=2)
    heading, speed = random.uniform(0, 2 * math.pi), random.uniform(0.02, 0.06) * edge
    step = np.array([math.cos(heading), math.sin(heading)]) * speed
    time = np.arange(frames)[:, None]
    span = high - low
    way = np.mod(start - low + step * time, 2 * span)  # there and back again
    centre = (low + span - np.abs(way - span)).astype(np.float32)  # (T, 2)
    angle = random.uniform(0, 2 * math.pi) + random.uniform(-0.15, 0.15) * time[:, 0]
    turned = angle.astype(np.float32)[:, None, None]
    grid = np.arange(edge, dtype=np.float32) + np.float32(0.5)
    x = grid[None, None, :] - centre[:, 0, None, None]
    y = grid[None, :, None] - centre[:, 1, None, None]
    share: NDArray[np.float32] = np.clip(0.5 - _distance(shape, x, y, turned, np.float32(radius)), 0, 1)
    return share


def _distance(
    shape: str, x: NDArray[np.float32], y: NDArray[np.float32], angle: NDArray[np.float32], radius: np.float32
) -> NDArray[np.float32]:
    """How far each pixel's middle lies outside of the shape's border; below 0 inside."""
    if shape == "circle":
        found: NDArray[np.float32] = np.hypot(x, y) - radius
        return found
    sides, inner = (4, radius * np.float32(0.8)) if shape == "square" else (3, radius * np.float32(0.6))
    facing = [angle + np.float32(2 * math.pi * side / sides) for side in range(sides)]
    nearest: NDArray[np.float32] = np.max([x * np.cos(one) + y * np.sin(one) for one in facing], axis=0)
    return nearest - inner
