"""A long video in pieces that overlap, and back: what a model that sees five seconds needs to make five minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from treadle.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from treadle.video.frames import Frame

Join = Literal["blend", "cut"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames `begin` up to, and without, `end`."""

    begin: int
    end: int


def planned(frames: int, length: int, overlap: int) -> list[Chunk]:
    """Pieces of `length` frames, each beginning with the last `overlap` of the one before; the last may be shorter.

    Raises `UsageError` for an overlap that leaves nothing new.
    """
    if length < 2 or not 0 <= overlap < length:
        raise UsageError(f"Pieces of {length} frames cannot overlap by {overlap}; the overlap must be smaller.")
    chunks = [Chunk(0, min(length, frames))]
    while chunks[-1].end < frames:
        begin = chunks[-1].end - overlap
        chunks.append(Chunk(begin, min(begin + length, frames)))
    return chunks


@dataclass(frozen=True, slots=True)
class Seam:
    """How two pieces met, over the frames that both have."""

    frame: int
    """Number of the first frame of the later piece."""
    difference: float
    """Mean absolute difference of what both say of the same frames, in grey levels, before matching."""
    colour: list[float]
    """How much brighter the later piece is, per channel."""


def stitched(
    pieces: Sequence[Iterator[Frame]], chunks: Sequence[Chunk], join: Join, *, match: bool, seams: list[Seam]
) -> Iterator[Frame]:
    """Frames of the whole, from the frames of its pieces; `seams` is filled on the way.

    With `blend` both pieces fade into each other where they overlap; with `cut` the overlap of the later one is left
    out, as is right when it was generated from just these frames. With `match` the later piece takes the mean and
    spread of each channel of the earlier one, as measured where both overlap, fading out towards its end.
    """
    tail: list[Frame] = []
    carried: _Match | None = None
    for number, (piece, chunk) in enumerate(zip(pieces, chunks, strict=True)):
        following = chunks[number + 1] if number + 1 < len(chunks) else None
        keep = 0 if following is None else chunk.end - following.begin
        head = [next(piece) for _ in range(len(tail))]
        if tail:
            seams.append(_seam(chunk.begin, tail, head))
            carried = _Match(tail, head, chunk.end - chunk.begin) if match else None
        length = chunk.end - chunk.begin
        buffer: list[Frame] = []
        for place, frame in enumerate(_joined(tail, head, piece, join, carried)):
            buffer.append(frame)
            if place < length - keep:
                yield buffer.pop(0)
        tail = buffer


def _joined(
    tail: list[Frame], head: list[Frame], rest: Iterator[Frame], join: Join, carried: _Match | None
) -> Iterator[Frame]:
    for place, (earlier, later) in enumerate(zip(tail, head, strict=True)):
        if join == "cut":
            yield earlier
            continue
        share = (place + 1) / (len(tail) + 1)
        shown = later if carried is None else carried.applied(later, place)
        mixed = earlier.astype(np.float32) * (1 - share) + shown.astype(np.float32) * share
        yield np.rint(mixed).astype(np.uint8)
    for place, frame in enumerate(rest, len(tail)):
        yield frame if carried is None else carried.applied(frame, place)


class _Match:
    """Brings the colours of a piece to those of the one before; less and less towards its end."""

    def __init__(self, tail: list[Frame], head: list[Frame], length: int) -> None:
        wanted, given = _levels(tail), _levels(head)
        self._gain = np.clip(wanted[1] / np.maximum(given[1], 1.0), 0.8, 1.25)
        self._offset = wanted[0] - given[0] * self._gain
        self._length = length

    def applied(self, frame: Frame, place: int) -> Frame:
        strength = 1 - place / max(1, self._length)
        gain, offset = 1 + (self._gain - 1) * strength, self._offset * strength
        levels = np.arange(256)[:, None] * gain + offset
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return np.stack([table[frame[..., channel], channel] for channel in range(3)], axis=-1)


def _levels(frames: list[Frame]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel over some frames."""
    means = np.array([frame.mean(axis=(0, 1)) for frame in frames])
    squares = np.array([np.square(frame.astype(np.float64)).mean(axis=(0, 1)) for frame in frames])
    mean = means.mean(axis=0)
    return mean, np.sqrt(np.maximum(squares.mean(axis=0) - mean**2, 0))


def _seam(frame: int, tail: list[Frame], head: list[Frame]) -> Seam:
    if not tail:
        return Seam(frame, 0.0, [0.0, 0.0, 0.0])
    differences = [b.astype(np.float32) - a for a, b in zip(tail, head, strict=True)]
    absolute = float(np.mean([np.abs(one).mean() for one in differences]))
    return Seam(
        frame, absolute, [float(value) for value in np.mean([one.mean(axis=(0, 1)) for one in differences], axis=0)]
    )
