"""The interface of every tokenizer, and how one is stored: canonical JSON with its hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, Self, cast

import numpy as np

from treadle.base.errors import DataError, UsageError
from treadle.base.files import read_json, write_json
from treadle.base.hashing import hash_json
from treadle.data.tokenizers.catalog import TOKENIZERS
from treadle.data.tokenizers.choice import parse_choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    TokenIds = NDArray[np.uint16] | NDArray[np.uint32]
    AnyIds = Sequence[int] | NDArray[np.integer[Any]]

Unknown = Literal["error", "skip"]
"""What to do with characters that a vocabulary lacks."""
NO_TEXT: Final = "A vocabulary needs at least one character, and there is no text. Feed some first."


class UnknownCharactersError(DataError):
    """The text holds characters that the vocabulary lacks; `counts` says which, and how often."""

    def __init__(self, counts: Mapping[str, int], vocabulary_size: int) -> None:
        self.counts = dict(counts)
        most = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{_shown(character)} x {number:,}" for character, number in most[:12])
        more = f" and {len(most) - 12} more" if len(most) > 12 else ""
        super().__init__(
            f"The vocabulary of {vocabulary_size:,} ids lacks {len(most)} characters of this text: {named}{more}. "
            "Leave them out with `skip` for unknown characters, remove them from the text, or make a new model: "
            "the bytes tokenizer knows every character."
        )


class Decoder(Protocol):
    """Turns ids into text as they come; a character whose bytes are not all there yet is held back."""

    def push(self, ids: AnyIds) -> str:
        """Take more ids and give the text that is now certain."""
        ...

    def finish(self) -> str:
        """Give what is still held back, as replacement characters where it is no whole character."""
        ...


class Tokenizer(Protocol):
    """Reversible: `decode(encode(text)) == text` for every text that has no unknown characters.

    The boundary stands between documents; no text encodes to it, and it decodes to nothing.
    """

    kind: ClassVar[str]

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, the boundary included."""
        ...

    @property
    def boundary(self) -> int:
        """The id between documents."""
        ...

    @property
    def byte_lengths(self) -> NDArray[np.uint16]:
        """UTF-8 bytes that each id stands for, (V,); 0 for the boundary. Sums give bits per byte."""
        ...

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 0) -> Self:
        """Make the vocabulary from texts (pieces of any length, read once), of at most so many ids (0: as it likes)."""
        ...

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Rebuild what `describe` gave; raises `DataError` if it cannot be that."""
        ...

    def describe(self) -> dict[str, Any]:
        """All that makes this tokenizer, as plain JSON values, with its `kind`."""
        ...

    def unknown_characters(self, text: str) -> dict[str, int]:
        """Count the characters that the vocabulary lacks; empty when it knows all."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes that one id stands for, perhaps a part of a character; none for the boundary."""
        ...

    def encode(self, text: str, unknown: Unknown = "error") -> TokenIds:
        """Turn text into ids; raises `UnknownCharactersError` unless `unknown` is `skip`."""
        ...

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; raises `DataError` for an id outside the vocabulary."""
        ...

    def decoder(self) -> Decoder:
        """Start decoding a stream of ids."""
        ...


def train_tokenizer(choice: str, texts: Iterable[str]) -> Tokenizer:
    """Make a tokenizer such as `char` or `bpe:512`; kinds without a learned vocabulary do not read the texts."""
    chosen = parse_choice(choice)
    return cast("Tokenizer", TOKENIZERS.get(chosen.kind).train(texts, chosen.vocabulary))


def tokenizer_from_description(description: Mapping[str, Any]) -> Tokenizer:
    """Rebuild a tokenizer from what `describe` gave."""
    kind = description.get("kind")
    if not isinstance(kind, str):
        raise DataError("A tokenizer's description must name its `kind`.")
    if kind == "labelled_images":
        raise UsageError("This model writes no text; it says what pictures show: treadle predict NAME FILES")
    if kind == "clips":
        raise UsageError(
            "This model writes no text; it makes clips: "
            "treadle transfer run PROMPT --host local --backend local-tiny --model NAME"
        )
    return cast("Tokenizer", TOKENIZERS.get(kind).from_description(description))


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """SHA-256 of the canonical description: two tokenizers with one hash give the same ids."""
    return hash_json(tokenizer.describe())


def save_tokenizer(tokenizer: Tokenizer, path: Path, choice: str = "") -> str:
    """Write a tokenizer with its hash and what it was chosen by, atomically; returns the hash."""
    digest = tokenizer_hash(tokenizer)
    write_json(path, {"sha256": digest, "choice": choice or tokenizer.kind, "tokenizer": tokenizer.describe()})
    return digest


def stored_choice(path: Path) -> str:
    """What a stored tokenizer was chosen by, such as `bpe:512`."""
    stored = _read(path)
    return str(stored.get("choice", stored["tokenizer"].get("kind")))


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer; raises `DataError` naming the file if it is damaged."""
    stored = _read(path)
    description = stored["tokenizer"]
    if hash_json(description) != stored.get("sha256"):
        raise DataError(f"{path} is damaged: its content does not have the hash it names. Restore it from a copy.")
    return tokenizer_from_description(description)


def _read(path: Path) -> dict[str, Any]:
    stored = read_json(path)
    if not isinstance(stored, dict) or not isinstance(stored.get("tokenizer"), dict):
        raise DataError(f"{path} is not a stored tokenizer.")
    return stored


def id_array(ids: AnyIds, vocabulary_size: int) -> TokenIds:
    """Give ids as (N,) of the narrower type that holds them all."""
    return np.asarray(ids, np.uint16) if vocabulary_size <= 65_536 else np.asarray(ids, np.uint32)


def checked_ids(ids: AnyIds, vocabulary_size: int) -> NDArray[np.int64]:
    """Give ids as (N,) int64; raises `DataError` naming the first one outside the vocabulary."""
    array = np.asarray(ids, dtype=np.int64).reshape(-1)
    outside = (array < 0) | (array >= vocabulary_size)
    if outside.any():
        first = int(array[outside.argmax()])
        raise DataError(f"Token id {first} is outside the vocabulary of {vocabulary_size:,} ids.")
    return array


def _shown(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{character!r} ({code})" if character.isprintable() else code
