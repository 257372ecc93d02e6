"""Data ready to learn from, whatever they are: what a family needs, by the name of the kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from treadle.registry.catalogue import Catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.config import DataSettings
    from treadle.data.loader import Loader
    from treadle.data.versions import Dataset

KINDS_OF_DATA: Final = Catalogue(
    "kind of data",
    {
        "tokens": "treadle.data.token_data:prepare_tokens",
        "labelled_images": "treadle.data.image_data:prepare_images",
        "clips": "treadle.data.clip_data:prepare_clips",
    },
)
"""What families need -> `prepare(dataset, folder, settings, seed, fix) -> Prepared`."""

WAYS_OF_READING: Final = Catalogue(
    "way of reading",
    {
        "tokens": "treadle.data.readers.walk:read_paths",
        "labelled_images": "treadle.data.readers.labelled_images:read_paths",
        "clips": "treadle.data.readers.clips:read_paths",
    },
)
"""What families need -> `read(paths) -> Iterator[Document | Refusal]`: how what a person feeds becomes documents."""

DECIDED: Final = {"labelled_images": "classes.json", "clips": "clips.json"}
"""Kinds of data without a tokenizer -> the file of what a model holds on to since its first training."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset version in the form that a family reads."""

    loader: Loader
    vocabulary: int
    """Number of token ids; for families without tokens, of classes or phrases."""
    context: int
    """Largest number of positions of one example."""
    tokenizer: Any
    """The tokenizer's description as plain JSON, for checkpoints; None for kinds without one."""


class Prepare(Protocol):
    """How one kind of data is prepared."""

    def __call__(
        self, dataset: Dataset, folder: Path, settings: DataSettings, seed: int, *, fix: bool
    ) -> Prepared | None:
        """Prepare `dataset` for the model whose learned codes (vocabulary, classes) live in `folder`.

        With `fix`, codes that are not decided yet are decided by this dataset and saved; without, None is returned
        where they are not. Raises `UsageError` when the settings contradict what was decided.
        """
        ...
