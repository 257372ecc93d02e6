"""Labelled pictures as the text of a document, so that they are stored, hashed, versioned and split like all others.

The first line is a JSON header, the second a JSON list of one label per picture, the third base64. The content is
either `pixels` (uint8, count x height x width x channels, as in IDX files) or one picture's `file` as it was given
(PNG, JPEG ...), which is decoded when the data are prepared. A pair of IDX files is one document of many pictures, a
picture in a folder is a document of one.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from treadle.base.errors import DataError, MissingExtraError
from treadle.data.document import PIECE, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from treadle.data.document import Document

KIND = "labelled_images"
"""What the metadata of such documents say under `kind`."""
MOST_PIXELS = 1 << 26
"""Of one picture; beyond, it is an accident or an attack."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line says."""

    content: Literal["pixels", "file"]
    count: int
    height: int
    width: int
    channels: int
    """1 = grey, 3 = red, green, blue."""


def written(header: Header, labels: Sequence[str], content: Iterable[bytes]) -> Iterator[str]:
    """The text of a document, in pieces; `content` comes in pieces of any size."""
    head = json.dumps(asdict(header)) + "\n" + json.dumps(list(labels), ensure_ascii=False) + "\n"
    yield from encoded(head, content)


def encoded(head: str, content: Iterable[bytes]) -> Iterator[str]:
    """Lines of text, then base64 of `content`, which comes in pieces of any size; in pieces."""
    yield from _cut(head)
    rest = b""
    for part in content:
        data = rest + part
        whole = len(data) - len(data) % 3
        yield from _cut(base64.b64encode(data[:whole]).decode())
        rest = data[whole:]
    if rest:
        yield base64.b64encode(rest).decode()


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one document."""

    header: Header
    labels: list[str]
    content: bytes

    def pixels(self, edge: int, channels: int) -> NDArray[np.uint8]:
        """All pictures as uint8 (N, edge, edge, channels), scaled to fit and centred on black where not square."""
        header = self.header
        if header.content == "file":
            return decode_picture(self.content, edge, channels)[None]
        shape = (header.count, header.height, header.width, header.channels)
        array = np.frombuffer(self.content, np.uint8).reshape(shape)
        if (header.height, header.width, header.channels) == (edge, edge, channels):
            return array
        require_pillow()
        from PIL import Image

        images = (Image.fromarray(one.squeeze(-1) if header.channels == 1 else one) for one in array)
        return np.stack([_fitted(image, edge, channels) for image in images])


def read_header(document: Document) -> tuple[Header, list[str]]:
    """Read what a document says of its pictures, without the pictures."""
    text = ""
    for piece in document.pieces():
        text += piece
        if text.count("\n") >= 2:
            break
    header, labels = text.split("\n", 2)[:2]
    return _header(document, header), json.loads(labels)


def read_pictures(document: Document) -> Pictures:
    """Read a document whole: a pair of IDX files as large as MNIST takes some 150 MB for a moment."""
    header, labels, content = document.text.split("\n", 2)
    return Pictures(_header(document, header), json.loads(labels), base64.b64decode(content))


def decode_picture(data: bytes, edge: int, channels: int) -> NDArray[np.uint8]:
    """Decode one picture file to uint8 (edge, edge, channels); raises `RefusedError` if it is none."""
    return _fitted(_opened(data), edge, channels)


def picture_header(data: bytes) -> Header:
    """Look at one picture file, decoding all of it; raises `RefusedError` if it is damaged or none."""
    image = _opened(data)
    channels = 1 if image.mode in {"1", "L", "LA", "I", "I;16", "F"} else 3
    return Header("file", 1, image.height, image.width, channels)


def require_pillow() -> None:
    """Raise `MissingExtraError` with the command that installs the library that decodes pictures."""
    if find_spec("PIL") is None:
        raise MissingExtraError(
            "Reading picture files needs the package `pillow`, which is not installed: pip install 'treadle[images]'"
        )


def _opened(data: bytes) -> Any:  # noqa: ANN401 - a PIL image; this file may be read without PIL
    require_pillow()
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise RefusedError("too_large", f"It has {image.width:,} x {image.height:,} pixels. Make it smaller.")
        image.load()
    except UnidentifiedImageError as error:
        raise RefusedError("damaged", "It is no picture that can be read, or its beginning is damaged.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RefusedError("damaged", f"The picture is damaged: {error}.") from error
    return image


def _fitted(image: Any, edge: int, channels: int) -> NDArray[np.uint8]:  # noqa: ANN401 - a PIL image
    from PIL import Image

    if image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info:  # transparent parts count as white
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in {"I", "I;16"}:  # sixteen bits
        image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    scale = edge / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
    array = np.zeros((edge, edge, channels), np.uint8)
    top, left = (edge - size[1]) // 2, (edge - size[0]) // 2
    array[top : top + size[1], left : left + size[0]] = np.asarray(image).reshape(size[1], size[0], channels)
    return array


def _header(document: Document, line: str) -> Header:
    try:
        return Header(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(f"{document.source} holds no labelled pictures; feed it to a model that reads text.") from error


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]
