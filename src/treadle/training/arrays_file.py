"""Writing named arrays in the safetensors format, hashed in the same pass, without a second copy in memory."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def write_arrays(path: Path, arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Write float32 arrays as a safetensors file; returns its `sha256` and `bytes`.

    The library's own writer reports a full disk as a message of its own kind and needs the file read again for the
    hash; the format is one JSON header and the raw little-endian values.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "treadle"}}
    offset = 0
    for name, array in arrays.items():
        if array.dtype != "float32":
            raise TypeError(f"{name} is {array.dtype}, not float32")
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest, size = hashlib.sha256(), 0
    parts: Iterator[bytes | memoryview] = itertools.chain(
        (len(text).to_bytes(8, "little"), text), map(_values, arrays.values())
    )
    with path.open("xb") as file:
        for part in parts:
            digest.update(part)
            size += file.write(part)
    return {"sha256": digest.hexdigest(), "bytes": size}


def _values(array: NDArray[np.float32]) -> memoryview:
    return array.astype("<f4", order="C", copy=False).reshape(-1).view("uint8").data
