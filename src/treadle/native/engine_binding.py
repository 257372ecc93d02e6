"""The native generation engine seen from Python: every failure an exception with words.

What opens packed weights and writes texts needs ctypes alone: importing numpy takes longer than all of it. Numpy comes
with what has arrays in its hands anyway: `pack` and `feed`.
"""

from __future__ import annotations

from ctypes import POINTER, Structure, addressof, byref, c_double, c_int32, c_int64, c_uint64, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

from treadle.base.errors import ResourceError
from treadle.native.library import Library, NativeError, Signatures, load
from treadle.native.shape import PackedParameter, PackedShape, pack_shape
from treadle.telemetry import hardware

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from treadle.native.shape import Shape

ALIGNMENT = 64
"""Packed weights begin at a multiple of so many bytes."""

BURST_TOKENS = 256
"""Most tokens of one text in one burst."""


class Format(IntEnum):
    """How weights are kept; activations are rounded to the same just before each product."""

    FLOAT32 = 0
    BFLOAT16 = 1
    INT8 = 2
    INT4 = 3


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How an engine computes."""

    format: Format
    threads: int
    """Most threads; never part of a result."""
    slots: int
    """Texts held at a time."""


@dataclass(frozen=True, slots=True)
class Block:
    """Packed weights, wherever they lie."""

    address: int
    size: int
    """In bytes."""
    keep: object
    """What the memory belongs to."""


class Ending(IntEnum):
    """Why a text goes on no more."""

    NONE = 0
    LENGTH = 1
    BOUNDARY = 2
    NOT_A_NUMBER = 3


@dataclass(frozen=True, slots=True)
class Text:
    """A text to write; `generation/sampling.py` says what the numbers do."""

    prompt: Sequence[int]
    boundary: int
    tokens: int
    """Most to write."""
    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    bias: Mapping[int, float]
    log_probabilities: bool = False
    """Whether each token's is wanted."""
    alternatives: int = 0
    """With them, those of so many likeliest tokens in its place."""


@dataclass(frozen=True, slots=True)
class Burst:
    """New tokens of one slot's text."""

    slot: int
    tokens: list[int]
    ending: Ending
    log_probabilities: list[float]
    """One for each token, where they are wanted; else empty."""
    alternatives: list[list[tuple[int, float]]]
    """For each token the likeliest ids and their log-probabilities, where they are wanted; else empty."""


class _Plan(Structure):
    _fields_ = [(name, c_int32) for name in ("format", "threads", "slots")]


class _Rows(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("tokens", "slots", "positions")),
        ("count", c_int32),
        ("wanted", c_void_p),
        ("wanted_count", c_int32),
    ]


class _Text(Structure):
    _fields_ = [
        ("prompt", c_void_p),
        ("prompt_count", c_int32),
        ("boundary", c_int32),
        ("most", c_int64),
        ("seed", c_uint64),
        *((name, c_double) for name in ("temperature", "top_p", "min_p")),
        *((name, c_double) for name in ("repetition_penalty", "frequency_penalty", "presence_penalty")),
        ("top_k", c_int64),
        ("bias_ids", c_void_p),
        ("bias", c_void_p),
        ("bias_count", c_int32),
        ("log_probabilities", c_int32),
        ("alternatives", c_int32),
    ]


class _Burst(Structure):
    _fields_ = [(name, c_int32) for name in ("slot", "count", "ending", "log_probabilities", "alternatives")]


_SIGNATURES: Signatures = {
    "engine_weight_bytes": (c_int32, [POINTER(PackedShape), c_int32, POINTER(c_int64)]),
    "engine_memory": (c_int32, [POINTER(PackedShape), POINTER(_Plan), POINTER(c_int64)]),
    "packer_create": (c_int32, [POINTER(PackedShape), c_int32, c_void_p, c_int64, POINTER(c_void_p)]),
    "packer_destroy": (None, [c_void_p]),
    "packer_count": (c_int32, [c_void_p]),
    "packer_parameter": (c_int32, [c_void_p, c_int32, POINTER(PackedParameter)]),
    "packer_write": (c_int32, [c_void_p, c_int32, c_void_p, c_int64]),
    "engine_checksum": (c_uint64, [c_void_p, c_int64]),
    "engine_create": (c_int32, [POINTER(PackedShape), POINTER(_Plan), c_void_p, c_int64, POINTER(c_void_p)]),
    "engine_destroy": (None, [c_void_p]),
    "engine_step": (c_int32, [c_void_p, POINTER(_Rows), c_void_p]),
    "engine_states": (c_int32, [c_void_p, POINTER(_Rows), c_void_p]),
    "engine_held": (c_int64, [c_void_p, c_int32]),
    "engine_use_threads": (c_int32, [c_void_p, c_int32]),
    "engine_begin": (c_int32, [c_void_p, c_int32, POINTER(_Text)]),
    "engine_forget": (c_int32, [c_void_p, c_int32]),
    "engine_use_draft": (c_int32, [c_void_p, c_void_p, c_int32]),
    "engine_guesses": (None, [c_void_p, POINTER(c_int64), POINTER(c_int64)]),
    "engine_read": (c_int64, [c_void_p, c_int32]),
    "engine_alternatives": (c_int32, [c_void_p, c_int32, c_void_p, c_void_p]),
    "engine_write": (c_int32, [c_void_p, c_double, c_int32, POINTER(_Burst), POINTER(c_int32), c_void_p, c_void_p]),
}


@cache
def _engines(library: Library) -> Library:
    library.declare(_SIGNATURES)
    return library


def _core() -> Library:
    return _engines(load())


def weight_bytes(shape: Shape, weight_format: Format) -> int:
    """Bytes of the packed weights."""
    result = c_int64()
    _core().call("engine_weight_bytes", byref(pack_shape(shape)), weight_format, byref(result))
    return result.value


def memory_required(shape: Shape, plan: EnginePlan) -> int:
    """Bytes that an engine takes beside its packed weights, computed without taking them."""
    result = c_int64()
    _core().call("engine_memory", byref(pack_shape(shape)), byref(_pack_plan(plan)), byref(result))
    return result.value


def pack(shape: Shape, weight_format: Format, weights: Mapping[str, NDArray[np.float32]]) -> Block:
    """Lay out weights, given by name in their natural shapes, as the engine reads them; each is looked up once."""
    import numpy as np

    library = _core()
    size = weight_bytes(shape, weight_format)
    whole = np.zeros(size + ALIGNMENT, np.uint8)
    block = Block(whole.ctypes.data + -whole.ctypes.data % ALIGNMENT, size, whole)
    packer = c_void_p()
    packed_shape = byref(pack_shape(shape))
    library.call("packer_create", packed_shape, weight_format, block.address, block.size, byref(packer))
    try:
        for index in range(library.value("packer_count", packer)):
            one = PackedParameter()
            library.call("packer_parameter", packer, index, byref(one))
            values = np.ascontiguousarray(weights[one.described()[0]], np.float32)
            library.call("packer_write", packer, index, values.ctypes.data, values.size)
    finally:
        library.value("packer_destroy", packer)
    return block


def checksum(block: Block) -> int:
    """A checksum of packed weights, at the speed of memory."""
    return int(_core().value("engine_checksum", block.address, block.size))


class Engine:
    """Packed weights with room for texts. One thread at a time may use it."""

    def __init__(self, shape: Shape, plan: EnginePlan, block: Block) -> None:
        """Take the memory and start the threads; `block` is kept and only read.

        Raises `ResourceError` before taking anything if the machine has less memory than is needed.
        """
        self._pointer = c_void_p()
        self._library = _core()
        self._block = block
        self._draft: Engine | None = None
        self._vocabulary, self._width = shape.vocabulary, shape.width
        self._bursts = (_Burst * plan.slots)()
        self._tokens = (c_int32 * (plan.slots * BURST_TOKENS))()
        self._logs = (c_double * (plan.slots * BURST_TOKENS))()
        needed, (_, available) = memory_required(shape, plan), hardware.memory()
        if available and needed > available:
            raise ResourceError(
                f"{plan.slots} texts of {shape.context:,} tokens take {needed / 1e9:.2f} GB and this machine has "
                f"{available / 1e9:.2f} GB left; hold fewer texts at a time"
            )
        self._library.call(
            "engine_create",
            byref(pack_shape(shape)),
            byref(_pack_plan(plan)),
            block.address,
            block.size,
            byref(self._pointer),
        )

    def feed(
        self,
        tokens: NDArray[np.int32],
        slots: NDArray[np.int32],
        positions: NDArray[np.int32],
        wanted: NDArray[np.int32],
        *,
        states: bool = False,
    ) -> NDArray[np.float32]:
        """Feed rows; returns the logits after the wanted ones, (W, V), or else their last `states`, normed, (W, D)."""
        import numpy as np

        found = np.empty((wanted.size, self._width if states else self._vocabulary), np.float32)
        arrays = [np.ascontiguousarray(array, np.int32) for array in (tokens, slots, positions, wanted)]
        pointers = [array.ctypes.data for array in arrays]
        rows = _Rows(*pointers[:3], tokens.size, pointers[3], wanted.size)
        call = "engine_states" if states else "engine_step"
        self._library.call(call, self._handle, byref(rows), found.ctypes.data)
        return found

    def held(self, slots: NDArray[np.int32]) -> dict[int, int]:
        """Number of tokens that each of these slots holds."""
        return {slot: self._library.value("engine_held", self._handle, slot) for slot in set(slots.tolist())}

    def begin(self, slot: int, text: Text) -> int:
        """Put a text into a slot; returns how many tokens some slot holds of its window, which are not read again."""
        prompt = (c_int32 * len(text.prompt))(*text.prompt)
        ids, values = (c_int32 * len(text.bias))(*text.bias), (c_double * len(text.bias))(*text.bias.values())
        packed = _Text(
            prompt=addressof(prompt),
            prompt_count=len(prompt),
            most=text.tokens,
            bias_ids=addressof(ids),
            bias=addressof(values),
            bias_count=len(ids),
            **{name: getattr(text, name) for name in _PLAIN_FIELDS},
        )
        self._library.call("engine_begin", self._handle, slot, byref(packed))
        return int(self._library.value("engine_read", self._handle, slot))

    def forget(self, slot: int) -> None:
        """Write no more of the slot's text."""
        self._library.call("engine_forget", self._handle, slot)

    def write(self, seconds: float) -> list[Burst]:
        """Write all texts until one begins or ends or the time is over, at least one step; one burst for each text."""
        count = c_int32()
        places = addressof(self._tokens), addressof(self._logs)
        self._library.call("engine_write", self._handle, seconds, BURST_TOKENS, self._bursts, byref(count), *places)
        found, start = [], 0
        for one in self._bursts[: count.value]:
            end = start + one.count
            logs = self._logs[start:end] if one.log_probabilities else []
            likely = self._alternatives(one) if one.alternatives and one.log_probabilities else []
            found.append(Burst(one.slot, self._tokens[start:end], Ending(one.ending), logs, likely))
            start = end
        return found

    def _alternatives(self, burst: _Burst) -> list[list[tuple[int, float]]]:
        width = burst.alternatives
        ids, logs = (c_int32 * (burst.count * width))(), (c_double * (burst.count * width))()
        self._library.call("engine_alternatives", self._handle, burst.slot, addressof(ids), addressof(logs))
        starts = range(0, burst.count * width, width)
        return [list(zip(ids[n : n + width], logs[n : n + width], strict=True)) for n in starts]

    def use_draft(self, draft: Engine, ahead: int = -1) -> None:
        """Let `draft`, this engine's own from now on, guess `ahead` tokens of a text, -1 = as many as prove worth it.

        It needs the same vocabulary, and at least the context and the slots of this one. Texts stay the same.
        """
        self._library.call("engine_use_draft", self._handle, draft._handle, ahead)
        self._draft = draft

    def guesses(self) -> tuple[int, int]:
        """How many tokens the draft has guessed, and how many of them came."""
        guessed, right = c_int64(), c_int64()
        self._library.value("engine_guesses", self._handle, byref(guessed), byref(right))
        return guessed.value, right.value

    def use_threads(self, threads: int) -> None:
        """Compute with so many of the plan's threads; 0, as at the beginning, with as many as prove worth it."""
        self._library.call("engine_use_threads", self._handle, threads)

    def close(self) -> None:
        """Free memory and threads; further calls raise."""
        if self._pointer.value:
            self._library.value("engine_destroy", self._pointer)
            self._pointer.value = None
            del self._block
            if self._draft is not None:
                self._draft.close()

    def __del__(self) -> None:
        """Free what `close` was not asked to."""
        if getattr(self, "_pointer", None):
            self.close()

    @property
    def _handle(self) -> c_void_p:
        if not self._pointer.value:
            raise NativeError("this engine is closed")
        return self._pointer


_PLAIN_FIELDS = (
    *("boundary", "seed", "temperature", "top_k", "top_p", "min_p"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty", "log_probabilities", "alternatives"),
)


def _pack_plan(plan: EnginePlan) -> _Plan:
    return _Plan(plan.format, plan.threads, plan.slots)
