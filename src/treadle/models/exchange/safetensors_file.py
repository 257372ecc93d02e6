"""Safetensors files: ours and anybody's, read and written one array at a time; and all shards of a folder as one.

The format is a length, a JSON header, and the raw little-endian values. The library's own reader gives no bf16 to
numpy; its writer reports a full disk as a message of its own kind, and needs the file read again for the hash. The
rules that make a file safe (offsets that fill the file without holes or overlaps) are checked before anything is read.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError
from treadle.models.streamed_arrays import shapes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_WEIGHTS: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of one value, by kind."""
_OTHERS: Final = {"F64": 8, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""The same for kinds that no weight is in; buffers of others are."""
_MOST_HEADER: Final = 64 << 20
_MOST_DIMENSIONS: Final = 8
INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"
_OURS: Final = {"format": "treadle"}


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile(Mapping[str, "NDArray[np.float32]"]):
    """One file; `shapes` without reading a value, arrays as float32 when asked for, also after it was deleted."""

    def __init__(self, path: Path, begin: int = 0, size: int | None = None) -> None:
        """Read and check the header; raises `DataError` naming the file.

        The file may be a part of a larger one: its `size` bytes from `begin` on.
        """
        self.path = path
        size = path.stat().st_size - begin if size is None else size
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self._file.seek(begin)
        length = int.from_bytes(self._file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            raise DataError(f"{path} is no safetensors file, or it is cut: its header would have {length:,} bytes.")
        header = _parsed(path, self._file.read(length))
        self._start = begin + 8 + length
        header.pop("__metadata__", None)
        self._entries = {name: _entry(path, name, described) for name, described in header.items()}
        self._check_places(size - 8 - length)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        import numpy as np  # headers, all that most who look at checkpoints want, need none

        from treadle.models.exchange.blocks import KINDS

        entry = self._entries[name]
        if entry.kind not in _WEIGHTS:
            raise DataError(f"{self.path} keeps {name!r} as {entry.kind}; weights are read as {', '.join(_WEIGHTS)}.")
        raw = np.empty(entry.end - entry.begin, np.uint8)
        self._file.seek(self._start + entry.begin)
        if self._file.readinto(raw.data) != raw.size:
            raise DataError(f"{self.path} was cut while it was read.")
        return KINDS[entry.kind.lower()].decode(raw).reshape(entry.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def _check_places(self, size: int) -> None:
        place = 0
        for name, entry in sorted(self._entries.items(), key=lambda item: (item[1].begin, item[1].end)):
            if entry.begin != place:
                raise DataError(f"{self.path} is damaged: {name[:80]!r} begins at {entry.begin}, not at {place}.")
            place = entry.end
        if place != size:
            raise DataError(f"{self.path} holds {size:,} bytes of values and its header says {place:,}: it is cut.")


class Shards(Mapping[str, "NDArray[np.float32]"]):
    """All safetensors files of a folder as one mapping."""

    def __init__(self, folder: Path) -> None:
        """Open `model.safetensors`, or the files that `model.safetensors.index.json` names."""
        self._files = [SafetensorsFile(path) for path in _files_of(folder)]
        self._where = {name: file for file in self._files for name in file}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._where[name][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array."""
        return {name: shape for file in self._files for name, shape in file.shapes().items()}


def write_safetensors(
    path: Path, arrays: Mapping[str, NDArray[np.float32]], about: Mapping[str, str] = _OURS
) -> dict[str, Any]:
    """Write float32 arrays, each looked up once, as a new file; returns its `sha256` and `bytes`.

    `about` is the file's metadata.
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


def _values(name: str, array: NDArray[np.float32]) -> memoryview:
    if array.dtype != "float32":
        raise TypeError(f"{name} is {array.dtype}, not float32")
    return array.astype("<f4", order="C", copy=False).reshape(-1).view("uint8").data


def _files_of(folder: Path) -> list[Path]:
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        found = sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth"})
        pickled = f" ({found[0]} may run code when it is read, so it is not.)" if found else ""
        raise DataError(
            f"{folder} holds no {SINGLE} and no {INDEX}.{pickled} Save the model with transformers: "
            "model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        plain = all(isinstance(name, str) and name == name.rpartition("/")[2] and name != ".." for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{index} is damaged: {error}.") from error
    if not plain:
        raise DataError(f"{index} names files outside its folder; that is refused.")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing[:5])}, which {INDEX} names. Fetch all of its files.")
    return [folder / name for name in sorted(names)]


def _parsed(path: Path, header: bytes) -> dict[str, Any]:
    try:
        found = json.loads(header, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} has a header that is no JSON ({error}); it is damaged.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} has a header that names no arrays; it is damaged.")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _entry(path: Path, name: str, described: Any) -> _Entry:  # noqa: ANN401 - whatever the file says
    try:
        kind, shape, (begin, end) = described["dtype"], tuple(described["shape"]), described["data_offsets"]
        whole = all(isinstance(one, int) and one >= 0 for one in (*shape, begin, end))
        width = _WEIGHTS.get(kind) or _OTHERS[kind]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} describes {name[:80]!r} in a way that is not understood; it is damaged.") from error
    if not whole or len(shape) > _MOST_DIMENSIONS or math.prod(shape) * width != end - begin:
        raise DataError(f"{path} says that {name[:80]!r} has shape {list(shape)} in {end - begin} bytes: damaged.")
    return _Entry(kind, shape, begin, end)
