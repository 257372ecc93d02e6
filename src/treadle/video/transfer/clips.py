"""How a video falls into the clips that a model makes at a time, what of them is waste, and what noise each has."""

from __future__ import annotations

import random
from dataclasses import dataclass

from treadle.base.errors import UsageError

MOST_SEED = 2**31 - 1
SIZES = {"16:9": (1280, 704), "4:3": (960, 704), "1:1": (960, 960), "3:4": (704, 960), "9:16": (704, 1280)}
"""Width and height that Cosmos-Transfer works in, by the shape of the input; everything is stretched to one of them."""
_RATIOS = {"16:9": 16 / 9, "4:3": 4 / 3, "1:1": 1.0, "3:4": 3 / 4, "9:16": 9 / 16}
_CHAINED = 1_000_000


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of the input that is made in one go."""

    number: int
    """Counted from 0."""
    first: int
    """First frame of the input."""
    frames: int
    """Frames of the input in it; the model fills up to its length by repeating the last."""
    seed: int | None
    """Of its noise; None = the noise goes on from that of the clip before."""


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """All clips of a request."""

    clips: tuple[Clip, ...]
    length: int
    """Frames that the model makes at a time."""
    overlap: int
    frames: int
    """Of the input."""

    @property
    def made(self) -> int:
        """Frames that are generated, of which `frames` are kept."""
        return len(self.clips) * (self.length - self.overlap) + self.overlap

    @property
    def waste(self) -> float:
        """Share of the generated frames that is thrown away."""
        return 1 - self.frames / self.made

    @property
    def saved_by_cutting(self) -> int:
        """Frames to leave out for one clip less; 0 where there is one clip only."""
        if len(self.clips) == 1:
            return 0
        return self.frames - ((len(self.clips) - 1) * (self.length - self.overlap) + self.overlap)


def planned(frames: int, length: int, overlap: int, seeds: list[int | None] | None = None) -> ClipPlan:
    """Lay clips of `length` frames over `frames` frames, each beginning `overlap` frames before the end of the last.

    `seeds` are those of the clips; without them, none is known.
    """
    stride = length - overlap
    count = clip_count(frames, length, overlap)
    known = seeds or [None] * count
    clips = (
        Clip(number, number * stride, min(length, frames - number * stride), known[number]) for number in range(count)
    )
    return ClipPlan(tuple(clips), length, overlap, frames)


def clip_count(frames: int, length: int, overlap: int) -> int:
    """How many clips `frames` frames take."""
    return max(1, -(-(frames - overlap) // (length - overlap)))


def counted_seeds(seed: int, clips: int) -> list[int | None]:
    """Seeds as Cosmos-Transfer 1 takes them: each clip's is one more than that of the clip before."""
    return [seed + number for number in range(clips)]


def chained_seeds(seed: int, clips: int) -> list[int | None]:
    """Seeds as Cosmos-Transfer 2.5 takes them: each clip's is drawn with that of the clip before as the seed."""
    found: list[int | None] = []
    for _ in range(clips):
        seed = random.Random(seed).randint(0, _CHAINED)  # noqa: S311 - as the target draws it
        found.append(seed)
    return found


def spaced_seeds(seed: int, clips: int, runs: int) -> list[int]:
    """Seeds for several runs of `clips` clips each, so that no two of them share the noise of a clip.

    With neighbouring seeds, clip 2 of one run would begin from the same noise as clip 1 of the next.
    Raises `UsageError` when there is no room for them.
    """
    if seed + runs * clips - 1 > MOST_SEED:
        raise UsageError(f"Seed {seed} leaves no room for {runs} runs of {clips} clips; use a smaller one.")
    return [seed + run * clips for run in range(runs)]


def shape(width: int, height: int) -> str:
    """The nearest shape that the model knows, such as `16:9`."""
    return min(_RATIOS, key=lambda name: (_RATIOS[name] - width / height) ** 2)


def snapped(width: int, height: int) -> tuple[int, int]:
    """The size that the model works in for an input of this size."""
    return SIZES[shape(width, height)]


def stretch(width: int, height: int) -> float:
    """By how much an input is stretched sideways to fit: 1.02 = two percent wider than it was."""
    wide, high = snapped(width, height)
    return (wide / high) / (width / height)
