"""The native trainer seen from Python: ctypes and numpy, every size checked."""

from __future__ import annotations

from ctypes import POINTER, Structure, byref, c_double, c_float, c_int32, c_int64, c_uint64, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from treadle.base.errors import ResourceError, UsageError
from treadle.native.library import Library, NativeError, Signatures, load
from treadle.native.shape import PackedParameter, PackedShape, pack_shape
from treadle.telemetry import hardware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from treadle.native.shape import Shape


class Precision(IntEnum):
    """Element type of products; sums, weights and the residual stream are always float32."""

    BFLOAT16 = 0
    FLOAT32 = 1


class Algorithm(IntEnum):
    """What moves a weight."""

    ADAMW = 0
    MUON = 1


class Kind(IntEnum):
    """Which array of a parameter is meant."""

    WEIGHT = 0
    FIRST_MOMENT = 1
    SECOND_MOMENT = 2
    GRADIENT = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How a trainer computes. All but `threads` changes the last bits of results."""

    precision: Precision
    threads: int
    gradient_shards: int
    """Partial gradients, each computed by one thread and summed in order; also the most threads that can help."""
    pass_tokens: int
    """Tokens that one thread carries through the network at once, at least one sequence."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a trainer takes."""

    arena: int
    deferred: int
    """Part of `arena` that holds second moments: taken only for weights that AdamW moves."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One weight: its name, and its shape as the training room knows it."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """How one weight is moved in one step."""

    algorithm: Algorithm
    rate: float
    """After the schedule."""
    weight_decay: float
    """Times the rate."""


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """What all rules of one step share."""

    step: int
    """From 1."""
    gradient_scale: float
    """Factor on every gradient: what clipping left."""
    beta1: float
    beta2: float
    epsilon: float
    momentum: float


class _Plan(Structure):
    _fields_ = [(name, c_int32) for name in ("precision", "threads", "gradient_shards", "pass_tokens")]


class _Memory(Structure):
    _fields_ = [("arena", c_int64), ("deferred", c_int64)]


class _Batch(Structure):
    _fields_ = [("inputs", c_void_p), ("targets", c_void_p), ("sequences", c_int32), ("time", c_int32)]


class _Backward(Structure):
    _fields_ = [
        ("loss_scale", c_float),
        ("first", c_int32),
        ("first_sequence", c_int64),
        ("dropout_seed", c_uint64),
    ]


class _Rule(Structure):
    _fields_ = [("algorithm", c_int32), ("rate", c_float), ("weight_decay", c_float)]


class _Update(Structure):
    _fields_ = [
        ("step", c_int64),
        *((name, c_float) for name in ("gradient_scale", "beta1", "beta2", "epsilon", "momentum")),
    ]


_SIGNATURES: Signatures = {
    "precision_trial": (c_int32, [c_int32, c_int32, c_int32, c_int32, POINTER(c_double)]),
    "memory_required": (c_int32, [POINTER(PackedShape), POINTER(_Plan), POINTER(_Memory)]),
    "trainer_create": (c_int32, [POINTER(PackedShape), POINTER(_Plan), POINTER(c_void_p)]),
    "trainer_destroy": (None, [c_void_p]),
    "trainer_parameter_count": (c_int32, [c_void_p]),
    "trainer_parameter": (c_int32, [c_void_p, c_int32, POINTER(PackedParameter)]),
    "trainer_read": (c_int32, [c_void_p, c_int32, c_int32, c_void_p, c_int64]),
    "trainer_write": (c_int32, [c_void_p, c_int32, c_int32, c_void_p, c_int64]),
    "trainer_repack": (c_int32, [c_void_p]),
    "trainer_backward": (c_int32, [c_void_p, POINTER(_Batch), POINTER(_Backward), POINTER(c_double)]),
    "trainer_gradient_norm": (c_int32, [c_void_p, POINTER(c_double)]),
    "trainer_update": (c_int32, [c_void_p, POINTER(_Update), POINTER(_Rule), c_int32]),
    "trainer_evaluate": (c_int32, [c_void_p, POINTER(_Batch), POINTER(c_double)]),
}


@cache
def _trainers(library: Library) -> Library:
    library.declare(_SIGNATURES)
    return library


def _core() -> Library:
    return _trainers(load())


def memory_required(shape: Shape, plan: Plan) -> Memory:
    """Bytes that a trainer of this shape takes, computed without taking them."""
    result = _Memory()
    _core().call("memory_required", byref(pack_shape(shape)), byref(_pack_plan(plan)), byref(result))
    return Memory(result.arena, result.deferred)


def precision_trial(precision: Precision, rows: int, columns: int, inner: int) -> float:
    """Processor seconds of a short trial: `rows` tokens and a weight of `columns` x `inner`, all multiples of 64."""
    seconds = c_double()
    _core().call("precision_trial", precision, rows, columns, inner, byref(seconds))
    return seconds.value


class Trainer:
    """A model in training in native memory. One thread at a time may use it."""

    def __init__(self, shape: Shape, plan: Plan) -> None:
        """Take the memory and start the threads; weights are zero until written.

        Raises `ResourceError` before taking anything if the machine has less memory than is needed.
        """
        self._pointer = c_void_p()
        self.library = _core()
        needed = memory_required(shape, plan)
        _, available = hardware.memory()
        if available and needed.arena > available:
            raise ResourceError(
                f"training this shape takes {needed.arena / 1e9:.2f} GB and this machine has "
                f"{available / 1e9:.2f} GB left; choose a smaller shape, fewer threads ({plan.threads}) "
                f"or fewer gradient shards ({plan.gradient_shards})"
            )
        self.library.call("trainer_create", byref(pack_shape(shape)), byref(_pack_plan(plan)), byref(self._pointer))
        self.parameters = self._list_parameters()
        self._index = {parameter.name: index for index, parameter in enumerate(self.parameters)}

    def read(self, name: str, kind: Kind = Kind.WEIGHT) -> NDArray[np.float32]:
        """Copy one array out."""
        index = self._index[name]
        values = np.empty(self.parameters[index].shape, dtype=np.float32)
        self.library.call("trainer_read", self._handle, index, kind, values.ctypes.data, values.size)
        return values

    def write(self, name: str, values: NDArray[np.float32], kind: Kind = Kind.WEIGHT) -> None:
        """Replace one array; after weights, `repack` must follow."""
        index = self._index[name]
        if values.shape != self.parameters[index].shape:
            raise UsageError(f"{name} has shape {self.parameters[index].shape}, not {values.shape}")
        values = np.ascontiguousarray(values, dtype=np.float32)
        self.library.call("trainer_write", self._handle, index, kind, values.ctypes.data, values.size)

    def repack(self) -> None:
        """Renew the packed copies that products read."""
        self.library.call("trainer_repack", self._handle)

    def backward(
        self,
        inputs: NDArray[np.int32],
        targets: NDArray[np.int32],
        *,
        loss_scale: float,
        first: bool,
        first_sequence: int = 0,
        dropout_seed: int = 0,
    ) -> float:
        """Forward and backward over (B, T) tokens; gradients of `loss * loss_scale` add up until the next `first`.

        Returns the sum of the losses of all targets that are not -1, in nats.
        """
        loss = c_double()
        batch, keep = _pack_batch(inputs, targets)
        settings = _Backward(loss_scale, int(first), first_sequence, dropout_seed)
        self.library.call("trainer_backward", self._handle, byref(batch), byref(settings), byref(loss))
        del keep
        return loss.value

    def gradient_norm(self) -> float:
        """Sum the gradient shards and return the global norm; once between the last `backward` and `update`."""
        norm = c_double()
        self.library.call("trainer_gradient_norm", self._handle, byref(norm))
        return norm.value

    def update(self, settings: UpdateSettings, rules: Sequence[Rule]) -> None:
        """Move all weights; `rules` in the order of `parameters`."""
        packed = (_Rule * len(rules))(*[_Rule(rule.algorithm, rule.rate, rule.weight_decay) for rule in rules])
        update = _Update(
            settings.step,
            settings.gradient_scale,
            settings.beta1,
            settings.beta2,
            settings.epsilon,
            settings.momentum,
        )
        self.library.call("trainer_update", self._handle, byref(update), packed, len(rules))

    def evaluate(self, inputs: NDArray[np.int32], targets: NDArray[np.int32]) -> float:
        """Sum of the losses over (B, T) tokens, in nats, without dropout."""
        loss = c_double()
        batch, keep = _pack_batch(inputs, targets)
        self.library.call("trainer_evaluate", self._handle, byref(batch), byref(loss))
        del keep
        return loss.value

    def close(self) -> None:
        """Free memory and threads; further calls raise."""
        if self._pointer.value is not None:
            self.library.value("trainer_destroy", self._pointer)
            self._pointer = c_void_p()

    def __del__(self) -> None:
        """Free what `close` was not asked to."""
        if hasattr(self, "_pointer"):
            self.close()

    @property
    def _handle(self) -> c_void_p:
        if self._pointer.value is None:
            raise NativeError("this trainer is closed")
        return self._pointer

    def _list_parameters(self) -> list[Parameter]:
        result = []
        for index in range(self.library.value("trainer_parameter_count", self._handle)):
            one = PackedParameter()
            self.library.call("trainer_parameter", self._handle, index, byref(one))
            result.append(Parameter(*one.described()))
        return result


def _pack_plan(plan: Plan) -> _Plan:
    return _Plan(plan.precision, plan.threads, plan.gradient_shards, plan.pass_tokens)


def _pack_batch(inputs: NDArray[np.int32], targets: NDArray[np.int32]) -> tuple[_Batch, tuple[object, ...]]:
    """The C batch, and the arrays that must outlive its use."""
    if inputs.ndim != 2 or inputs.shape != targets.shape or inputs.size == 0:
        raise UsageError(f"inputs and targets must be of one shape (B, T), not {inputs.shape} and {targets.shape}")
    if inputs.dtype != np.int32 or targets.dtype != np.int32:
        raise UsageError(f"tokens must be int32, not {inputs.dtype} and {targets.dtype}")
    inputs, targets = np.ascontiguousarray(inputs), np.ascontiguousarray(targets)
    batch = _Batch(inputs.ctypes.data, targets.ctypes.data, inputs.shape[0], inputs.shape[1])
    return batch, (inputs, targets)
