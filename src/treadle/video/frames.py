"""Reading and writing frames, one at a time: no tool here ever holds a whole video.

A frame is uint8, height x width x 3, red first. Decoding and encoding are PyAV's (FFmpeg's libraries).
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.files import disk_errors, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

Frame = NDArray[np.uint8]
Quality = Literal["good", "high", "lossless"]
MOST_PIXELS = 8192 * 8192
"""Of one frame; beyond, it is an accident or an attack."""
_QUALITY: dict[str, dict[str, str]] = {
    "good": {"crf": "18", "preset": "medium", "mbtree": "0"},
    "high": {"crf": "10", "preset": "fast", "mbtree": "0"},
    "lossless": {"qp": "0", "preset": "fast"},
}
"""The tree of macroblocks stays out: with it the same frames came out as different videos, one time in five at 64 x 64
and more often at 320 x 240 (x264 as PyAV 18 brings it), and equal requests must make equal videos."""
IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a file says of its video."""

    path: str
    width: int
    height: int
    fps: float
    frames: int
    """As the file states it, else as estimated from its length; 0 = unknown."""
    seconds: float
    codec: str
    pixel_format: str
    audio: bool
    bytes: int
    made_by: dict[str, Any]
    """What Treadle wrote into the file about how it was made; empty for others' files."""


def probe(path: Path) -> VideoFacts:
    """Read a file's header; raises `NotFoundError` and `DataError`."""
    with opened(path) as (container, stream):
        context = stream.codec_context
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if not seconds and container.duration:
            seconds = container.duration / av.time_base
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        return VideoFacts(
            path=str(path),
            width=context.width,
            height=context.height,
            fps=fps,
            frames=stream.frames or round(seconds * fps),
            seconds=seconds,
            codec=context.name,
            pixel_format=context.pix_fmt or "unknown",
            audio=bool(container.streams.audio),
            bytes=path.stat().st_size,
            made_by=_made_by(container.metadata),
        )


def rate(path: Path) -> Fraction:
    """Frames per second, exactly; raises `DataError` for a file that does not say."""
    with opened(path) as (_, stream):
        found = stream.average_rate or stream.guessed_rate
        if not found:
            raise DataError(f"{path} does not say how many frames a second it has.")
        return Fraction(found)


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a video in order; raises `DataError` when it breaks off in the middle."""
    with opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        number = 0
        try:
            for frame in container.decode(stream):
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                number += 1
        except av.FFmpegError as error:
            raise DataError(f"{path} is damaged after frame {number} ({error.strerror}).") from error
        if not number:
            raise DataError(f"{path} holds no frame that can be read.")
        # A file that was cut off just ends. A few frames less than stated is what edit lists of whole files do.
        if number + max(2, stream.frames // 50) < stream.frames:
            raise DataError(f"{path} breaks off after {number} of {stream.frames} frames; copy it again.")


def read_images(paths: Sequence[Path]) -> Iterator[Frame]:
    """Yield pictures as frames; all must have the size of the first."""
    size: tuple[int, ...] | None = None
    for path in paths:
        data = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if picture is None:
            raise DataError(f"{path} is not a picture that can be read.")
        size = size or picture.shape
        if picture.shape != size:
            given, first = (f"{shape[1]}x{shape[0]}" for shape in (picture.shape, size))
            raise DataError(f"{path} is {given}, but the first picture is {first}; scale them to one size first.")
        yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def image_files(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order in which people count: 2 before 10."""
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is not a folder of pictures.")
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
    if not found:
        raise NotFoundError(f"No pictures in {folder} ({', '.join(sorted(IMAGE_ENDINGS))}).")
    return sorted(found, key=lambda path: _counted(path.name))


class FrameWriter:
    """Writes an MP4 (H.264) that is there wholly or not at all.

    Frames of odd width or height are stored in full colour resolution, others as every player expects. `made_by` is
    stored in the file and read back by `probe`.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        *,
        quality: Quality = "good",
        made_by: Mapping[str, Any] | None = None,
        sound: Path | None = None,
    ) -> None:
        """Write to `path`; the size is that of the first frame. The sound of the file `sound` goes along."""
        self._path = path
        self._fps = fps
        self._options: dict[str, object] = dict(_QUALITY[quality])
        self._lossless = quality == "lossless"
        self._made_by = dict(made_by or {})
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")  # of a killed attempt: written anew
        self._sound = sound
        self._sound_stream: av.AudioStream | None = None
        self._opened: tuple[av.container.OutputContainer, av.VideoStream] | None = None
        self.frames = 0

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Append one frame."""
        with disk_errors(self._path):
            if self._opened is None:
                self._opened = self._begun(frame)
            container, stream = self._opened
            height, width = frame.shape[:2]
            if (width, height) != (stream.width, stream.height):
                raise DataError(
                    f"Frame {self.frames} is {width}x{height}, but the video is {stream.width}x{stream.height}."
                )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
            self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            elif self._opened is not None:
                with contextlib.suppress(av.FFmpegError, OSError):
                    self._opened[0].close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _begun(self, frame: Frame) -> tuple[av.container.OutputContainer, av.VideoStream]:
        height, width = frame.shape[:2]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        container = av.open(str(self._temporary), "w", options={"movflags": "use_metadata_tags+faststart"})
        container.metadata["treadle"] = json.dumps(self._made_by, ensure_ascii=False, sort_keys=True)
        stream = container.add_stream("libx264rgb" if self._lossless else "libx264", rate=self._fps)
        stream.width, stream.height = width, height
        even = width % 2 == 0 and height % 2 == 0
        stream.pix_fmt = "rgb24" if self._lossless else "yuv420p" if even else "yuv444p"
        stream.options = dict(self._options)
        if self._sound is not None:
            with opened(self._sound) as (source, _):
                if source.streams.audio:  # one that MP4 cannot hold is left out
                    with contextlib.suppress(ValueError, av.FFmpegError):
                        self._sound_stream = container.add_stream_from_template(source.streams.audio[0])
        return container, stream

    def _finish(self) -> None:
        if self._opened is None:
            raise DataError(f"There is no frame to write into {self._path}.")
        container, stream = self._opened
        with disk_errors(self._path):
            container.mux(stream.encode(None))
            self._copy_sound(container)
            container.close()
            with self._temporary.open("rb") as file:
                os.fsync(file.fileno())
            self._temporary.replace(self._path)
            sync_folder(self._path.parent)

    def _copy_sound(self, container: av.container.OutputContainer) -> None:
        if self._sound is None or self._sound_stream is None:
            return
        with opened(self._sound) as (source, _):
            for packet in source.demux(source.streams.audio[0]):
                if packet.dts is not None:  # not the empty one at the end
                    packet.stream = self._sound_stream
                    container.mux(packet)


def resized(frame: Frame, width: int, height: int) -> Frame:
    """A frame in another size: averaged when it shrinks, cubic when it grows."""
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = frame.shape[0] * frame.shape[1] > width * height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=method), np.uint8)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A file with its first stream of pictures; raises `NotFoundError`, and `DataError` for what holds none."""
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist or is no file.")
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        raise DataError(f"{path} is not a video that can be read ({error.strerror}).") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{path} has no picture, only {', '.join(s.type for s in container.streams) or 'nothing'}.")
        stream = container.streams.video[0]
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            raise UsageError(f"{path} has frames of more than {MOST_PIXELS:,} pixels.")
        yield container, stream


def _made_by(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What `FrameWriter` stored; others may have put anything there."""
    try:
        value = json.loads(metadata.get("treadle", "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or not isinstance(value.get("options", {}), dict):
        return {}
    sources = value.get("sources", [])
    return value if isinstance(sources, list) and all(isinstance(one, dict) for one in sources) else {}


def _counted(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers inside names by their value."""
    parts: list[tuple[int, str]] = []
    digits, text = "", ""
    for character in f"{name}\0":
        if character.isdigit() and character.isascii():
            if text:
                parts.append((-1, text))
                text = ""
            digits += character
        else:
            if digits:
                parts.append((int(digits), ""))
                digits = ""
            text += character
    return [*parts, (-1, text)]
