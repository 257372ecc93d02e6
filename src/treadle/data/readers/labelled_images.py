"""Labelled pictures: pairs of IDX files, and folders named after what their pictures show (`cats/1.png`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.data.document import Document, Refusal, RefusedError
from treadle.data.pictures import KIND, picture_header, written
from treadle.data.readers import idx
from treadle.data.readers.decoding import reading_errors
from treadle.data.readers.sources import source_of
from treadle.data.readers.walk import files_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
MOST_BYTES = 64 << 20
"""Of one picture file."""


def read_paths(paths: Iterable[Path]) -> Iterator[Document | Refusal]:
    """Read files and folders; both halves of an IDX pair may be named, or one, or the folder they lie in."""
    pairs: set[Path] = set()
    for given in paths:
        for path in files_below(Path(os.path.abspath(given))):  # noqa: PTH100 - Path.absolute keeps `..`
            if isinstance(path, Refusal):
                yield path
            elif idx.is_idx(path):
                yield from _read_pair(path, pairs)
            else:
                yield _read_picture(path)


def _read_pair(path: Path, seen: set[Path]) -> Iterator[Document | Refusal]:
    images = idx.images_of(path)
    if images is None:
        yield Refusal(source_of(path), "unlabelled", "The file of pictures that these labels belong to is not here.")
    elif images not in seen:
        seen.add(images)
        yield from idx.read(images)


def _read_picture(path: Path) -> Document | Refusal:
    source = source_of(path)
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        known = "picture files in folders named after what they show, or pairs of IDX files"
        return Refusal(source, "unknown_format", f"An image classifier reads {known}.")
    try:
        with reading_errors():
            size = path.stat().st_size
            if size > MOST_BYTES:
                raise RefusedError("too_large", f"It has {size:,} bytes; the limit is {MOST_BYTES:,}.")  # noqa: TRY301
            header = picture_header(path.read_bytes())
        label = source_of(Path(path.parent.name))
        facts = {"kind": KIND, "pictures": 1, "label": label}
        return Document.from_pieces(lambda: written(header, [label], [path.read_bytes()]), source, facts)
    except RefusedError as error:
        return error.refusal(source)
