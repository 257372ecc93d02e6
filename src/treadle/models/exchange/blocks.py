"""How other programs keep numbers: 32, 16 and bf16 bits, and the blocks of 32 that llama.cpp calls q8_0 and q4_0.

A block of q8_0 is a half-precision scale and 32 signed bytes; one of q4_0 is a scale and 16 bytes, the low halves the
first 16 values, the high halves the last 16, each less 8. Both as llama.cpp's `ggml-quants.c` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BLOCK: Final = 32
"""Values of a row that share one scale."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of keeping numbers."""

    name: str
    number: int
    """In GGUF files."""
    group: int
    """Values that are kept together; a row must be a multiple."""
    size: int
    """Bytes of such a group."""
    encode: Callable[[NDArray[np.float32]], NDArray[np.uint8]]
    """(..., N) to bytes (..., N * size / group)."""
    decode: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """And back."""

    def bytes_of(self, shape: tuple[int, ...]) -> int:
        """Bytes that an array of this shape takes; raises `DataError` where its rows are no multiple of the group."""
        columns = shape[-1] if shape else 1
        if columns % self.group:
            raise DataError(f"rows of {columns} values cannot be kept as {self.name}, in groups of {self.group}")
        count = 1
        for extent in shape:
            count *= extent
        return count // self.group * self.size


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8)


def _encode_f32(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return _as_bytes(values.astype("<f4", copy=False))


def _decode_f32(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(data).view("<f4").astype(np.float32, copy=False)


def _encode_f16(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return _as_bytes(values.astype("<f2"))


def _decode_f16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(data).view("<f2").astype(np.float32)


def _encode_bf16(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # to the nearest, halves to the even one
    return _as_bytes(rounded.astype("<u2"))


def _decode_bf16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (np.ascontiguousarray(data).view("<u2").astype(np.uint32) << 16).view(np.float32)


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32).reshape(*values.shape[:-1], -1, BLOCK)


def _inverse(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    # Below the normal numbers a scale may have no inverse; kept in sixteen bits such a block is zero in any case.
    normal = np.abs(scale) >= np.finfo(np.float32).tiny
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=normal)


def _encode_q8_0(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    blocks = _blocks(values)  # (..., G, 32)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
    exact = blocks * _inverse(scale)
    whole = np.trunc(exact + np.copysign(np.float32(0.5), exact)).astype(np.int8)  # halves away from zero, as C rounds
    packed = np.concatenate([_as_bytes(scale.astype("<f2")), whole.view(np.uint8)], axis=-1)  # (..., G, 34)
    return packed.reshape(*values.shape[:-1], -1)


def _decode_q8_0(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks = np.ascontiguousarray(data).reshape(*data.shape[:-1], -1, 2 + BLOCK)
    scale = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    whole = np.ascontiguousarray(blocks[..., 2:]).view(np.int8).astype(np.float32)
    return (whole * scale).reshape(*data.shape[:-1], -1)


def _encode_q4_0(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    blocks = _blocks(values)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)
    scale = largest / np.float32(-8)
    whole = np.clip(np.trunc(blocks * _inverse(scale) + np.float32(8.5)), 0, 15).astype(np.uint8)
    halves = whole[..., : BLOCK // 2] | (whole[..., BLOCK // 2 :] << 4)
    packed = np.concatenate([_as_bytes(scale.astype("<f2")), halves], axis=-1)  # (..., G, 18)
    return packed.reshape(*values.shape[:-1], -1)


def _decode_q4_0(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks = np.ascontiguousarray(data).reshape(*data.shape[:-1], -1, 2 + BLOCK // 2)
    scale = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    halves = blocks[..., 2:]
    whole = np.concatenate([halves & 15, halves >> 4], axis=-1).astype(np.float32) - np.float32(8)
    return (whole * scale).reshape(*data.shape[:-1], -1)


F32: Final = Kind("f32", 0, 1, 4, _encode_f32, _decode_f32)
F16: Final = Kind("f16", 1, 1, 2, _encode_f16, _decode_f16)
BF16: Final = Kind("bf16", 30, 1, 2, _encode_bf16, _decode_bf16)
Q4_0: Final = Kind("q4_0", 2, BLOCK, 2 + BLOCK // 2, _encode_q4_0, _decode_q4_0)
Q8_0: Final = Kind("q8_0", 8, BLOCK, 2 + BLOCK, _encode_q8_0, _decode_q8_0)
KINDS: Final = {kind.name: kind for kind in (F32, F16, BF16, Q8_0, Q4_0)}
KINDS_BY_NUMBER: Final = {kind.number: kind for kind in KINDS.values()}


def rounded(values: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """The values as they are after having been kept as `kind`."""
    return kind.decode(kind.encode(values)).reshape(values.shape)
