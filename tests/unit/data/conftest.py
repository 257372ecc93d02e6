from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from treadle.data.batch import MASKED, Batch
from treadle.data.coverage import Piece
from treadle.data.loader import TokenLoader
from treadle.data.tokens import TokenStream, TokenStreams
from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects")


@pytest.fixture
def versions(tmp_path: Path, objects: ObjectStore) -> DatasetVersions:
    return DatasetVersions(tmp_path / "datasets" / "plays", objects)


def _arrived(sizes: list[int], length: int, *, held_out: list[int] | None = None, cut: str = "") -> TokenLoader:
    ids = np.arange(1, sum(sizes) + 1, dtype=np.uint32)
    aside = held_out or [0] * len(sizes)
    pieces = tuple(
        Piece(f"{number}{cut}" if size else None, size, kept)
        for number, (size, kept) in enumerate(zip(sizes, aside, strict=True))
    )
    train = TokenStream(np.split(ids, np.cumsum(sizes)[:-1]), 0)
    rest = TokenStream([np.ones(sum(aside), np.uint32)], 0)
    streams = TokenStreams(train, rest, 0, np.ones(len(ids) + 1, np.uint16), 0, 0, 0, pieces)
    return TokenLoader(streams, length, seed=3)


@pytest.fixture(scope="session")
def arrived() -> Callable[..., TokenLoader]:
    """Makes a loader of windows over documents of given sizes; every target is another id: where it lies, from 1."""
    return _arrived


@pytest.fixture(scope="session")
def real_targets() -> Callable[[Batch], list[int]]:
    """Gives the targets of a batch that count."""
    return lambda batch: batch.targets[batch.targets != MASKED].tolist()
