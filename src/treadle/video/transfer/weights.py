"""How strongly a control steers: a number, a number that changes with time, or a mask.

Weights of several controls are scaled down together where they add up to more than 1, as the targets do.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MOST_WEIGHT = 10.0
"""Beyond, it is a slip of the finger: weights that add up to more than 1 are scaled down anyway."""
ADAPTIVE = "adaptive"
_POINT = re.compile(r"(?P<at>\d+(?:\.\d+)?)(?P<seconds>s?):(?P<weight>[^\s,]+)")
_MASK_KEYS = ("mask", "inside", "outside")


@dataclass(frozen=True, slots=True)
class Keyframe:
    """The weight at one frame."""

    frame: int
    """Of the source, counted from 0."""
    weight: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """A weight that goes in straight lines from keyframe to keyframe; level before the first and after the last.

    One keyframe is a constant.
    """

    keyframes: tuple[Keyframe, ...]

    def at(self, frame: int) -> float:
        """The weight at one frame."""
        return float(self.over(frame, 1)[0])

    def over(self, first: int, frames: int) -> NDArray[np.float64]:
        """The weights of `frames` frames from `first` on."""
        places = [one.frame for one in self.keyframes]
        values = [one.weight for one in self.keyframes]
        return np.interp(np.arange(first, first + frames), places, values)

    @property
    def constant(self) -> float | None:
        """The one weight that never changes; None if it does."""
        values = {one.weight for one in self.keyframes}
        return values.pop() if len(values) == 1 else None

    def __str__(self) -> str:
        constant = self.constant
        if constant is not None:
            return f"{constant:g}"
        return " ".join(f"{one.frame}:{one.weight:g}" for one in self.keyframes)

    def to_plain(self) -> float | str:
        """As `read_weight` reads it."""
        constant = self.constant
        points = (f"{one.frame}:{one.weight!r}" for one in self.keyframes)
        return constant if constant is not None else " ".join(points)


@dataclass(frozen=True, slots=True)
class Mask:
    """A weight that differs from place to place: white is `inside`, black is `outside`, grey lies between."""

    path: Path
    """A picture, a folder of numbered pictures, or a video; the last picture stands for all that follow."""
    inside: Schedule
    outside: float

    def __str__(self) -> str:
        return f"{self.inside} inside {self.path.name}, {self.outside:g} outside"

    def to_plain(self) -> dict[str, Any]:
        """As `read_weight` reads it."""
        return {"mask": str(self.path), "inside": self.inside.to_plain(), "outside": self.outside}


@dataclass(frozen=True, slots=True)
class Adaptive:
    """A weight for each clip that is measured on the control's own map (`weights_adaptive`)."""

    most: float
    """What a map gets that could not tell more."""

    def __str__(self) -> str:
        return f"adaptive, at most {self.most:g}"

    def to_plain(self) -> dict[str, Any]:
        """As `read_weight` reads it."""
        return {ADAPTIVE: self.most}


@dataclass(frozen=True, slots=True)
class Steps:
    """A weight for each clip."""

    weights: tuple[float, ...]

    @property
    def constant(self) -> float | None:
        """The one weight of all clips; None if they differ."""
        return self.weights[0] if len(set(self.weights)) == 1 else None

    def __str__(self) -> str:
        constant = self.constant
        return f"{constant:g}" if constant is not None else " ".join(f"{one:g}" for one in self.weights)

    def to_plain(self) -> dict[str, Any]:
        """As a table; `read_weight` knows none, because clips are another target's own."""
        return {"clips": list(self.weights)}


Weight = Schedule | Mask | Adaptive | Steps


def constant(weight: float) -> Schedule:
    """A weight that is the same everywhere and always."""
    return Schedule((Keyframe(0, weight),))


def read_weight(value: Any, where: str, *, folder: Path, fps: float) -> Weight:  # noqa: ANN401 - from JSON or a flag
    """Read a number, `"0:0.2 48:0.8"`, `"0s:0.2 2s:0.8"`, `"adaptive"`, a mask's path, or a table of one of them.

    Args:
        value: What was given.
        where: The control, for messages.
        folder: What paths are relative to.
        fps: Frames per second of the source, for points given in seconds.

    Raises:
        UsageError: It cannot be understood, is out of range, or names a mask that is not there.
    """
    if isinstance(value, dict):
        return _read_table(value, where, folder, fps)
    if isinstance(value, str):
        text = value.strip()
        if text == ADAPTIVE:
            return Adaptive(1.0)
        if ":" in text:
            return read_schedule(text, where, fps)
        if _is_number(text):
            return constant(_checked(float(text), where))
        return Mask(_mask_file(text, where, folder), constant(1.0), 0.0)
    return constant(_number(value, where))


def names_file(text: str) -> bool:
    """Whether a weight in words is neither a number nor a schedule nor adaptive, so that it can only name a mask."""
    return text.strip() != ADAPTIVE and ":" not in text and not _is_number(text.strip())


def read_schedule(text: str, where: str, fps: float) -> Schedule:
    """Read `FRAME:WEIGHT` or `SECONDSs:WEIGHT` points, separated by spaces or commas; raises `UsageError`."""
    points: list[Keyframe] = []
    for part in re.split(r"[\s,]+", text.strip()):
        match = _POINT.fullmatch(part)
        if match is None or not _is_number(match["weight"]):
            raise UsageError(
                f"Cannot read `{part}` of the weight of {where}: write FRAME:WEIGHT points such as "
                "`0:0.2 48:0.8`, or seconds such as `0s:0.2 2s:0.8`."
            )
        at = float(match["at"])
        if match["seconds"] and not fps:
            raise UsageError(f"The weight of {where} is in seconds, but the video does not say its frame rate.")
        if not match["seconds"] and at != int(at):
            raise UsageError(f"The weight of {where} has a point at frame {at:g}; frames are whole (or write {at:g}s).")
        frame = round(at * fps) if match["seconds"] else int(at)
        if points and frame <= points[-1].frame:
            raise UsageError(
                f"The weight of {where} has frame {frame} after frame {points[-1].frame}; points go forward in time."
            )
        points.append(Keyframe(frame, _checked(float(match["weight"]), where)))
    return Schedule(tuple(points))


def normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale the weights of controls (first axis) down where they add up to more than 1, as the targets do."""
    return np.asarray(weights / np.maximum(1.0, weights.sum(axis=0, keepdims=True)), np.float64)


def clip_weight(weight: Weight, clip: int, first: int, frames: int) -> float:
    """The mean weight in one clip, inside of a mask; of an adaptive one not yet measured, the most it can be."""
    if isinstance(weight, Steps):
        return weight.weights[clip]
    if isinstance(weight, Adaptive):
        return weight.most
    course = weight.inside if isinstance(weight, Mask) else weight
    return float(course.over(first, max(1, frames)).mean())


def _read_table(value: Mapping[str, Any], where: str, folder: Path, fps: float) -> Weight:
    if ADAPTIVE in value:
        _known(value, (ADAPTIVE,), where)
        return Adaptive(_number(value[ADAPTIVE], where))
    _known(value, _MASK_KEYS, where)
    if not isinstance(value.get("mask"), str):
        raise UsageError(
            f'The weight of {where} is a table without a mask: write {{"mask": "car.png", "inside": 0.8}}.'
        )
    inside = read_weight(value.get("inside", 1.0), f"{where} inside the mask", folder=folder, fps=fps)
    if not isinstance(inside, Schedule):
        raise UsageError(f"The weight of {where} inside the mask must be a number or a schedule, not {inside}.")
    outside = _number(value.get("outside", 0.0), f"{where} outside the mask")
    return Mask(_mask_file(value["mask"], where, folder), inside, outside)


def _known(value: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise UsageError(
                f"The weight of {where} has an unknown key `{key}`.{did_you_mean(str(key), known)} "
                f"Known: {', '.join(known)}."
            )


def _mask_file(text: str, where: str, folder: Path) -> Path:
    path = (folder / Path(text).expanduser()).resolve()
    if not path.exists():
        raise UsageError(
            f"The weight of {where} is `{text}`, which is no number, no schedule (0:0.2 48:0.8), not `adaptive`, "
            f"and no mask that is there ({path})."
        )
    return path


def _number(value: Any, where: str) -> float:  # noqa: ANN401 - from JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"The weight of {where} is {value!r}; it must be a number from 0 to {MOST_WEIGHT:g}.")
    return _checked(float(value), where)


def _checked(value: float, where: str) -> float:
    if not math.isfinite(value) or not 0 <= value <= MOST_WEIGHT:
        raise UsageError(f"The weight of {where} is {value:g}; it must be a number from 0 to {MOST_WEIGHT:g}.")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
