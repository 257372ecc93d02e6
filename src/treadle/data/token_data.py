"""Text as windows of tokens; the vocabulary is fixed when a model first trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.base.errors import UsageError
from treadle.data.loader import TokenLoader
from treadle.data.prepared import Prepared
from treadle.data.tokenizers.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from treadle.data.tokens import open_streams

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.config import DataSettings
    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.data.versions import Dataset


def prepare_tokens(dataset: Dataset, folder: Path, settings: DataSettings, seed: int, *, fix: bool) -> Prepared | None:
    """Encode a dataset version for one model; see `prepared.Prepare`."""
    tokenizer = _tokenizer(dataset, folder / "tokenizer.json", settings.tokenizer, fix=fix)
    if tokenizer is None:
        return None
    streams = open_streams(dataset, tokenizer, settings)
    loader = TokenLoader(streams, settings.sequence_length, seed)
    return Prepared(loader, tokenizer.vocabulary_size, settings.sequence_length, tokenizer.describe())


def _tokenizer(dataset: Dataset, path: Path, kind: str, *, fix: bool) -> Tokenizer | None:
    if not path.is_file():
        if not fix:
            return None
        tokenizer = train_tokenizer(kind, dataset.texts())
        save_tokenizer(tokenizer, path)
        return tokenizer
    tokenizer = load_tokenizer(path)
    if tokenizer.kind != kind:
        raise UsageError(
            f"This model reads text with the {tokenizer.kind} tokenizer since its first training; "
            f"data.tokenizer={kind} needs a new model."
        )
    return tokenizer
