"""What an ONNX file says of itself, read from its bytes without loading it.

An ONNX file may keep weights outside of itself, by a path: a file of a stranger could so have any file of this machine
read. Such files are refused. The walk follows the protobuf schema of ONNX 1.x (onnx.proto): messages are only entered
where tensors can be, all else is stepped over by its length, so that a large file costs no more than a small one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from treadle.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING = range(8)
_INSIDE: Final[Mapping[int, Mapping[int, int]]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
"""For each message, the numbers of the fields in which tensors may be, with what they are."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST: Final = 64


def check_self_contained(data: memoryview) -> None:
    """Raise `DataError` if any tensor of the model lies outside of its file, or if this is no ONNX file at all."""
    seen = False
    for field, _, _ in _fields(data):
        seen = seen or field == 7
    if not seen:
        raise DataError("It is not an ONNX model: it has no graph.")
    _check(data, _MODEL, 0)


def _check(data: memoryview, kind: int, depth: int) -> None:
    if depth > _DEEPEST:
        raise DataError("It is not an ONNX model that can be used: its graphs are nested too deeply.")
    if kind == _TENSOR:
        if any(field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value) for field, value, _ in _fields(data)):
            raise DataError("It keeps weights in another file; save it as one file (with all weights inside).")
        return
    inside = _INSIDE[kind]
    for field, _, part in _fields(data):
        if part is not None and field in inside:
            _check(part, inside[field], depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview | None]]:
    """Number, value (of an integer) and bytes (of a message or text) of each field of one message."""
    place, end = 0, len(data)
    while place < end:
        tag, place = _integer(data, place)
        field, wire = tag >> 3, tag & 7
        value, part = 0, None
        if wire == 0:
            value, place = _integer(data, place)
        elif wire == 2:
            length, place = _integer(data, place)
            part = data[place : place + length]
            place += length
        elif wire in {1, 5}:
            place += 8 if wire == 1 else 4
        else:
            raise DataError("It is not an ONNX model: its bytes make no sense.")
        if place > end or not field:
            raise DataError("It is not an ONNX model, or breaks off.")
        yield field, value, part


def _integer(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise DataError("It is not an ONNX model, or breaks off.")
