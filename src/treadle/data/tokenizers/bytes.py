"""One id per byte of UTF-8 (0 to 255), and 256 for the boundary: knows every text, learns nothing."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from treadle.base.errors import DataError
from treadle.data.document import encode_utf8
from treadle.data.tokenizers.tokenizer import checked_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import AnyIds, Unknown

BOUNDARY = 256


class BytesTokenizer:
    """The 256 bytes and the boundary."""

    kind: ClassVar[str] = "bytes"
    vocabulary_size = 257
    boundary = BOUNDARY

    def __init__(self) -> None:
        self.byte_lengths: NDArray[np.uint16] = np.ones(self.vocabulary_size, np.uint16)
        self.byte_lengths[BOUNDARY] = 0

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 0) -> Self:  # noqa: ARG003 - the interface; nothing to learn
        """Return the one tokenizer of this kind, reading nothing."""
        return cls()

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Rebuild from `describe`."""
        if dict(description) != {"kind": cls.kind}:
            raise DataError(f"A bytes tokenizer has no settings, but its description holds {dict(description)}.")
        return cls()

    def describe(self) -> dict[str, Any]:
        """All there is to say is the kind."""
        return {"kind": self.kind}

    def unknown_characters(self, text: str) -> dict[str, int]:  # noqa: ARG002 - the interface; every byte is known
        """Every character is known."""
        return {}

    def token_bytes(self, token: int) -> bytes:
        """The byte that an id stands for."""
        (checked,) = checked_ids([token], self.vocabulary_size)
        return b"" if checked == BOUNDARY else bytes([checked])

    def encode(self, text: str, unknown: Unknown = "error") -> NDArray[np.uint16]:  # noqa: ARG002 - the interface
        """Turn text into the bytes of its UTF-8, (N,)."""
        return np.frombuffer(encode_utf8(text), np.uint8).astype(np.uint16)

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; bytes that are not UTF-8 become replacement characters."""
        decoder = self.decoder()
        return decoder.push(ids) + decoder.finish()

    def decoder(self) -> BytesDecoder:
        """Start decoding a stream of ids."""
        return BytesDecoder()


class BytesDecoder:
    """Holds back the first bytes of a character until its last one has come."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, ids: AnyIds) -> str:
        """Take more ids and give the whole characters; a boundary ends a character that is not whole."""
        array = checked_ids(ids, BytesTokenizer.vocabulary_size)
        boundaries = np.flatnonzero(array == BOUNDARY)
        text = []
        start = 0
        for stop in boundaries.tolist():
            text.append(self._utf8.decode(array[start:stop].astype(np.uint8).tobytes(), final=True))
            start = stop + 1
        text.append(self._utf8.decode(array[start:].astype(np.uint8).tobytes()))
        return "".join(text)

    def finish(self) -> str:
        """Give a replacement character for what is held back, if anything is."""
        return self._utf8.decode(b"", final=True)
