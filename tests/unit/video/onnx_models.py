"""Small ONNX files, written by hand: the bytes of onnx.proto without a package for it."""

from __future__ import annotations

import numpy as np

FLOAT, UINT8, INT64 = 1, 2, 7


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    """One field: an integer, or bytes, text and messages by their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name, array, extra=b""):
    kind = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64}[array.dtype]
    shape = b"".join(field(1, length) for length in array.shape)
    return shape + field(2, kind) + field(8, name) + field(9, array.tobytes()) + extra


def node(kind, inputs, outputs, **attributes):
    words = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    return words + field(4, kind) + b"".join(field(5, attribute(*pair)) for pair in attributes.items())


def attribute(name, value):
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    if isinstance(value, bytes):  # a graph
        return field(1, name) + field(6, value) + field(20, 5)
    return field(1, name) + b"".join(field(8, one) for one in value) + field(20, 7)


def value_info(name, kind, shape):
    dims = b"".join(field(1, field(1, one) if isinstance(one, int) else field(2, one)) for one in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def graph(nodes, inputs, outputs, tensors=()):
    return (
        b"".join(field(1, one) for one in nodes)
        + field(2, "g")
        + b"".join(field(5, one) for one in tensors)
        + b"".join(field(11, one) for one in inputs)
        + b"".join(field(12, one) for one in outputs)
    )


def model(whole):
    return field(1, 8) + field(7, whole) + field(8, field(2, 13))


def brightness(shape=(1, 3, "h", "w"), axis=1, kind=FLOAT):
    """Depth that is the mean of the three colours as the model sees them."""
    out = [one for place, one in enumerate(shape) if place != axis]
    mean = node("ReduceMean", ["x"], ["y"], axes=[axis], keepdims=0)
    return model(graph([mean], [value_info("x", kind, shape)], [value_info("y", kind, out)]))


def strongest_colour():
    """Labels: which of red, green and blue is the strongest; the scores come out as they went in."""
    return model(
        graph(
            [node("Identity", ["x"], ["y"])],
            [value_info("x", FLOAT, (1, 3, 32, 48))],
            [value_info("y", FLOAT, (1, 3, 32, 48))],
        )
    )


def endless():
    """A loop of more turns than anybody waits for."""
    body = graph(
        [node("Identity", ["c"], ["c2"]), node("Add", ["v", "v"], ["v2"])],
        [value_info("i", INT64, ()), value_info("c", 9, ()), value_info("v", FLOAT, (1, 3, "h", "w"))],
        [value_info("c2", 9, ()), value_info("v2", FLOAT, (1, 3, "h", "w"))],
    )
    turns = tensor("turns", np.array(2**62, np.int64))
    loop = node("Loop", ["turns", "", "x"], ["z"], body=body)
    mean = node("ReduceMean", ["z"], ["y"], axes=[1], keepdims=0)
    shape = (1, 3, "h", "w")
    return model(graph([loop, mean], [value_info("x", FLOAT, shape)], [value_info("y", FLOAT, (1, "h", "w"))], [turns]))


def greedy():
    """Asks for half a terabyte."""
    size = tensor("size", np.array([1 << 37], np.int64))
    nodes = [
        node("ConstantOfShape", ["size"], ["much"]),
        node("ReduceSum", ["much"], ["sum"], keepdims=0),
        node("Add", ["x", "sum"], ["z"]),
        node("ReduceMean", ["z"], ["y"], axes=[1], keepdims=0),
    ]
    shape = (1, 3, "h", "w")
    return model(graph(nodes, [value_info("x", FLOAT, shape)], [value_info("y", FLOAT, (1, "h", "w"))], [size]))


def outside(place="weights.bin", deep=False):
    """A model whose weights lie in another file; `deep`: within the body of a branch."""
    entry = field(1, "location") + field(2, place)
    weights = field(1, 1) + field(2, FLOAT) + field(8, "w") + field(13, entry) + field(14, 1)
    if deep:
        body = graph([node("Identity", ["w"], ["o"])], [], [value_info("o", FLOAT, (1,))], [weights])
        nodes = [node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
        return model(graph(nodes, [value_info("c", 9, ())], [value_info("y", FLOAT, (1,))]))
    nodes = [node("Add", ["x", "w"], ["z"]), node("ReduceMean", ["z"], ["y"], axes=[1], keepdims=0)]
    shape = (1, 3, "h", "w")
    return model(graph(nodes, [value_info("x", FLOAT, shape)], [value_info("y", FLOAT, (1, "h", "w"))], [weights]))
