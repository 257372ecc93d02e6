"""Biases of tokens as people write them: `TOKEN=VALUE`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from treadle.base.errors import TreadleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from treadle.data.tokenizers.tokenizer import Tokenizer

_EXAMPLES = "Write TOKEN=VALUE, such as e=-5, or #12=2.5 for the token with id 12."


def parse_bias(texts: Iterable[str], tokenizer: Tokenizer) -> dict[int, float]:
    """Turn `TOKEN=VALUE` into ids and values; the last one given for a token counts.

    Raises `UsageError` for what is no number, and for a text that is not exactly one token.
    """
    return dict(_parsed(text, tokenizer) for text in texts)


def _parsed(text: str, tokenizer: Tokenizer) -> tuple[int, float]:
    token, sign, written = text.rpartition("=")
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not sign or not token or not math.isfinite(value):
        raise UsageError(f"`{text}` is no bias of a token. {_EXAMPLES}")
    if token.startswith("#") and token[1:].isdecimal():
        id_ = int(token[1:])
        if id_ >= tokenizer.vocabulary_size:
            last = tokenizer.vocabulary_size - 1
            raise UsageError(f"`{text}`: there is no token {id_:,}; ids of this model go from 0 to {last:,}.")
        return id_, value
    try:
        ids = tokenizer.encode(token).tolist()
    except TreadleError as error:
        raise UsageError(f"`{text}`: {error}") from error
    if len(ids) != 1:
        raise UsageError(f"`{text}`: {token!r} is {len(ids)} tokens of this model, not one. {_EXAMPLES}")
    return ids[0], value
