"""Files that are made before they are sent: pieces of videos, control maps, masks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from treadle.base.hashing import hash_file
from treadle.video import controls, frames
from treadle.video.transfer.clips import snapped
from treadle.video.transfer.weights_mask import read_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from treadle.video.frames import Frame
    from treadle.video.transfer.dialects.written import Content
    from treadle.video.transfer.spec import Control, Material, TransferSpec


@dataclass(frozen=True, slots=True)
class Piece:
    """Some frames of a video, as they are."""

    source: Path
    first: int
    frames: int

    def about(self) -> str:
        """See `Derived`."""
        return f"frames {self.first} to {self.first + self.frames - 1} of {self.source.name}"

    def write(self, path: Path) -> None:
        """Cut it out, bit for bit: maps of regions bear no loss."""
        pictures = islice(frames.read_frames(self.source), self.first, self.first + self.frames)
        _encode(path, self.source, pictures, {"first": self.first, "frames": self.frames})


@dataclass(frozen=True, slots=True)
class ControlMap:
    """Edges or blurred pictures of a video, drawn in the size that the model works in, as the target's own are."""

    source: Path
    kind: str
    strength: str
    first: int
    frames: int

    def about(self) -> str:
        """See `Derived`."""
        return f"{self.kind} ({self.strength}) of frames {self.first} to {self.first + self.frames - 1}"

    def write(self, path: Path) -> None:
        """Draw it."""
        draw = controls.edge_map if self.kind == "edge" else controls.blurred
        options = {"control": self.kind, "strength": self.strength, "first": self.first, "frames": self.frames}
        _encode(path, self.source, (draw(frame, self.strength) for frame in self._resized()), options)

    def _resized(self) -> Iterator[Frame]:
        for frame in islice(frames.read_frames(self.source), self.first, self.first + self.frames):
            yield frames.resized(frame, *snapped(frame.shape[1], frame.shape[0]))


@dataclass(frozen=True, slots=True)
class MaskVideo:
    """A mask as a video of black and white."""

    mask: Path
    source: Path
    first: int
    frames: int

    def about(self) -> str:
        """See `Derived`."""
        return f"mask of {self.mask.name} in black and white"

    def write(self, path: Path) -> None:
        """Draw it; the last picture stands for all that follow."""
        options = {"mask": str(self.mask), "first": self.first, "frames": self.frames}
        _encode(path, self.source, self._pictures(), options)

    def _pictures(self) -> Iterator[Frame]:
        last: Frame | None = None
        given = 0
        for number, picture in enumerate(read_mask(self.mask)):
            last = np.repeat(((picture >= 0.5) * np.uint8(255))[..., None], 3, axis=2)
            if number >= self.first:
                if given == self.frames:
                    return
                given += 1
                yield last
        if last is not None:
            for _ in range(self.frames - given):
                yield last


def video_file(spec: TransferSpec, first: int, count: int) -> Content | None:
    """The video, or the part of it that is used; None where there is none."""
    return None if spec.video is None else _part(spec.video, first, count, limited=False)


def map_file(spec: TransferSpec, control: Control, first: int, count: int) -> Content | None:
    """A control's map: the given one, one to be drawn here, or None = the target makes it."""
    if control.map is not None:
        # The target reads no more of a map than the video is long; without a video, nothing tells it where to end.
        return _part(control.map, first, count, limited=spec.video is not None)
    if control.strength is not None and spec.video is not None:
        return ControlMap(spec.video.path, control.kind, control.strength, first, count)
    return None


def rate_remarks(spec: TransferSpec) -> list[str]:
    """What a result with another frame rate than its input means."""
    rate = spec.source.fps
    if abs(rate - spec.fps) <= 0.5:
        return []
    return [
        f"The input has {rate:g} frames a second, the result {spec.fps}: it takes {rate / spec.fps:.2f} times as long."
    ]


def _part(material: Material, first: int, count: int, *, limited: bool) -> Content:
    whole = first == 0 and (count == material.frames or (limited and count < material.frames))
    return material.path if whole else Piece(material.path, first, count)


def ending(content: Content) -> str:
    """The ending of a file's name on the host."""
    from_file = getattr(content, "suffix", "")
    return from_file.lower() or ".mp4"


def _encode(path: Path, source: Path, pictures: Iterator[Frame], options: Mapping[str, object]) -> None:
    about = {
        "tool": "transfer input",
        "sources": [{"path": str(source), "sha256": hash_file(source)}],
        "options": options,
    }
    with frames.FrameWriter(path, frames.rate(source), quality="lossless", made_by=about) as writer:
        for picture in pictures:
            writer.write(picture)
