"""Small pictures of results, so that a page of hundreds of them is light: each is made once, when it is first shown.

A still lies in the workspace's folder `stills/` under the hash of its file's path, size and time, so that a file which
was written anew gets another one. All of them can go at any time; `treadle system clean stills` removes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.base.errors import DataError, MissingExtraError, NotFoundError
from treadle.base.files import write_bytes
from treadle.base.hashing import hash_json
from treadle.recipes.gallery_items import PICTURES

try:
    import av
    import cv2

    from treadle.video import frames
except ModuleNotFoundError as error:
    raise MissingExtraError("Videos need an optional part: pip install 'treadle[video]'.") from error

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder
    from treadle.video.frames import Frame

EDGE: Final = 400
"""Of the longer side, in pixels; what is smaller stays as it is."""
_QUALITY: Final = 78
_MOVING: Final = ".gif"
"""A picture that only the reader of videos reads."""


def folder(workspace: WorkspaceFolder) -> Path:
    """Where the stills of a workspace lie."""
    return workspace.root / "stills"


def still(workspace: WorkspaceFolder, path: Path) -> Path:
    """The small picture (WebP) of a picture, or of the middle of a video.

    Raises `NotFoundError` for a file that is gone and `DataError` for one that cannot be read.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise NotFoundError(f"{path} is not there any more.") from error
    target = folder(workspace) / f"{hash_json([str(path), facts.st_size, facts.st_mtime_ns])[:32]}.webp"
    if not target.is_file():
        write_bytes(target, _small(path))
    return target


def _small(path: Path) -> bytes:
    plain = path.suffix.lower() in PICTURES - {_MOVING}
    frame = next(frames.read_images([path])) if plain else _middle(path)
    height, width = frame.shape[:2]
    scale = min(1.0, EDGE / max(height, width))
    small = frames.resized(frame, max(1, round(width * scale)), max(1, round(height * scale)))
    _, data = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return data.tobytes()


def _middle(path: Path) -> Frame:
    """The first whole frame before the middle: titles and fades lie at the ends."""
    with frames.opened(path) as (container, stream):
        try:
            if stream.duration:
                container.seek(stream.duration // 2, stream=stream)
            for frame in container.decode(stream):
                return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        except av.FFmpegError as error:
            raise DataError(f"{path} is damaged ({error.strerror}).") from error
    raise DataError(f"{path} holds no frame that can be read.")
