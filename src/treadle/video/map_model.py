"""Maps by a model in an ONNX file: depth, or what belongs together. It runs in a limited process (`map_process`)."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np

from treadle.base.errors import DataError, MissingExtraError, NotFoundError
from treadle.data.readers.limited import START_SECONDS, LimitedProcess

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from treadle.video.frames import Frame

Pixels = Literal["imagenet", "unit", "signed", "bytes"]
"""What a model of fractions expects of a pixel: ImageNet's mean and spread taken out, 0..1, -1..1, or 0..255."""
_MEMORY: Final = 3 << 30
_COPIES: Final = 4
"""How often a model may lie in memory while it is loaded."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Which model, and how it is to be shown frames."""

    path: Path
    control: Literal["depth", "seg"]
    pixels: Pixels = "imagenet"
    side: int = 518
    """Longer side of what it sees, if its input may be of any size."""
    seconds: float = 300.0
    """Longest time for one frame."""
    start_seconds: float = START_SECONDS
    """Longest time to load the model, besides its first frame."""


class MapModel:
    """A model that runs; a context manager that ends its process."""

    def __init__(self, use: ModelUse, height: int, width: int) -> None:
        """Load the model for frames of one size.

        Raises `MissingExtraError` without onnxruntime, `NotFoundError`, and `DataError` saying why a model cannot be
        used.
        """
        if find_spec("onnxruntime") is None:
            raise MissingExtraError("Models of depth and segments need an optional part: pip install 'treadle[onnx]'.")
        if not use.path.is_file():
            raise NotFoundError(f"{use.path} does not exist or is no file.")
        self._use = use
        self._done = 0
        self._shared = os.memfd_create("treadle-map")
        memory = _MEMORY + _COPIES * use.path.stat().st_size
        order = {
            "model": str(use.path.absolute()),
            "control": use.control,
            "pixels": use.pixels,
            "side": use.side,
            "height": height,
            "width": width,
            "threads": len(os.sched_getaffinity(0)),
            "shared": self._shared,
        }
        self._memory = memory
        self._process = LimitedProcess("treadle.video.map_process", memory, order, (self._shared,))
        self._process.begin()
        try:
            told = self._answer(use.start_seconds + use.seconds)
            rows, columns = told["map"]
            self._map = mmap.mmap(self._shared, told["bytes"])
        except BaseException:
            self.close()
            raise
        size = height * width * 3
        kind: type[np.generic] = np.float32 if use.control == "depth" else np.int32
        self._frame = np.frombuffer(self._map, np.uint8, size).reshape(height, width, 3)
        self._made = np.frombuffer(self._map, kind, rows * columns, size + (-size) % 4).reshape(rows, columns)
        self.sees: tuple[int, int] = (told["sees"][0], told["sees"][1])
        """Height and width of what the model is shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map_of(self, frame: Frame) -> NDArray[Any]:
        """Depth (float32) or labels (int32) of one frame, in the model's size; raises `DataError` if that fails."""
        np.copyto(self._frame, frame)
        self._process.write({})
        self._answer(self._use.seconds)
        self._done += 1
        return self._made.copy()

    def close(self) -> None:
        """End its process, which hears that nothing more comes; one that does not is killed."""
        self._process.close()
        if self._shared >= 0:
            os.close(self._shared)
            self._shared = -1

    def _answer(self, seconds: float) -> dict[str, Any]:
        line = self._process.line(seconds)
        if line is None:
            self._process.kill()
            raise DataError(f"{self._use.path} took more than {seconds:g} s {self._place()}and was ended.")
        if not line:
            ended = self._process.last_words()
            limit = f"{self._memory / 2**30:.1f} GB"
            raise DataError(f"{self._use.path} crashed {self._place()}({ended}). It may use {limit} of memory here.")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise DataError(
                f"{self._use.path} cannot be used {self._place()}as a model of one picture. {told['error']}"
            )
        return told

    def _place(self) -> str:
        return f"after frame {self._done} " if self._done else ""
