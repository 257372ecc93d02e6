"""Named arrays in the safetensors format: written and hashed in one pass, and read, one array at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import mmap
from typing import TYPE_CHECKING, Any, Final

from treadle.models.streamed_arrays import StreamedArrays, shapes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_OURS: Final = {"format": "treadle"}


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[np.float32]], about: Mapping[str, str] = _OURS
) -> dict[str, Any]:
    """Write float32 arrays as a safetensors file; returns its `sha256` and `bytes`. `about` is its metadata.

    The library's own writer reports a full disk as a message of its own kind and needs the file read again for the
    hash; the format is one JSON header and the raw little-endian values.
    """
    header: dict[str, Any] = {"__metadata__": dict(about)}
    offset = 0
    for name, shape in shapes_of(arrays).items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest, size = hashlib.sha256(), 0
    parts: Iterator[bytes | memoryview] = itertools.chain(
        (len(text).to_bytes(8, "little"), text), (_values(name, arrays[name]) for name in arrays)
    )
    with path.open("xb") as file:
        for part in parts:
            digest.update(part)
            size += file.write(part)
    return {"sha256": digest.hexdigest(), "bytes": size}


def read_arrays(path: Path) -> StreamedArrays:
    """Open a file that `write_arrays` or another writer of the format has written.

    Raises `ValueError` if it is none, or holds anything but float32.
    """
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(whole[:8], "little")
    try:
        header = json.loads(whole[8:start])
        header.pop("__metadata__", None)
        places = {name: _place(name, entry, len(whole) - start) for name, entry in header.items()}
    except (AttributeError, KeyError, TypeError, OverflowError) as error:
        raise ValueError("its header is not that of a safetensors file") from error
    shapes = {name: shape for name, (shape, _) in places.items()}

    def read(name: str) -> NDArray[np.float32]:
        import numpy as np  # which the documents of checkpoints alone do not need

        shape, offset = places[name]
        found = np.frombuffer(whole, "<f4", math.prod(shape), start + offset).reshape(shape).astype(np.float32)
        whole.madvise(mmap.MADV_DONTNEED)  # else all that was read would count as this process's memory
        return found

    return StreamedArrays(shapes, read)


def _place(name: str, entry: dict[str, Any], size: int) -> tuple[tuple[int, ...], int]:
    """Shape and offset of one array; raises `ValueError` where they cannot be right."""
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if entry["dtype"] != "F32":
        raise ValueError(f"{name} is {entry['dtype']}, not F32")
    if not 0 <= begin <= end <= size or end - begin != 4 * math.prod(shape):
        raise ValueError(f"{name} does not lie inside it")
    return shape, begin


def _values(name: str, array: NDArray[np.float32]) -> memoryview:
    if array.dtype != "float32":
        raise TypeError(f"{name} is {array.dtype}, not float32")
    return array.astype("<f4", order="C", copy=False).reshape(-1).view("uint8").data
