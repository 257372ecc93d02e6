"""How a video was made, stored in the file itself, so that dropping it back brings its settings back.

What is stored (`made_by`) is JSON: `tool`, `options`, `sources` (each with `path`, `sha256`, and `made_by` where it was
made here, too), and for what was generated `spec`, the request as it was sent, and `prompt`, the stored one that it
came from (`name`, `version`, `text`, `negative`, `inputs`, `settings`).
Frames that are written here carry it already (`FrameWriter`); `embed` puts it into files of other programs.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import av

from treadle.base.errors import DataError
from treadle.base.files import disk_errors, sync_folder
from treadle.base.hashing import hash_file
from treadle.video.frames import opened, probe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_INSIDE: Final = 64_000
"""Characters of `made_by` that a source may hand on; beyond, only its hash is kept."""
_DEEPEST: Final = 32


def embed(source: Path, target: Path, made_by: Mapping[str, Any]) -> None:
    """Write `source` to `target` (.mp4; may be the same) with `made_by` inside; its streams are copied bit for bit.

    Raises `DataError` when the file is no video or has a stream that MP4 cannot hold. `target` is there wholly or not.
    """
    temporary = target.with_name(f".{target.stem}.tmp{target.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with disk_errors(target), opened(source) as (container, _):
            _copied(container, temporary, made_by)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
            sync_folder(target.parent)
    except (av.FFmpegError, ValueError) as error:
        raise DataError(f"{source} cannot be stored as MP4 with its settings ({error}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def _copied(source: av.container.InputContainer, target: Path, made_by: Mapping[str, Any]) -> None:
    kept = [stream for stream in source.streams if stream.type in {"video", "audio"}]
    with av.open(str(target), "w", format="mp4", options={"movflags": "use_metadata_tags+faststart"}) as copy:
        copy.metadata["treadle"] = json.dumps(dict(made_by), ensure_ascii=False, sort_keys=True)
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in kept}
        for packet in source.demux(kept):
            if packet.dts is not None:  # not the empty one at the end
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)


def described(source: Path) -> dict[str, Any]:
    """One entry of `sources`: path, hash, and how that file was made if Treadle made it."""
    found: dict[str, Any] = {"path": str(source), "sha256": hash_file(source)}
    try:
        made_by = probe(source).made_by
    except DataError:
        return found
    if made_by and len(json.dumps(made_by, ensure_ascii=False)) <= _MOST_INSIDE:
        found["made_by"] = made_by
    return found


def nearest_prompt(made_by: Mapping[str, Any]) -> dict[str, Any] | None:
    """The prompt that a video was generated from, itself or the video that it was made of; None if there is none."""
    found = _nearest(made_by, "prompt")
    return None if found is None else dict(found["prompt"])


def nearest_generated(made_by: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the generated video was made that a video is, or was made of; None if nothing was generated."""
    return _nearest(made_by, "spec", "prompt")


def _nearest(made_by: Mapping[str, Any], *keys: str) -> Mapping[str, Any] | None:
    level: list[Mapping[str, Any]] = [made_by]
    for _ in range(_DEEPEST):
        for one in level:
            if any(isinstance(one.get(key), dict) for key in keys):
                return one
        level = [inner for one in level for inner in _inner(one)]
    return None


def _inner(made_by: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    sources = made_by.get("sources")
    rows = sources if isinstance(sources, list) else []
    return [row["made_by"] for row in rows if isinstance(row, dict) and isinstance(row.get("made_by"), dict)]
