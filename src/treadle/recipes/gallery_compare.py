"""A result beside what it was made from: as a video, or as one picture of three moments."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, MissingExtraError
from treadle.base.files import write_bytes
from treadle.recipes.frame_counting import Counted
from treadle.recipes.gallery_items import PICTURES

try:
    import cv2

    from treadle.video import frames, origin
except ModuleNotFoundError as error:
    raise MissingExtraError("Videos need an optional part: pip install 'treadle[video]'.") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.jobs.context import RunContext
    from treadle.operations.gallery import GalleryComparePayload
    from treadle.video.frames import Frame

_GAP: Final = 4
"""Black pixels between the two."""
_MOMENTS: Final = (1 / 6, 1 / 2, 5 / 6)
"""Of the length, for a picture of a video."""


def run(context: RunContext, payload: GalleryComparePayload) -> dict[str, Any]:
    """Write original and result side by side, moment by moment; returns what was written."""
    began = time.monotonic()
    first, second, target = Path(payload.original), Path(payload.result), Path(payload.out)
    total = frames.probe(second).frames
    pairs = Counted(context, total)(_pairs(first, second))
    if target.suffix.lower() in PICTURES:
        count = _picture(pairs, total, target)
        fps = 0.0
    else:
        rate = _rate(second)
        fps = float(rate)
        about = {"tool": "gallery compare", "sources": [origin.described(first), origin.described(second)]}
        with frames.FrameWriter(target, rate, quality="good", made_by=about) as writer:
            for left, right in pairs:
                writer.write(_beside(left, right))
        count = writer.frames
    return {
        "item": payload.item,
        "original": payload.original,
        "result": payload.result,
        "out": payload.out,
        "outcome": "done",
        "frames": count,
        "fps": fps,
        "bytes": target.stat().st_size,
        "seconds": round(time.monotonic() - began, 2),
    }


def _pairs(first: Path, second: Path) -> Iterator[tuple[Frame, Frame]]:
    """Each frame of the result, with the one that the original shows at the same time; its last one stays."""
    originals = frames.read_frames(first)
    left = next(originals)
    number = 0
    step = _rate(first) / _rate(second)
    for place, right in enumerate(frames.read_frames(second)):
        wanted = int(place * step + Fraction(1, 2))
        while number < wanted and (following := next(originals, None)) is not None:
            left, number = following, number + 1
        yield left, right


def _rate(path: Path) -> Fraction:
    """Frames per second; a picture says none, or one that means nothing."""
    return frames.rate(path) if path.suffix.lower() not in PICTURES else Fraction(24)


def _beside(left: Frame, right: Frame) -> Frame:
    """Two frames of the same height, the original scaled to that of the result; the width is even, as players want."""
    height = right.shape[0]
    width = max(1, round(left.shape[1] * height / left.shape[0]))
    gap = np.zeros((height, _GAP + (width + right.shape[1]) % 2, 3), np.uint8)
    return np.concatenate([frames.resized(left, width, height), gap, right], axis=1)


def _picture(pairs: Iterator[tuple[Frame, Frame]], total: int, target: Path) -> int:
    """Three moments below each other, or the one there is; returns how many."""
    wanted = sorted({min(total - 1, int(total * share)) for share in _MOMENTS}) if total > 1 else [0]
    rows = [_beside(*pair) for place, pair in enumerate(pairs) if place in wanted]
    if not rows:
        raise DataError(f"There is no frame to draw {target} of.")
    gap = np.zeros((_GAP, rows[0].shape[1], 3), np.uint8)
    parts = [part for row in rows for part in (gap, row)][1:]
    shown = cv2.cvtColor(np.concatenate(parts), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(target.suffix.lower(), shown)
    if not done:
        raise DataError(f"{target} is no kind of picture that can be written; use .png, .jpg or .webp.")
    write_bytes(target, data.tobytes())
    return len(rows)
