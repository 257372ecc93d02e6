"""Adaptive weights: how much a control's own map can tell, measured clip by clip.

The rule, for the weight `most` that was asked for: `most * (1/4 + 3/4 * score)`, rounded to 0.05. The score is the mean
over up to five pictures of the clip, from 0 to 1:

- edge: the share of pixels on an edge, where 4 % to 12 % count fully. Less holds little; from 12 % to 30 % the score
  falls to a half, because so many edges are texture and noise, which the result shall not copy.
- vis: the contrast of the blurred picture (standard deviation of its brightness), full at 48 of 255.
- depth: the distance between the 5th and 95th hundredth of the depths, full at half of the range.
- seg: how evenly the picture falls into regions (entropy of their colours), full at 2 bits: four equal regions.

Where the weights of all clips lie within 0.1 of each other, their mean is used for all: one level is worth more than a
small gain with a seam.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from treadle.video import controls, frames
from treadle.video.transfer.clips import snapped
from treadle.video.transfer.weights import Adaptive, Steps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from treadle.video.frames import Frame
    from treadle.video.transfer.clips import ClipPlan
    from treadle.video.transfer.spec import Control, TransferSpec

SAMPLES = 5
"""Pictures that are looked at in each clip."""
_STEP = 0.05
_LEVEL = 0.1


def measured(spec: TransferSpec, plan: ClipPlan) -> TransferSpec:
    """The request with a weight for each clip in place of every adaptive one."""
    wanted = [control for control in spec.controls if isinstance(control.weight, Adaptive)]
    if not wanted:
        return spec
    clip_of = {
        number: clip.number
        for clip in plan.clips
        for number in np.linspace(clip.first, clip.first + clip.frames - 1, SAMPLES).round().astype(int).tolist()
    }
    scores = {control.kind: _scores(control, spec, clip_of, len(plan.clips)) for control in wanted}
    found = tuple(
        dataclasses.replace(control, weight=Steps(levels(control.weight.most, scores[control.kind])))
        if isinstance(control.weight, Adaptive)
        else control
        for control in spec.controls
    )
    return dataclasses.replace(spec, controls=found)


def score(kind: str, picture: Frame) -> float:
    """How much a map tells, from 0 (nothing) to 1."""
    if kind == "edge":
        share = float((picture.max(axis=2) > 127).mean())
        return min(1.0, share / 0.04) * (1 - 0.5 * float(np.clip((share - 0.12) / 0.18, 0, 1)))
    if kind == "vis":
        return min(1.0, float(picture.mean(axis=2).std()) / 48)
    if kind == "depth":
        near, far = np.percentile(picture.mean(axis=2), (5, 95))
        return min(1.0, float(far - near) / 127.5)
    return min(1.0, _entropy(picture) / 2)


def _entropy(picture: Frame) -> float:
    """Of the regions' colours, in bits; neighbouring colours count as one, as lossy video blurs them."""
    coarse = (picture >> 5).astype(np.int64)  # (H, W, 3), 8 steps each
    counts = np.bincount((coarse[..., 0] * 64 + coarse[..., 1] * 8 + coarse[..., 2]).ravel())
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _scores(control: Control, spec: TransferSpec, clip_of: dict[int, int], clips: int) -> list[float]:
    sums, counts = np.zeros(clips), np.zeros(clips)
    source = control.map or spec.source
    for number, picture in chosen_frames(source.path, clip_of):
        sums[clip_of[number]] += score(control.kind, control_picture(control, picture))
        counts[clip_of[number]] += 1
    return [float(one) for one in sums / np.maximum(1, counts)]


def levels(most: float, scores: list[float]) -> tuple[float, ...]:
    """The weights of clips by the rule of this module."""
    weights = [most * (0.25 + 0.75 * one) for one in scores]
    if max(weights) - min(weights) <= _LEVEL:
        weights = [sum(weights) / len(weights)] * len(weights)
    return tuple(round(round(one / _STEP) * _STEP, 2) for one in weights)


def control_picture(control: Control, picture: Frame) -> Frame:
    """The map of a frame in the model's size: drawn from the video, or the given map itself."""
    picture = frames.resized(picture, *snapped(picture.shape[1], picture.shape[0]))
    if control.map is not None or control.strength is None:
        return picture
    return (controls.edge_map if control.kind == "edge" else controls.blurred)(picture, control.strength)


def chosen_frames(path: Path, numbers: Collection[int]) -> Iterator[tuple[int, Frame]]:
    """Yield some frames of a video with their numbers; the others are decoded and passed over."""
    last = max(numbers)
    wanted = set(numbers)
    with frames.opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                yield number, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if number >= last:
                return
