"""Reading checkpoints that torch pickled: by its loader that makes nothing but tensors and plain values."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_MOST_PLAIN_BYTES = 64 << 20


def read_torch(path: Path) -> dict[str, Any]:
    """The dict in a `.pt` file, tensors as torch tensors; raises `DataError` for one that would run code."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"Reading {path.name} needs torch: pip install 'treadle[torch]'") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds more than weights and plain values, so reading it could run code. It is refused; save "
            "the weights alone, or as safetensors."
        ) from error
    except Exception as error:  # a damaged file makes it raise anything
        said = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} cannot be read by torch: {said}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds a {type(found).__name__}, not a checkpoint.")
    return found


def as_array(tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401 - a tensor; this room need not know torch
    """A float32 array with the values of a tensor of torch."""
    found: NDArray[np.float32] = tensor.detach().float().contiguous().numpy()
    return found


def read_plain_pickle(path: Path) -> Any:  # noqa: ANN401 - plain values
    """A pickle of plain values (dicts, lists, texts, numbers); raises `DataError` for one that names any class."""
    if path.stat().st_size > _MOST_PLAIN_BYTES:
        raise DataError(f"{path} is larger than {_MOST_PLAIN_BYTES:,} bytes; it is refused.")
    with path.open("rb") as file:
        try:
            return _Plain(file).load()
        except Exception as error:  # a damaged file makes it raise anything
            raise DataError(f"{path} cannot be read: {str(error) or type(error).__name__}.") from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - never returns
        raise pickle.UnpicklingError(f"it names {module}.{name}, and reading it could run code")
