"""Where and how strongly each control counts in one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from treadle.base.errors import UsageError
from treadle.video import frames
from treadle.video.transfer.clips import snapped
from treadle.video.transfer.explain import course
from treadle.video.transfer.weights import Mask, normalised
from treadle.video.transfer.weights_adaptive import chosen_frames, control_picture, measured
from treadle.video.transfer.weights_mask import read_mask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.video.frames import Frame
    from treadle.video.transfer.clips import ClipPlan
    from treadle.video.transfer.spec import Control, TransferSpec


@dataclass(frozen=True, slots=True)
class ControlView:
    """One control in one frame."""

    kind: str
    map: Frame | None
    """Its map; None where the target makes it."""
    weights: NDArray[np.float64]
    """(H, W), as sent: all controls together nowhere more than 1."""


def views(spec: TransferSpec, plan: ClipPlan, number: int) -> tuple[Frame, list[ControlView]]:
    """A frame of the input in the model's size, and what each control says of it.

    Raises:
        UsageError: There is no such frame.
    """
    if not 0 <= number < spec.frames:
        raise UsageError(f"There is no frame {number}; the request has frames 0 to {spec.frames - 1}.")
    spec = measured(spec, plan)
    clip = next(one for one in reversed(plan.clips) if one.first <= number)
    width, height = snapped(*spec.size)
    asked = np.empty((len(spec.controls), height, width))
    for place, control in enumerate(spec.controls):
        inside = float(course(control, clip)[number - clip.first])
        if isinstance(control.weight, Mask):
            mask = cv2.resize(_mask_at(control.weight.path, number), (width, height), interpolation=cv2.INTER_AREA)
            asked[place] = control.weight.outside + (inside - control.weight.outside) * mask
        else:
            asked[place] = inside
    weights = normalised(asked)
    maps = [_map_at(spec, control, number) for control in spec.controls]
    found = [
        ControlView(one.kind, *pair) for one, pair in zip(spec.controls, zip(maps, weights, strict=True), strict=True)
    ]
    return frames.resized(_frame_at(spec.source.path, number), width, height), found


def _map_at(spec: TransferSpec, control: Control, number: int) -> Frame | None:
    if control.map is not None:
        return control_picture(control, _frame_at(control.map.path, number))
    if control.strength is not None:
        return control_picture(control, _frame_at(spec.source.path, number))
    return None


def _frame_at(path: Path, number: int) -> Frame:
    for _, frame in chosen_frames(path, [number]):
        return frame
    raise UsageError(f"{path} ends before frame {number}.")


def _mask_at(path: Path, number: int) -> NDArray[np.float32]:
    """The last picture of a mask stands for all that follow."""
    last: NDArray[np.float32] | None = None
    for place, picture in enumerate(read_mask(path)):
        last = picture
        if place >= number:
            break
    if last is None:
        raise UsageError(f"{path} holds no picture.")
    return last
