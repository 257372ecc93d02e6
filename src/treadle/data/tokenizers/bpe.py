"""Byte-level BPE: bytes, and then the pairs that were most frequent when the vocabulary was learned.

Ids follow the order of learning: the 256 bytes, one id per merge, the boundary last. Trained with rustbpe, encoded with
tiktoken. The vocabulary is stored as the tokens in that order, each in GPT-2's alphabet: rank and bytes of the tokens
are all that encoding needs (Sennrich et al. 2016; Radford et al. 2019 for bytes). Nothing is ever unknown.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from tiktoken import Encoding

from treadle.base.errors import DataError
from treadle.data.document import encode_utf8
from treadle.data.tokenizers.byte_alphabet import from_symbols, to_symbols
from treadle.data.tokenizers.byte_tokens import ByteTokens
from treadle.data.tokenizers.choice import VOCABULARIES
from treadle.data.tokenizers.tokenizer import NO_TEXT, id_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from treadle.data.tokenizers.byte_tokens import ByteTokensDecoder
    from treadle.data.tokenizers.tokenizer import AnyIds, TokenIds, Unknown

PATTERN: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What text is cut into before pairs are merged: that of Qwen2 and 3, which transformers and llama.cpp know."""
_PIECE = 1 << 13
"""Characters that are looked at together while learning. So no token is longer, and no run of a million spaces is more
than the pattern's engine can look through."""
_PIECES_AT_ONCE = 512


class BpeTokenizer:
    """A vocabulary of byte strings in the order in which they are merged."""

    kind: ClassVar[str] = "bpe"

    def __init__(self, tokens: Sequence[bytes], pattern: str = PATTERN) -> None:
        """Take the tokens by rank; raises `DataError` unless all single bytes are there and each token once."""
        self._ranks = {token: rank for rank, token in enumerate(tokens)}
        if len(self._ranks) != len(tokens) or any(bytes([byte]) not in self._ranks for byte in range(256)):
            raise DataError("A bpe vocabulary must hold every single byte, and each of its tokens once.")
        self.pattern = pattern
        self.tokens = tuple(tokens)
        self.boundary = len(tokens)
        self.vocabulary_size = len(tokens) + 1
        self._bytes = ByteTokens([*tokens, b""], self.boundary)

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 0) -> Self:
        """Learn at most `vocabulary` ids, the boundary included; the order of the texts makes no difference."""
        from rustbpe import Tokenizer

        trainer = Tokenizer()
        pieces = _Pieces(texts)
        wanted = (vocabulary or VOCABULARIES[cls.kind]) - 1
        trainer.train_from_iterator(iter(pieces), wanted, buffer_size=_PIECES_AT_ONCE, pattern=PATTERN)
        if pieces.empty:
            raise DataError(NO_TEXT)
        return cls([bytes(token) for token, _ in trainer.get_mergeable_ranks()])

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Rebuild from `describe`."""
        pattern, tokens = description.get("pattern"), description.get("tokens")
        if set(description) != {"kind", "pattern", "tokens"} or not isinstance(pattern, str):
            raise DataError("A bpe tokenizer's description must hold its `pattern` and `tokens`, and nothing else.")
        try:
            return cls([from_symbols(token) for token in str(tokens).split(" ")], pattern)
        except ValueError as error:
            raise DataError(f"The tokens of a bpe tokenizer are damaged: {error}.") from error

    def describe(self) -> dict[str, Any]:
        """The kind, the pattern, and the tokens by rank."""
        return {"kind": self.kind, "pattern": self.pattern, "tokens": " ".join(map(to_symbols, self.tokens))}

    @property
    def byte_lengths(self) -> NDArray[np.uint16]:
        """UTF-8 bytes that each id stands for, (V,)."""
        return self._bytes.lengths

    def unknown_characters(self, text: str) -> dict[str, int]:  # noqa: ARG002 - the interface; every byte is known
        """Every character is known."""
        return {}

    def token_bytes(self, token: int) -> bytes:
        """The bytes that an id stands for."""
        return self._bytes[token]

    def encode(self, text: str, unknown: Unknown = "error") -> TokenIds:  # noqa: ARG002 - the interface
        """Turn text into ids, (N,)."""
        return id_array(np.concatenate(list(self._encoded(text))), self.vocabulary_size)

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; bytes that are not UTF-8 become replacement characters."""
        return self._bytes.decode(ids)

    def decoder(self) -> ByteTokensDecoder:
        """Start decoding a stream of ids."""
        return self._bytes.decoder()

    def _encoded(self, text: str) -> Iterator[NDArray[np.uint32]]:
        """Encode in one go, or by halves where the pattern's engine gives up (a run of a million spaces)."""
        try:
            yield self._encoding.encode_to_numpy(text, disallowed_special=())
        except UnicodeEncodeError:
            encode_utf8(text)  # says in words what is wrong
            raise
        except ValueError:
            if len(text) < _PIECE:
                raise
            yield from self._encoded(text[: len(text) // 2])
            yield from self._encoded(text[len(text) // 2 :])

    @cached_property
    def _encoding(self) -> Encoding:
        return Encoding("treadle", pat_str=self.pattern, mergeable_ranks=self._ranks, special_tokens={})


class _Pieces:
    """Texts in pieces that the trainer can look through; remembers whether there was any."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.empty = True

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            encode_utf8(text)  # refuses in words what the trainer cannot read
            for start in range(0, len(text), _PIECE):
                self.empty = False
                yield text[start : start + _PIECE]
