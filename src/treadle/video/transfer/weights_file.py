"""Maps of weights in the file format of torch, written without torch.

The format is a ZIP archive without compression: `data.pkl` names a tensor's storage, type, shape and strides, `data/0`
holds its numbers. The pickle is put together here from its opcodes; it says what `torch.save` says of a plain tensor,
and loads with `weights_only=True`.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROOT = "weights"
_TORCH_ALIGNMENT = 64
_STORAGES = {np.dtype("<f4"): "FloatStorage", np.dtype("<f2"): "HalfStorage"}


def torch_file(values: NDArray[np.float32] | NDArray[np.float16]) -> bytes:
    """A `.pt` file with one tensor of 32 or 16 bit floating point numbers."""
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    storage = _STORAGES[data.dtype]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, file, "data.pkl", _pickle(storage, data.shape))
        _add(archive, file, "byteorder", b"little")
        _add(archive, file, "data/0", data.tobytes())
        _add(archive, file, "version", b"3\n")
    return file.getvalue()


def _add(archive: zipfile.ZipFile, file: io.BytesIO, name: str, content: bytes) -> None:
    """Write a member whose content begins at a multiple of 64 bytes, where torch may map it into memory."""
    info = zipfile.ZipInfo(f"{_ROOT}/{name}", (1980, 1, 1, 0, 0, 0))
    header = file.tell() + 30 + len(info.filename.encode()) + 4
    padding = -header % _TORCH_ALIGNMENT
    info.extra = struct.pack("<HH", 0x4246, padding) + b"Z" * padding
    archive.writestr(info, content)


def _pickle(storage: str, shape: Sequence[int]) -> bytes:
    """`torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`, opcode by opcode."""
    count = int(np.prod(shape))
    strides = [int(np.prod(shape[place + 1 :])) for place in range(len(shape))]
    place = b"(" + _text("storage") + _name("torch", storage) + _text("0") + _text("cpu") + _number(count) + b"tQ"
    numbers = _number(0) + _tuple(shape) + _tuple(strides)
    return (
        b"\x80\x02"  # protocol 2
        + _name("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + place
        + numbers
        + b"\x89"  # requires no gradient
        + _name("collections", "OrderedDict")
        + b")Rt"  # no backward hooks; end of the arguments
        + b"R."
    )


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _number(value: int) -> bytes:
    """As 32 bits where they are enough, else as a long of 8 bytes."""
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def _tuple(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(_number(value) for value in values) + b"t"
