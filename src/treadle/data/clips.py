"""Clips of video as the text of a document: stored, hashed, versioned and split like all others.

The first line is a JSON header, the second a JSON list of each clip's frames and caption, the third base64 of all
pixels (uint8, frames x height x width x 3), one clip after the other. A caption is a list of phrases with commas.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from treadle.base.errors import DataError
from treadle.data.pictures import encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from treadle.data.document import Document

KIND = "clips"
"""What the metadata of such documents say under `kind`."""
LARGEST_EDGE = 64
"""Of clips as they are stored, in pixels."""


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """What the first line says."""

    kind: str
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What the second line says of one clip."""

    frames: int
    caption: str

    @property
    def phrases(self) -> list[str]:
        """The parts of the caption, each once."""
        return list(dict.fromkeys(part for part in (one.strip().lower() for one in self.caption.split(",")) if part))


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips of one document."""

    facts: Sequence[ClipFacts]
    frames: NDArray[np.uint8]
    """Of all clips, (sum of T, H, W, 3)."""


def written(height: int, width: int, facts: Sequence[ClipFacts], content: Iterable[bytes]) -> Iterator[str]:
    """The text of a document, in pieces."""
    listed = json.dumps([[one.frames, one.caption] for one in facts], ensure_ascii=False)
    return encoded(f"{json.dumps(asdict(ClipHeader(KIND, height, width)))}\n{listed}\n", content)


def read_clip_facts(document: Document) -> tuple[ClipHeader, list[ClipFacts]]:
    """Read what a document says of its clips, without the pixels; raises `DataError` if it holds none."""
    text = ""
    for piece in document.pieces():
        text += piece
        if text.count("\n") >= 2:
            break
    return _parsed(document, text)


def read_clips(document: Document) -> Clips:
    """Read a document whole."""
    text = document.text
    header, facts = _parsed(document, text)
    pixels = np.frombuffer(base64.b64decode(text.split("\n", 2)[2]), np.uint8)
    return Clips(facts, pixels.reshape(-1, header.height, header.width, 3))


def _parsed(document: Document, text: str) -> tuple[ClipHeader, list[ClipFacts]]:
    try:
        first, second = text.split("\n", 2)[:2]
        header = ClipHeader(**json.loads(first))
        facts = [ClipFacts(int(frames), str(caption)) for frames, caption in json.loads(second)]
    except (ValueError, TypeError) as error:
        raise DataError(f"{document.source} holds no clips; feed it to a model that reads text or pictures.") from error
    return header, facts
