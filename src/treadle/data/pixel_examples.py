"""Examples made of pixels, as families of pictures and of clips learn from them: where each lies, and its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import ValidationError

from treadle.base.errors import DataError
from treadle.base.files import read_json
from treadle.config.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.data.versions import Dataset


class PixelShard(Spec):
    """What is noted of the pixels that were made of a shard."""

    pixels: str
    """The object that holds them."""


_Shard = TypeVar("_Shard", bound=PixelShard)


def noted_shard(dataset: Dataset, path: Path, kind: type[_Shard]) -> _Shard | None:
    """What `path` notes; None if it, or what it names, is damaged or gone, and is to be made again."""
    if not path.is_file():
        return None
    try:
        shard = kind.model_validate(read_json(path))
    except (DataError, ValidationError):
        return None
    return shard if dataset.objects.verify(shard.pixels) else None


@dataclass(frozen=True, slots=True)
class PixelExamples:
    """Examples of one side of the split."""

    parts: Sequence[NDArray[np.uint8]]
    rows: NDArray[np.int64]
    """In which of the parts each one lies, and at which row of it, (N, 2)."""
    targets: NDArray[np.int32]
    """(N,)."""

    def __len__(self) -> int:
        return len(self.targets)

    def pixels(self, place: int) -> NDArray[np.uint8]:
        """Those of one example."""
        part, row = self.rows[place].tolist()
        return np.asarray(self.parts[part][row], np.uint8)


def examples_of(parts: Sequence[NDArray[np.uint8]], side: Sequence[tuple[int, int, int]]) -> PixelExamples:
    """Gather (part, row, target)."""
    table = np.array(side, np.int64).reshape(-1, 3)
    return PixelExamples(parts, table[:, :2], table[:, 2].astype(np.int32))
