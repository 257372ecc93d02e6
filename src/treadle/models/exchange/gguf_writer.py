"""Writing GGUF, version 3, the file of llama.cpp: pairs of key and value, a list of tensors, and their data.

The format is that of `docs/gguf.md` in the ggml repository.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

    from treadle.models.exchange.blocks import Kind

MAGIC: Final = b"GGUF"
VERSION: Final = 3
ALIGNMENT: Final = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array and how it is kept."""

    name: str
    values: NDArray[np.float32]
    kind: Kind


def write_gguf(file: BinaryIO, facts: Mapping[str, Any], tensors: Sequence[Tensor]) -> None:
    """Write a whole file. A fact is a text, a whole number, a float, a bool, or a list of texts or of whole numbers."""
    file.write(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(facts)))
    file.write(b"".join(_text(key) + _value(value) for key, value in facts.items()))
    offset = 0
    for tensor in tensors:
        shape = tensor.values.shape
        file.write(_text(tensor.name) + struct.pack("<I", len(shape)))
        file.write(struct.pack(f"<{len(shape)}QIQ", *reversed(shape), tensor.kind.number, offset))
        offset += _padded(tensor.kind.bytes_of(shape))
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    for tensor in tensors:
        data = tensor.kind.encode(tensor.values)
        file.write(data.tobytes())
        file.write(b"\0" * (_padded(data.size) - data.size))


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:  # noqa: ANN401 - one of the types that `write_gguf` names
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _text(value)
    if value and isinstance(value[0], int):
        return struct.pack(f"<IIQ{len(value)}i", ARRAY, INT32, len(value), *value)
    return struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(map(_text, value))
