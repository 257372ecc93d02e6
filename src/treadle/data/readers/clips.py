"""Clips of video: files, named after the folder they lie in (`waves/1.mp4`), and moving shapes that are drawn here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.base.errors import UsageError
from treadle.data.bundled.shapes import EDGE, FRAMES, shape_clips
from treadle.data.bundled.texts import BUNDLED
from treadle.data.clip_maps import fitted, require_opencv
from treadle.data.clips import KIND, LARGEST_EDGE, ClipFacts, written
from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.sources import source_of
from treadle.data.readers.walk import files_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

EXTENSIONS: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"})
MOST_FRAMES: Final = 20_000
"""Of one file: 240 MB of pixels for a moment."""
MOST_CLIPS: Final = 20_000
"""Of moving shapes, at once."""
USUAL_CLIPS: Final = 600
_SHAPES: Final = re.compile(rf"{BUNDLED}shapes(?::(\d+)(?:@(\d+))?)?")


def read_paths(paths: Iterable[Path]) -> Iterator[Document | Refusal]:
    """Read files and folders; `bundled:shapes`, `bundled:shapes:COUNT` and `bundled:shapes:COUNT@SEED` are drawn."""
    for given in paths:
        if given.name.startswith(BUNDLED) and not given.exists():
            yield _drawn(given.name)
            continue
        for path in files_below(Path(os.path.abspath(given))):  # noqa: PTH100 - Path.absolute keeps `..`
            yield path if isinstance(path, Refusal) else _read_file(path)


def _drawn(name: str) -> Document:
    match = _SHAPES.fullmatch(name)
    if match is None:
        raise UsageError(
            f"`{name}` holds no clips. What comes with Treadle for models of video: {BUNDLED}shapes, "
            f"{BUNDLED}shapes:COUNT or {BUNDLED}shapes:COUNT@SEED."
        )
    count, seed = int(match[1] or USUAL_CLIPS), int(match[2] or 1)
    if not 1 <= count <= MOST_CLIPS:
        raise UsageError(f"`{name}` asks for {count:,} clips; it must be for 1 to {MOST_CLIPS:,}.")
    facts = [ClipFacts(FRAMES, clip.caption) for clip in shape_clips(count, seed)]

    def pieces() -> Iterator[str]:
        return written(EDGE, EDGE, facts, (clip.frames.tobytes() for clip in shape_clips(count, seed)))

    about = {"kind": KIND, "clips": count, "seed": seed}
    return Document.from_pieces(pieces, name, about)


def _read_file(path: Path) -> Document | Refusal:
    source = source_of(path)
    if path.suffix.lower() not in EXTENSIONS:
        known = ", ".join(sorted(EXTENSIONS))
        return Refusal(source, "unknown_format", f"A model of video reads video files ({known}).")
    try:
        with reading_errors():
            frames = _frames(path)
        facts = [ClipFacts(len(frames), path.parent.name.replace(",", " "))]
        height, width = frames.shape[1:3]
        return Document.from_pieces(
            lambda: written(height, width, facts, [frames.tobytes()]), source, {"kind": KIND, "clips": 1}
        )
    except RefusedError as error:
        return error.refusal(source)


def _frames(path: Path) -> NDArray[np.uint8]:
    """All frames, small: (T, S, S, 3)."""
    require_opencv()
    import av

    found: list[NDArray[np.uint8]] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise RefusedError("unknown_format", "It has no picture.")
            for frame in container.decode(container.streams.video[0]):
                picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                found.append(fitted(picture, min(LARGEST_EDGE, max(picture.shape[:2]))))
                if len(found) > MOST_FRAMES:
                    raise RefusedError(
                        "too_large", f"It has more than {MOST_FRAMES:,} frames; cut it with `treadle video chunk`."
                    )
    except av.FFmpegError as error:
        raise RefusedError("damaged", f"It is not a video that can be read ({error.strerror}).") from error
    if not found:
        raise RefusedError("empty", "It holds no frame that can be read.")
    return np.stack(found)
