"""Tokens as the bytes they stand for: how ids become text again, whatever made the vocabulary.

A token may hold a part of a character, so text comes out only where the bytes make whole characters.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import numpy as np

from treadle.base.errors import DataError
from treadle.data.tokenizers.tokenizer import checked_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import AnyIds

_LONGEST = 65_535


class ByteTokens:
    """The bytes of each id; none for the boundary and for other ids that no text encodes to."""

    def __init__(self, tokens: Sequence[bytes], boundary: int) -> None:
        """Take the bytes of each id in order, the boundary's (nothing) included."""
        self._tokens = list(tokens)
        self._boundary = boundary
        if max(map(len, self._tokens), default=0) > _LONGEST:
            raise DataError(f"A token of this vocabulary stands for more than {_LONGEST:,} bytes. Train another one.")
        self.lengths: NDArray[np.uint16] = np.array([len(token) for token in self._tokens], np.uint16)

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, token: int) -> bytes:
        return self._tokens[int(checked_ids([token], len(self._tokens))[0])]

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; bytes that make no character become replacement characters."""
        decoder = self.decoder()
        return decoder.push(ids) + decoder.finish()

    def decoder(self) -> ByteTokensDecoder:
        """Start decoding a stream of ids."""
        return ByteTokensDecoder(self._tokens, self._boundary)


class ByteTokensDecoder:
    """Holds back the first bytes of a character until its last one has come."""

    def __init__(self, tokens: Sequence[bytes], boundary: int) -> None:
        self._tokens = tokens
        self._boundary = boundary
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, ids: AnyIds) -> str:
        """Take more ids and give the whole characters; a boundary ends a character that is not whole."""
        text: list[str] = []
        pending: list[bytes] = []
        for token in checked_ids(ids, len(self._tokens)).tolist():
            if token == self._boundary:
                text.append(self._utf8.decode(b"".join(pending), final=True))
                pending.clear()
            else:
                pending.append(self._tokens[token])
        text.append(self._utf8.decode(b"".join(pending)))
        return "".join(text)

    def finish(self) -> str:
        """Give a replacement character for what is held back, if anything is."""
        return self._utf8.decode(b"", final=True)
