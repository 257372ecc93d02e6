"""One id per character of a fixed vocabulary: 0 is the boundary, then the characters in code-point order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from treadle.base.errors import DataError
from treadle.data.document import encode_utf8
from treadle.data.tokenizers.tokenizer import UnknownCharactersError, checked_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import AnyIds, TokenIds, Unknown

BOUNDARY = 0


class CharTokenizer:
    """A vocabulary of characters, fixed when it is made."""

    kind: ClassVar[str] = "char"
    boundary = BOUNDARY

    def __init__(self, characters: Iterable[str]) -> None:
        """Take the characters (any order, repeats allowed); raises `DataError` when there are none."""
        distinct: set[str] = set()
        for text in characters:
            distinct.update(text)
        self.characters = "".join(sorted(distinct))
        if not self.characters:
            raise DataError(
                "A character vocabulary needs at least one character, and there is no text. Feed some first."
            )
        encode_utf8(self.characters)
        self.vocabulary_size = len(self.characters) + 1
        points = _code_points(self.characters)
        # One entry per code point, and a last one for all higher ones; the boundary's id (0) marks what is unknown.
        table = np.zeros(int(points[-1]) + 2, np.uint32)
        table[points] = np.arange(1, self.vocabulary_size, dtype=np.uint32)
        self._id_of: TokenIds = table if self.vocabulary_size > 65_535 else table.astype(np.uint16)
        self._point_of = np.concatenate([np.zeros(1, np.uint32), points])
        self.byte_lengths: NDArray[np.uint16] = np.array([0, *(len(c.encode()) for c in self.characters)], np.uint16)

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 0) -> Self:  # noqa: ARG003 - the interface; all are kept
        """Collect the characters of `texts`."""
        return cls(texts)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Rebuild from `describe`."""
        characters = description.get("characters")
        if set(description) != {"kind", "characters"} or not isinstance(characters, str):
            raise DataError("A char tokenizer's description must hold its `characters`, and nothing else.")
        if "".join(sorted(set(characters))) != characters:
            raise DataError("The characters of a char tokenizer must be in code-point order, each once.")
        return cls(characters)

    def describe(self) -> dict[str, Any]:
        """The kind and the characters in the order of their ids."""
        return {"kind": self.kind, "characters": self.characters}

    def unknown_characters(self, text: str) -> dict[str, int]:
        """Count the characters that the vocabulary lacks."""
        points = _code_points(text)
        unknown, counts = np.unique(points[self._ids(points) == BOUNDARY], return_counts=True)
        return {chr(point): count for point, count in zip(unknown.tolist(), counts.tolist(), strict=True)}

    def token_bytes(self, token: int) -> bytes:
        """The bytes of the character that an id stands for."""
        return self.decode([token]).encode()

    def encode(self, text: str, unknown: Unknown = "error") -> TokenIds:
        """Turn text into ids, (N,); raises `UnknownCharactersError` unless unknown characters are to be skipped."""
        ids = self._ids(_code_points(text))
        known = ids != BOUNDARY
        if known.all():
            return ids
        if unknown == "error":
            raise UnknownCharactersError(self.unknown_characters(text), self.vocabulary_size)
        return cast("TokenIds", ids[known])

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; boundaries give nothing."""
        array = checked_ids(ids, self.vocabulary_size)
        points: NDArray[np.uint32] = self._point_of[array[array != BOUNDARY]]
        return points.astype("<u4").tobytes().decode("utf-32-le")

    def decoder(self) -> CharDecoder:
        """Start decoding a stream of ids."""
        return CharDecoder(self)

    def _ids(self, points: NDArray[np.uint32]) -> TokenIds:
        return self._id_of.take(points, mode="clip")


class CharDecoder:
    """Every id is a whole character, so nothing is ever held back."""

    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._tokenizer = tokenizer

    def push(self, ids: AnyIds) -> str:
        """Give the text of these ids."""
        return self._tokenizer.decode(ids)

    def finish(self) -> str:
        """Nothing is held back."""
        return ""


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
