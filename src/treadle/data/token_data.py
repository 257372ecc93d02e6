"""Text as windows of tokens; the vocabulary is fixed when a model first trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.base.errors import UsageError
from treadle.data.kept_split import keep_split, with_kept_split
from treadle.data.loader import TokenLoader
from treadle.data.prepared import Prepared
from treadle.data.tokenizers.choice import AUTO, parse_choice
from treadle.data.tokenizers.learning import fitting, tokenizer_for
from treadle.data.tokenizers.tokenizer import load_tokenizer, save_tokenizer, stored_choice
from treadle.data.tokens import open_streams

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.config import DataSettings
    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.data.versions import Dataset


def prepare_tokens(dataset: Dataset, folder: Path, settings: DataSettings, seed: int, *, fix: bool) -> Prepared | None:
    """Encode a dataset version for one model; see `prepared.Prepare`."""
    tokenizer = _tokenizer(dataset, folder / "tokenizer.json", settings, fix=fix)
    if tokenizer is None:
        return None
    if fix:
        keep_split(folder, settings.sequence_length)
    streams = open_streams(dataset, tokenizer, with_kept_split(folder, settings))
    loader = TokenLoader(streams, settings.sequence_length, seed)
    return Prepared(loader, tokenizer.vocabulary_size, settings.sequence_length, tokenizer.describe())


def expected_loader(dataset: Dataset, settings: DataSettings, seed: int) -> TokenLoader | None:
    """What a first training would read now, if it needs no vocabulary to be learned; None if it does."""
    chosen = parse_choice(settings.tokenizer)
    if chosen.kind == AUTO:
        chosen = fitting(dataset.manifest.bytes)
    if chosen.kind != "bytes":
        return None
    tokenizer, _ = tokenizer_for(dataset, settings)
    return TokenLoader(open_streams(dataset, tokenizer, settings), settings.sequence_length, seed)


def _tokenizer(dataset: Dataset, path: Path, settings: DataSettings, *, fix: bool) -> Tokenizer | None:
    if not path.is_file():
        if not fix:
            return None
        tokenizer, choice = tokenizer_for(dataset, settings)
        save_tokenizer(tokenizer, path, choice)
        return tokenizer
    decided = stored_choice(path)
    if settings.tokenizer not in {AUTO, decided}:
        raise UsageError(
            f"This model has read text with the {decided} tokenizer since its first training; "
            f"data.tokenizer={settings.tokenizer} needs a new model."
        )
    return load_tokenizer(path)
