"""Pairs of IDX files, the format of MNIST: pictures in one, their labels in another; gzip or not.

An IDX file is big-endian: two zero bytes, the type (8 = uint8), the number of axes, each extent as uint32, the values.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
from typing import IO, TYPE_CHECKING

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.pictures import KIND, Header, written
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"(.*)(images|labels)([-._])idx([31])(-ubyte|[._]ubyte)?(\.gz)?$", re.IGNORECASE)
_CHUNK = 3 << 18


def is_idx(path: Path) -> bool:
    """Whether a file's name is that of one half of a pair, such as `train-images-idx3-ubyte.gz`."""
    return _NAME.match(path.name) is not None


def images_of(path: Path) -> Path | None:
    """The file of pictures that belongs to this half of a pair; None where there is none."""
    match = _match(path)
    return path if match[2].lower() == "images" else _partner(path, "images")


def read(path: Path) -> Iterator[Document | Refusal]:
    """Read the pair that a file of pictures and its labels make: one document."""
    source = source_of(path)
    try:
        labels_file = _partner(path, "labels")
        if labels_file is None:
            raise RefusedError("unlabelled", "The file of labels that belongs to it is not beside it.")  # noqa: TRY301
        with reading_errors():
            yield _pair(path, labels_file, source)
    except RefusedError as error:
        yield error.refusal(source)


def _pair(path: Path, labels_file: Path, source: str) -> Document:
    labels = _labels(labels_file)
    with _open(path) as file:
        extents = _extents(file, path)
    if len(extents) not in {3, 4} or (len(extents) == 4 and extents[3] not in {1, 3}):
        raise RefusedError("unknown_format", f"It has the shape {extents}, not (count, height, width).")
    if len(labels) != extents[0]:
        raise RefusedError(
            "damaged", f"It holds {extents[0]:,} pictures, but {labels_file.name} {len(labels):,} labels."
        )
    if not labels:
        raise RefusedError("empty", "It holds no pictures.")
    count, height, width = extents[:3]
    header = Header("pixels", count, height, width, extents[3] if len(extents) == 4 else 1)
    names = [str(label) for label in labels]

    def pieces() -> Iterator[str]:
        with reading_errors():
            yield from written(header, names, _values(path))

    facts = {"kind": KIND, "pictures": header.count, "labels": source_of(labels_file)}
    return Document.from_pieces(pieces, source, facts)


def _labels(path: Path) -> bytes:
    with _open(path) as file:
        extents = _extents(file, path)
        if len(extents) != 1:
            raise RefusedError("unknown_format", f"{path.name} has the shape {extents}; labels are a plain list.")
        data = file.read()
    if len(data) != extents[0]:
        raise RefusedError("damaged", f"{path.name} holds {len(data):,} labels instead of {extents[0]:,}.")
    return data


def _values(path: Path) -> Iterator[bytes]:
    with _open(path) as file:
        rest = math.prod(_extents(file, path))
        while rest:
            chunk = file.read(min(rest, _CHUNK))
            if not chunk:
                raise RefusedError("damaged", f"It ends too early: {rest:,} bytes are missing.")
            rest -= len(chunk)
            yield chunk


def _extents(file: IO[bytes], path: Path) -> tuple[int, ...]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise RefusedError("unknown_format", f"{path.name} does not begin as an IDX file does.")
    if start[2] != 8:
        raise RefusedError("unknown_format", f"{path.name} holds values of type {start[2]:#x}; only bytes are read.")
    data = file.read(4 * start[3])
    if len(data) < 4 * start[3]:
        raise RefusedError("damaged", f"{path.name} ends within its header.")
    return struct.unpack(f">{start[3]}I", data)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _partner(path: Path, wanted: str) -> Path | None:
    """The other half of a pair: the same name but for the kind and the number of axes; zipped or not."""
    match = _match(path)
    for child in sorted(path.parent.iterdir()):
        other = _NAME.match(child.name)
        if other is not None and other[2].lower() == wanted and other[1].lower() == match[1].lower():
            return child
    return None


def _match(path: Path) -> re.Match[str]:
    match = _NAME.match(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named as an IDX file")
    return match
