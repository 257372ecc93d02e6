"""Packed weights beside a checkpoint: what the native engine reads, mapped into memory instead of made anew.

`packed-int8.bin` is a page of header (magic, JSON) and the block as `engine_binding.pack` gave it. It is a mere copy in
another order: one that is cut, changed, of another format or of other weights is made again and replaced, and where it
cannot be written the engine works without it.

The header says all that opening an engine takes: whoever names the same weights and the same network need not read the
network's settings, which takes longer than the first token.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.hashing import hash_json
from treadle.models.matching import require_fit
from treadle.native import engine_binding
from treadle.native.shape import Activation, Norm, Positions, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.generation.engine import EngineModel, PackedPlace
    from treadle.native.engine_binding import Block, Format

LAYOUT: Final = 2
"""Number of the layout that `pack` makes; a change of it makes all files stale."""

_MAGIC: Final = b"TREADLE packed\n"
_HEADER_BYTES: Final = 4096
_FORGOTTEN_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Packed:
    """A model as the engine reads it."""

    shape: Shape
    block: Block


def packed_block(
    model: EngineModel, shape: Shape, weight_format: Format, expected: Mapping[str, tuple[int, ...]]
) -> Block:
    """The model's packed weights: from their file if it is right, else packed now and written there.

    Raises `WeightsError` naming every weight that does not fit.
    """
    place = model.packed
    if place is not None:
        found = read_packed(place, weight_format)
        if found is not None and found.shape == shape:
            return found.block
    require_fit(model.weights, expected)
    block = engine_binding.pack(shape, weight_format, model.weights)
    if place is not None:
        with contextlib.suppress(OSError):  # a full disk, a folder of somebody else's: then without
            _write(place, shape, weight_format, block)
    return block


def packed_path(place: PackedPlace, weight_format: Format) -> Path:
    """Where the file lies."""
    return place.source.parent / f"packed-{weight_format.name.lower()}.bin"


def read_packed(place: PackedPlace, weight_format: Format) -> Packed | None:
    """Map the file into memory; None if there is none, or if it is not exactly what these weights would give."""
    try:
        whole = _mapped(packed_path(place, weight_format))
        described = _described(whole[:_HEADER_BYTES])
        expected = _description(place, weight_format, described["shape"], described["checksum"])
        if described != expected:
            return None
        shape = _shape(described["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    place_in_memory = ctypes.addressof(ctypes.c_char.from_buffer(whole))
    block = engine_binding.Block(place_in_memory + _HEADER_BYTES, len(whole) - _HEADER_BYTES, whole)
    right_size = block.size == engine_binding.weight_bytes(shape, weight_format)
    return Packed(shape, block) if right_size and engine_binding.checksum(block) == described["checksum"] else None


def _mapped(path: Path) -> mmap.mmap:
    """The file in memory; its pages are those of the file's cache, as nobody writes to them."""
    with path.open("rb") as file:
        # Memory that may not be written would hide its address from ctypes.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _described(header: bytes) -> dict[str, Any]:
    """What the header says; raises `ValueError` unless it says it with its own hash."""
    if not header.startswith(_MAGIC):
        raise ValueError("no packed weights")
    described = json.loads(header[len(_MAGIC) :].rstrip(b"\0"))
    if described.pop("sha256") != hash_json(described):
        raise ValueError("the header was changed")
    return dict(described)


def _shape(described: dict[str, Any]) -> Shape:
    shape = Shape(**described)
    norm, positions, activation = Norm(shape.norm), Positions(shape.positions), Activation(shape.activation)
    return replace(shape, norm=norm, positions=positions, activation=activation)


def _description(place: PackedPlace, weight_format: Format, shape: dict[str, Any], checksum: int) -> dict[str, Any]:
    """All that must be as it was when the file was written; the source's time tells whether it was touched since."""
    status = place.source.stat()
    return {
        "layout": LAYOUT,
        "format": weight_format.name.lower(),
        "network": place.network,
        "shape": shape,
        "source": place.sha256,
        "source_bytes": status.st_size,
        "source_time": status.st_mtime_ns,
        "checksum": checksum,
    }


def _write(place: PackedPlace, shape: Shape, weight_format: Format, block: Block) -> None:
    """Write the file in one step. Nothing is synced: what a power cut leaves is found out by its checksum."""
    import tempfile  # takes a while to import, and most starts read

    target = packed_path(place, weight_format)
    described = _description(place, weight_format, asdict(shape), engine_binding.checksum(block))
    header = (_MAGIC + json.dumps({**described, "sha256": hash_json(described)}).encode()).ljust(_HEADER_BYTES, b"\0")
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        if left.stat().st_mtime < time.time() - _FORGOTTEN_SECONDS:
            left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(header)
            file.write((ctypes.c_char * block.size).from_address(block.address))
        Path(name).chmod(place.source.stat().st_mode & 0o777)  # whoever may read the weights may read this
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
