"""Named arrays that are read one at a time: a model's weights and moments need not all lie in memory twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class Shaped(Protocol):
    """Knows the shapes of its arrays without reading them."""

    def shapes(self) -> Mapping[str, Sequence[int]]:
        """The shape of each array."""
        ...


class StreamedArrays(Mapping[str, "NDArray[np.float32]"]):
    """Every look at an array reads it anew, from where it lies; only what somebody keeps takes memory."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], read: Callable[[str], NDArray[np.float32]]) -> None:
        """Take the names with their shapes, and what reads one."""
        self._shapes = shapes
        self._read = read

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """The array of this name, read now."""
        if name not in self._shapes:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._shapes)

    def __len__(self) -> int:
        """Number of arrays."""
        return len(self._shapes)

    def shapes(self) -> Mapping[str, Sequence[int]]:
        """The shape of each array."""
        return self._shapes


def shapes_of(arrays: Mapping[str, NDArray[np.float32]]) -> Mapping[str, Sequence[int]]:
    """The shape of each array, without reading those that are read one at a time."""
    return arrays.shapes() if isinstance(arrays, Shaped) else {name: array.shape for name, array in arrays.items()}
