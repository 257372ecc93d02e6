"""Packed weights beside a checkpoint: what the native engine reads, mapped into memory instead of made anew.

`packed-int8.bin` is a page of header (magic, JSON) and the block as `engine_binding.pack` gave it. It is a mere copy in
another order: one that is cut, changed, of another format or of other weights is made again and replaced, and where it
cannot be written the engine works without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.models.matching import require_fit
from treadle.native import engine_binding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from treadle.generation.engine import EngineModel, PackedPlace
    from treadle.native.engine_binding import Format
    from treadle.native.shape import Shape

LAYOUT: Final = 1
"""Number of the layout that `pack` makes; a change of it makes all files stale."""

_MAGIC: Final = b"TREADLE packed\n"
_HEADER_BYTES: Final = 4096
_FORGOTTEN_SECONDS: Final = 3600


def packed_block(
    model: EngineModel, shape: Shape, weight_format: Format, expected: Mapping[str, tuple[int, ...]]
) -> NDArray[np.uint8]:
    """The model's packed weights: from their file if it is right, else packed now and written there.

    Raises `WeightsError` naming every weight that does not fit.
    """
    place = model.packed
    if place is not None:
        found = read_packed(place, shape, weight_format)
        if found is not None:
            return found
    require_fit(model.weights, expected)
    block = engine_binding.pack(shape, weight_format, model.weights)
    if place is not None:
        with contextlib.suppress(OSError):  # a full disk, a folder of somebody else's: then without
            _write(place, shape, weight_format, block)
    return block


def packed_path(place: PackedPlace, weight_format: Format) -> Path:
    """Where the file lies."""
    return place.source.parent / f"packed-{weight_format.name.lower()}.bin"


def read_packed(place: PackedPlace, shape: Shape, weight_format: Format) -> NDArray[np.uint8] | None:
    """Map the file into memory; None if there is none, or if it is not exactly what these weights would give."""
    try:
        whole = np.memmap(packed_path(place, weight_format), np.uint8, mode="r")
        header = whole[:_HEADER_BYTES].tobytes()
        block: NDArray[np.uint8] = np.asarray(whole)[_HEADER_BYTES:]
        if not header.startswith(_MAGIC):
            return None
        described = json.loads(header[len(_MAGIC) :].rstrip(b"\0"))
        if described != _description(place, shape, weight_format, described.get("checksum")):
            return None
    except (OSError, ValueError, AttributeError):
        return None
    right_size = block.size == engine_binding.weight_bytes(shape, weight_format)
    return block if right_size and engine_binding.checksum(block) == described["checksum"] else None


def _description(place: PackedPlace, shape: Shape, weight_format: Format, checksum: Any) -> dict[str, Any]:  # noqa: ANN401 - from JSON
    """All that must be as it was when the file was written; the source's time tells whether it was touched since."""
    status = place.source.stat()
    return {
        "layout": LAYOUT,
        "format": weight_format.name.lower(),
        "shape": asdict(shape),
        "source": place.sha256,
        "source_bytes": status.st_size,
        "source_time": status.st_mtime_ns,
        "checksum": checksum,
    }


def _write(place: PackedPlace, shape: Shape, weight_format: Format, block: NDArray[np.uint8]) -> None:
    """Write the file in one step. Nothing is synced: what a power cut leaves is found out by its checksum."""
    target = packed_path(place, weight_format)
    described = _description(place, shape, weight_format, engine_binding.checksum(block))
    header = (_MAGIC + json.dumps(described).encode()).ljust(_HEADER_BYTES, b"\0")
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        if left.stat().st_mtime < time.time() - _FORGOTTEN_SECONDS:
            left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(header)
            file.write(block.data)
        Path(name).chmod(place.source.stat().st_mode & 0o777)  # whoever may read the weights may read this
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
