"""How a model comes to its tokenizer: what is chosen, and the text that a vocabulary is learned from.

Only text to train on is read, never what is held out. From more than `MOST_BYTES` a sample of about that size is taken,
piece by piece, by the hash of document and place: it depends on what the dataset holds, not on the order of feeding.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.base.errors import UsageError
from treadle.base.hashing import hash_bytes
from treadle.data.splits import hash_share, sides
from treadle.data.tokenizers.choice import AUTO, FILE, TokenizerChoice, parse_choice
from treadle.data.tokenizers.exchange import read_tokenizer
from treadle.data.tokenizers.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from treadle.data.config import DataSettings
    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.data.versions import Dataset

MOST_BYTES: Final = 64 << 20
"""About how much text a vocabulary is learned from, at most."""
_MOST_OF_KIND: Final = {"unigram": 8 << 20}
"""Where the trainer takes much memory for each byte."""
_SIZES: Final = ((16 << 20, 8192), (4 << 20, 4096), (1 << 20, 2048), (1 << 19, 1024))
"""From so many bytes of text on, so many ids; with less, bytes. Measured: docs/decisions/0023."""


def fitting(size: int) -> TokenizerChoice:
    """What `auto` means for so many bytes of text."""
    return next((TokenizerChoice("bpe", ids) for least, ids in _SIZES if size >= least), TokenizerChoice("bytes"))


def most_bytes(kind: str) -> int:
    """About how much text a vocabulary of this kind is learned from, at most."""
    return _MOST_OF_KIND.get(kind, MOST_BYTES)


def tokenizer_for(dataset: Dataset, settings: DataSettings) -> tuple[Tokenizer, str]:
    """Make the tokenizer that the settings ask for, from a dataset; also gives the choice, with `auto` decided."""
    chosen = parse_choice(settings.tokenizer)
    if chosen.kind == FILE:
        path = Path(chosen.path)
        if not path.is_absolute():
            raise UsageError(f"data.tokenizer={path} must be an absolute path: it may be read from another folder.")
        return read_tokenizer(path), str(chosen)
    if chosen.kind == AUTO:
        chosen = fitting(dataset.manifest.bytes)
    # Characters are no statistics: one that only the held-out text has must be known all the same.
    texts = dataset.texts() if chosen.kind == "char" else training_text(dataset, settings, most_bytes(chosen.kind))
    return train_tokenizer(str(chosen), texts), str(chosen)


def training_text(dataset: Dataset, settings: DataSettings, most: int = MOST_BYTES) -> Iterator[str]:
    """The text that a vocabulary is learned from, in pieces; about `most` bytes of it."""
    trained = (
        (document.id, (piece for piece, is_held_out in sides(document, settings) if not is_held_out))
        for document in dataset.documents()
    )
    return sampled(trained, dataset.manifest.bytes, most)


def sampled(documents: Iterable[tuple[str, Iterable[str]]], size: int, most: int = MOST_BYTES) -> Iterator[str]:
    """About `most` of the `size` bytes of documents, each an id and its pieces: all, or pieces chosen by hash."""
    share = most / max(size, 1)
    for identity, pieces in documents:
        for number, piece in enumerate(pieces):
            if share >= 1 or hash_share(hash_bytes(f"{identity}:{number}".encode())) < share:
                yield piece
