"""How a tokenizer is chosen by a word: `auto`, `bytes`, `bpe:8192`, or the path of a `tokenizer.json`.

Read by settings, so it imports neither numpy nor any tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from treadle.base.errors import UsageError
from treadle.base.names import did_you_mean
from treadle.data.tokenizers.catalog import TOKENIZERS

AUTO: Final = "auto"
"""Decide by how much text there is when the model first trains; see `fitting`."""
FILE: Final = "huggingface"
"""The kind of a tokenizer that is read from a file and never learned from a text."""
VOCABULARIES: Final = {"bpe": 8192, "unigram": 8000}
"""Kinds whose vocabulary is learned to a size, and the size where none is given."""
SMALLEST: Final = {"bpe": 258, "unigram": 300}
"""Ids that such a kind needs: its bytes and its boundary, and something to learn."""
LARGEST: Final = 262_144


@dataclass(frozen=True, slots=True)
class TokenizerChoice:
    """One choice, taken apart."""

    kind: str
    """A name of the catalogue, or `auto`."""
    vocabulary: int = 0
    """Ids that it may have at most, the boundary included; 0 where the kind knows itself."""
    path: str = ""
    """File of a ready tokenizer."""

    def __str__(self) -> str:
        return self.path or (f"{self.kind}:{self.vocabulary}" if self.vocabulary else self.kind)


def parse_choice(text: str) -> TokenizerChoice:
    """Read a choice; raises `UsageError` with the known ones if it cannot be one."""
    if "/" in text or text.endswith(".json"):
        return TokenizerChoice(FILE, path=text)
    kind, colon, size = text.partition(":")
    if kind != AUTO and (kind == FILE or kind not in TOKENIZERS):
        names = [AUTO, *(name for name in TOKENIZERS.names() if name != FILE)]
        raise UsageError(
            f"unknown tokenizer `{text}`.{did_you_mean(kind, names)} Known: {', '.join(names)}, "
            "or the path of a tokenizer.json"
        )
    if kind not in VOCABULARIES:
        if colon:
            raise UsageError(f"the tokenizer `{kind}` has no size to choose: write {kind}, not {text}")
        return TokenizerChoice(kind)
    if colon and not (size.isascii() and size.isdecimal()):
        raise UsageError(f"the vocabulary of `{text}` is no number: write {kind}:{VOCABULARIES[kind]}, for example")
    vocabulary = int(size) if colon else VOCABULARIES[kind]
    if not SMALLEST[kind] <= vocabulary <= LARGEST:
        raise UsageError(f"the vocabulary of `{text}` must have {SMALLEST[kind]:,} to {LARGEST:,} ids")
    return TokenizerChoice(kind, vocabulary)
