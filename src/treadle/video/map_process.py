"""What the limited process does that runs a model of others: one picture in, one map out.

The order names the model and the size of the frames. Frames and maps pass through memory that both processes share: the
frame first (height x width x 3 bytes), behind it the map (float32 for depth, int32 labels for segmentation). On the
pipes it is only said that something is there.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from treadle.base.errors import DataError
from treadle.data.readers.confined import confined, say
from treadle.video.onnx_file import check_self_contained

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
_SPREAD: Final = np.array([0.229, 0.224, 0.225], np.float32)
"""Of the pictures of ImageNet, as most networks of this kind expect."""
MOST_PIXELS: Final = 4096 * 4096
"""Of one map."""
_LONGEST_REASON: Final = 300


def main() -> None:
    """Load the model, say what came of it, then answer each frame."""
    begun = confined()
    if begun is None:
        return
    order, output = begun
    try:
        model = Model(order)
        shape = model.map_of(np.zeros((order["height"], order["width"], 3), np.uint8)).shape
        size = order["height"] * order["width"] * 3
        whole = size + (-size) % 4 + shape[0] * shape[1] * 4
        os.ftruncate(order["shared"], whole)
        memory = mmap.mmap(order["shared"], whole)
        say(output, json.dumps({"map": shape, "bytes": whole, "sees": model.sees}).encode())
    except Exception as error:  # whatever a model of others does is told, not raised
        say(output, json.dumps({"error": _reason(error)}).encode())
        return
    frame = np.frombuffer(memory, np.uint8, size).reshape(order["height"], order["width"], 3)
    made = np.frombuffer(memory, model.kind, shape[0] * shape[1], size + (-size) % 4).reshape(shape)
    for _ in sys.stdin.buffer:
        try:
            np.copyto(made, model.map_of(frame))
            say(output, b"{}")
        except Exception as error:
            say(output, json.dumps({"error": _reason(error)}).encode())
            return


class Model:
    """An ONNX model of one picture; shapes and types are read from it."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Load what `order` names; raises `DataError` for a model that is not of one picture."""
        import onnxruntime as ort

        data = Path(order["model"]).read_bytes()
        check_self_contained(memoryview(data))
        options = ort.SessionOptions()
        options.intra_op_num_threads = order["threads"]
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep twice the largest need
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.kind: type[np.generic] = np.float32 if order["control"] == "depth" else np.int32
        self._pixels: str = order["pixels"]
        given = self._session.get_inputs()
        shape = list(given[0].shape) if given else []
        if len(given) != 1 or len(shape) != 4 or given[0].type not in _TYPES:
            told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in given) or "nothing"
            raise DataError(f"It takes {told}; wanted is one input of four dimensions: a batch of pictures.")
        self._name, self._type = given[0].name, _TYPES[given[0].type]
        self._last = shape[3] == 3 and shape[1] != 3  # colours behind, as TensorFlow has them
        rows, columns = (shape[1], shape[2]) if self._last else (shape[2], shape[3])
        if shape[0] not in {1, None} and not isinstance(shape[0], str):
            raise DataError(f"It takes {shape[0]} pictures at once; wanted is one that takes one.")
        free_height, free_width = _free(order["height"], order["width"], order["side"])
        self.sees = [
            rows if isinstance(rows, int) and rows > 0 else free_height,
            columns if isinstance(columns, int) and columns > 0 else free_width,
        ]

    def map_of(self, frame: NDArray[np.uint8]) -> NDArray[Any]:
        """The map of one frame, in the model's own size; raises `DataError` if no output can be one."""
        picture = self._seen(frame)
        outputs = self._session.run(None, {self._name: picture})
        for output in outputs:
            made = _depth(output) if self.kind is np.float32 else _labels(output)
            if made is not None:
                if made.size > MOST_PIXELS:
                    raise DataError(f"Its map has {made.size:,} points; at most {MOST_PIXELS:,}.")
                return made
        told = ", ".join(str(list(getattr(output, "shape", ()))) for output in outputs)
        wanted = "a depth for each point" if self.kind is np.float32 else "labels, or a score for each class"
        raise DataError(f"It gives {told}; none of that is {wanted}.")

    def _seen(self, frame: NDArray[np.uint8]) -> NDArray[Any]:
        height, width = self.sees
        smaller = height * width < frame.shape[0] * frame.shape[1]
        scaled = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        picture: NDArray[Any] = np.asarray(scaled)
        if self._type is not np.uint8:
            picture = _levels(picture.astype(np.float32), self._pixels).astype(self._type)
        return np.ascontiguousarray(picture if self._last else picture.transpose(2, 0, 1))[None]


def _levels(picture: NDArray[np.float32], pixels: str) -> NDArray[np.float32]:
    if pixels == "bytes":
        return picture
    unit: NDArray[np.float32] = picture / np.float32(255)
    if pixels == "imagenet":
        return (unit - _MEAN) / _SPREAD
    return unit if pixels == "unit" else unit * 2 - 1


def _free(height: int, width: int, side: int) -> tuple[int, int]:
    """The size in which a model of any size sees a frame: the longer side is `side`, both fit its patches."""
    patch = 32 if side % 32 == 0 else 14
    scale = side / max(height, width)
    return max(patch, round(height * scale / patch) * patch), max(patch, round(width * scale / patch) * patch)


def _depth(output: Any) -> NDArray[np.float32] | None:  # noqa: ANN401 - whatever the model gives
    """Height x width, if that is all there is."""
    if not isinstance(output, np.ndarray) or output.dtype.kind != "f":
        return None
    kept = [length for length in output.shape if length != 1]
    if len(kept) != 2:
        return None
    return output.reshape(kept).astype(np.float32)


def _labels(output: Any) -> NDArray[np.int32] | None:  # noqa: ANN401 - whatever the model gives
    """The class of each point: given, of the highest score, or whether a single map is above one half."""
    if not isinstance(output, np.ndarray):
        return None
    kept = [length for length in output.shape if length != 1]
    if output.dtype.kind in "iub" and len(kept) == 2:
        return output.reshape(kept).astype(np.int32)
    if output.dtype.kind != "f" or output.ndim != 4 or output.shape[0] != 1:
        return _half(output.reshape(kept)) if output.dtype.kind == "f" and len(kept) == 2 else None
    if len(kept) == 2:
        return _half(output.reshape(kept))
    last = output.shape[3] < output.shape[1]  # classes are fewer than points
    return np.asarray(np.argmax(output[0], axis=2 if last else 0), np.int32)


def _half(scores: NDArray[Any]) -> NDArray[np.int32]:
    return (scores > 0.5).astype(np.int32)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_LONGEST_REASON]


if __name__ == "__main__":
    main()
