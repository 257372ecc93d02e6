"""From which size on documents are split is decided when a model first trains, and stays, whatever its windows become.

The hold-out rule (`splits.py`) counts in windows. If it followed `data.sequence_length`, longer windows would let a
document that was split fall on one side as a whole: text that was trained on would be measured on as if it never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from treadle.base.errors import DataError
from treadle.base.files import read_json, write_json
from treadle.config.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.config import DataSettings

FILE = "split.json"


class _Kept(Spec):
    """What `split.json` beside a model's tokenizer holds."""

    format: Literal[1] = 1
    sequence_length: int = Field(ge=2)
    """Length of a window when the model first trained, in tokens."""


def keep_split(folder: Path, sequence_length: int) -> None:
    """Decide, if it is not decided yet, that documents are split as with windows of this length."""
    if not (folder / FILE).is_file():
        write_json(folder / FILE, _Kept(sequence_length=sequence_length).model_dump(mode="json"))


def with_kept_split(folder: Path, settings: DataSettings) -> DataSettings:
    """The settings by which text is split for the model whose codes live in `folder`: its windows as they once were."""
    path = folder / FILE
    if not path.is_file():
        return settings
    try:
        kept = _Kept.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(
            f"{path} is damaged. Restore it from a copy: it says which text was never trained on."
        ) from error
    return settings.model_copy(update={"sequence_length": kept.sequence_length})
