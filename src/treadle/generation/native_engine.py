"""The engine in the native core: `gpt` models on CPUs, without torch, many texts at a time. The default.

**Batch invariance** is stronger here than the interface asks: a text's logits are the same bits however its tokens were
divided into steps, and whatever the number of threads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from treadle.base.errors import ResourceError, UsageError
from treadle.generation.engine import check_rows
from treadle.models.family import check_weights
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_shape
from treadle.models.gpt.weights import weight_shapes
from treadle.native import engine_binding
from treadle.native.engine_binding import EnginePlan, Format

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from treadle.generation.engine import EngineModel, Rows

FORMATS: Final = {"fp32": Format.FLOAT32, "bf16": Format.BFLOAT16, "int8": Format.INT8}
DEFAULT_PRECISION: Final = "fp32"

_MOST_THREADS: Final = 8


def open_native(model: EngineModel, precision: str, slots: int) -> NativeEngine:
    """Pack `model` strictly; raises `ResourceError` for other families and where nothing can compile the core."""
    if not isinstance(model.config, GPTConfig):
        raise ResourceError(f"The native engine runs the family gpt, not {model.family}.")
    chosen = DEFAULT_PRECISION if precision == "auto" else precision
    if chosen not in FORMATS:
        raise UsageError(f"The native engine computes in {', '.join(FORMATS)}, not in {precision}.")
    return NativeEngine(model, chosen, slots)


class NativeEngine:
    """See `Engine`."""

    name = "native"

    def __init__(self, model: EngineModel, precision: str, slots: int, threads: int | None = None) -> None:
        """Pack the weights; raises `WeightsError` naming every one that does not fit."""
        config = model.config
        if not isinstance(config, GPTConfig):
            raise TypeError(f"{model.family} is not gpt")
        check_weights(weight_shapes(config, model.vocabulary, model.context), model.weights)
        self.precision = precision
        self.vocabulary, self.context, self.slots = model.vocabulary, model.context, slots
        shape = native_shape(config, model.vocabulary, model.context)
        plan = EnginePlan(FORMATS[precision], threads or min(_usable_processors(), _MOST_THREADS), slots)
        self._engine = engine_binding.Engine(shape, plan, engine_binding.pack(shape, plan.format, model.weights))
        self._held: dict[int, int] = {}

    def step(self, rows: Rows) -> NDArray[np.float32]:
        """Feed rows; returns the logits after the wanted ones, (W, V)."""
        check_rows(rows, self._held, self.slots, self.context, self.vocabulary)
        logits = self._engine.step(rows.tokens, rows.slots, rows.positions, rows.wanted)
        self._held.update(zip(rows.slots.tolist(), (rows.positions + 1).tolist(), strict=True))
        return logits

    def close(self) -> None:
        """Free threads and memory; the engine cannot be used afterwards."""
        self._engine.close()
        self._held.clear()


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
