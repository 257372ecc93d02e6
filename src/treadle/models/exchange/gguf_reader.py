"""Reading GGUF files of anybody: every length is held against the file before it is believed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError
from treadle.models.exchange.blocks import KINDS, KINDS_BY_NUMBER, Kind
from treadle.models.exchange.gguf_writer import ALIGNMENT, ARRAY, BOOL, MAGIC, STRING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "?", 10: "Q", 11: "q", 12: "d"}
_LEAST: Final = {STRING: 8, ARRAY: 12}
"""Bytes that one value of such a type takes at least."""
_MOST_DIMENSIONS: Final = 4
_OLDEST: Final = 2
_NEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class _Entry:
    shape: tuple[int, ...]
    kind: Kind
    offset: int


class GgufFile(Mapping[str, "NDArray[np.float32]"]):
    """A GGUF file: `facts`, and its tensors as float32 arrays, each read when asked for."""

    def __init__(self, path: Path) -> None:
        """Read the head; raises `DataError` naming the file and the place for one that is cut or impossible."""
        self.path = path
        if not path.stat().st_size:
            raise DataError(f"{path} is no GGUF file: it is empty.")
        self._data: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
        self._place = 0
        if self._take(4) != MAGIC:
            raise DataError(f"{path} is no GGUF file: it does not begin with GGUF.")
        (version,) = self._numbers("<I")
        if not _OLDEST <= version <= _NEWEST:
            raise DataError(f"{path} is GGUF of version {version}; versions {_OLDEST} and {_NEWEST} are known.")
        tensors, pairs = self._numbers("<QQ")
        self._room(tensors, 24)
        self._room(pairs, 12)
        self.facts: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._text()
            self.facts[key] = self._value(self._numbers("<I")[0])
        self._entries = dict(self._entry() for _ in range(tensors))
        self._start = self._data_start()
        for name, entry in self._entries.items():
            if self._start + entry.offset + entry.kind.bytes_of(entry.shape) > self._data.size:
                raise DataError(f"{path} is cut: the tensor {name} would end beyond its {self._data.size:,} bytes.")

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        entry = self._entries[name]
        begin = self._start + entry.offset
        raw = np.asarray(self._data[begin : begin + entry.kind.bytes_of(entry.shape)])
        rows = raw.reshape(-1, entry.kind.bytes_of(entry.shape[-1:]))
        return entry.kind.decode(rows).reshape(entry.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor, as numpy tells it."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def kinds(self) -> set[str]:
        """How its tensors are kept."""
        return {entry.kind.name for entry in self._entries.values()}

    def _data_start(self) -> int:
        alignment = self.facts.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            raise DataError(f"{self.path} names an impossible alignment of {alignment}.")
        return -(-self._place // alignment) * alignment

    def _entry(self) -> tuple[str, _Entry]:
        name = self._text()
        (dimensions,) = self._numbers("<I")
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise DataError(f"{self.path} gives the tensor {name[:80]!r} {dimensions} dimensions.")
        shape = tuple(reversed(self._numbers(f"<{dimensions}Q")))
        number, offset = self._numbers("<IQ")
        kind = KINDS_BY_NUMBER.get(number)
        if kind is None:
            raise DataError(
                f"{self.path} keeps {name[:80]!r} in a format (number {number}) that is not read here; those that are: "
                f"{', '.join(KINDS)}. Make such a file with llama.cpp's llama-quantize from the original."
            )
        try:
            size = kind.bytes_of(shape)
        except DataError as error:
            raise DataError(f"{self.path}, tensor {name[:80]!r}: {error}.") from error
        if not size or size > self._data.size:
            raise DataError(f"{self.path} says that {name[:80]!r} has the shape {shape}: more than the file holds.")
        return name, _Entry(shape, kind, offset)

    def _value(self, type_: int, depth: int = 0) -> Any:  # noqa: ANN401 - whatever the file says
        if type_ in _SCALARS:
            return self._numbers("<" + _SCALARS[type_])[0]
        if type_ == STRING:
            return self._text()
        if type_ != ARRAY or depth:
            raise DataError(f"{self.path} holds a value of the unknown type {type_}; it is damaged.")
        of, count = self._numbers("<IQ")
        self._room(count, struct.calcsize("<" + _SCALARS[of]) if of in _SCALARS else _LEAST.get(of, 1))
        if of in _SCALARS:
            return list(self._numbers(f"<{count}{_SCALARS[of]}"))
        return [self._value(of, depth + 1) for _ in range(count)]

    def _text(self) -> str:
        (length,) = self._numbers("<Q")
        self._room(length, 1)
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} holds a text that is not UTF-8; it is damaged.") from error

    def _numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _room(self, count: int, size: int) -> None:
        if count * size > self._data.size - self._place:
            raise DataError(f"{self.path} is cut or damaged: {count:,} values at byte {self._place:,} have no room.")

    def _take(self, count: int) -> bytes:
        if self._place + count > self._data.size:
            raise DataError(f"{self.path} is cut at byte {self._data.size:,}, in the middle of its head.")
        found = self._data[self._place : self._place + count].tobytes()
        self._place += count
        return found
