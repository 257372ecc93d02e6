"""The engine in the native core: `gpt` models on CPUs, without torch, many texts at a time. The default.

**Batch invariance** is stronger here than the interface asks: a text's logits are the same bits however its tokens were
divided into steps, and whatever the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

from treadle.base.errors import ResourceError, UsageError, WeightsError
from treadle.generation.engine import Written, check_rows
from treadle.generation.packed_weights import Packed, packed_block, read_packed
from treadle.models.gpt.native_shape import native_refusal, native_shape
from treadle.models.gpt.weights import weight_shapes
from treadle.native import engine_binding
from treadle.native.engine_binding import Ending, EnginePlan, Format
from treadle.telemetry.hardware import usable_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from treadle.generation.engine import EngineModel, PackedPlace, Rows, WantedText
    from treadle.models.gpt.config import GPTConfig

FORMATS: Final = {"fp32": Format.FLOAT32, "bf16": Format.BFLOAT16, "int8": Format.INT8, "int4": Format.INT4}
DEFAULT_PRECISION: Final = "int8"
"""On trained models its held-out loss is that of fp32 to the third decimal (KL divergence about 1e-4 nats; a test holds
it), it is two to four times as fast, and it alone gives the same bits on every instruction set."""

_MOST_THREADS: Final = 8

_ENDINGS: Final[dict[Ending, Literal["", "length", "boundary"]]] = {
    Ending.NONE: "",
    Ending.LENGTH: "length",
    Ending.BOUNDARY: "boundary",
}


def open_native(model: EngineModel, precision: str, slots: int) -> NativeEngine:
    """Pack `model` strictly; raises `ResourceError` for other families and where nothing can compile the core."""
    from treadle.models.gpt.config import GPTConfig  # brings pydantic, which `open_packed` can do without

    if not isinstance(model.config, GPTConfig):
        raise ResourceError(f"The native engine runs the family gpt, not {model.family}.")
    if (reason := native_refusal(model.config)) is not None:
        raise ResourceError(f"{reason[0].upper()}{reason[1:]}")
    chosen = _chosen(precision)
    if chosen not in FORMATS:
        raise UsageError(f"The native engine computes in {', '.join(FORMATS)}, not in {precision}.")
    return NativeEngine(model, chosen, slots)


def open_packed(place: PackedPlace, precision: str = "auto", slots: int = 1) -> NativeEngine | None:
    """Open what was packed beside these weights before, from its file alone: the fastest start there is.

    None where nothing was, and where it is not exactly what `place` says: then `open_native` packs anew.
    """
    weight_format = FORMATS.get(_chosen(precision))
    found = read_packed(place, weight_format) if place.network and weight_format is not None else None
    return None if found is None else NativeEngine(found, _chosen(precision), slots)


def pack_native(model: EngineModel, precision: str) -> None:
    """Write the packed weights that `open_native` would write, and open nothing."""
    from treadle.models.gpt.config import GPTConfig

    if isinstance(model.config, GPTConfig) and _chosen(precision) in FORMATS and native_refusal(model.config) is None:
        _packed(model, _chosen(precision))


def _chosen(precision: str) -> str:
    return DEFAULT_PRECISION if precision == "auto" else precision


def _packed(model: EngineModel, precision: str) -> Packed:
    """Raise `WeightsError` naming every weight that does not fit."""
    config = cast("GPTConfig", model.config)
    shape = native_shape(config, model.vocabulary, model.context)
    expected = weight_shapes(config, model.vocabulary, model.context)
    return Packed(shape, packed_block(model, shape, FORMATS[precision], expected))


class NativeEngine:
    """See `Engine`."""

    name = "native"

    def __init__(self, model: EngineModel | Packed, precision: str, slots: int, threads: int | None = None) -> None:
        """Pack the weights, or map what was packed before; raises `WeightsError` naming every one that does not fit."""
        packed = model if isinstance(model, Packed) else _packed(model, precision)
        self.precision = precision
        self.vocabulary, self.context, self.slots = packed.shape.vocabulary, packed.shape.context, slots
        plan = EnginePlan(FORMATS[precision], threads or min(usable_cores(), _MOST_THREADS), slots)
        self._engine = engine_binding.Engine(packed.shape, plan, packed.block)

    def step(self, rows: Rows) -> NDArray[np.float32]:
        """Feed rows; returns the logits after the wanted ones, (W, V)."""
        return self._fed(rows, states=False)

    def states(self, rows: Rows) -> NDArray[np.float32]:
        """Feed rows; returns the last layer's states, after its norm, of the wanted ones, (W, D)."""
        return self._fed(rows, states=True)

    def _fed(self, rows: Rows, *, states: bool) -> NDArray[np.float32]:
        check_rows(rows, self._engine.held(rows.slots), self.slots, self.context, self.vocabulary)
        return self._engine.feed(rows.tokens, rows.slots, rows.positions, rows.wanted, states=states)

    def begin(self, slot: int, wanted: WantedText) -> int:
        """Put a text into a slot that has none; returns how many of its tokens are held already, and not read again."""
        settings = wanted.settings
        text = engine_binding.Text(
            prompt=wanted.prompt,
            boundary=wanted.boundary,
            tokens=settings.tokens,
            seed=wanted.seed,
            temperature=settings.temperature,
            top_k=min(settings.top_k, self.vocabulary),
            top_p=settings.top_p,
            min_p=settings.min_p,
            repetition_penalty=settings.repetition_penalty,
            frequency_penalty=settings.frequency_penalty,
            presence_penalty=settings.presence_penalty,
            bias=wanted.bias,
            log_probabilities=wanted.log_probabilities,
            alternatives=min(wanted.alternatives, self.vocabulary),
        )
        return self._engine.begin(slot, text)

    def use_draft(self, draft: NativeEngine, ahead: int = -1) -> None:
        """Let a draft model guess `ahead` tokens of each text, -1 = as many as prove worth it; it is this engine's now.

        It must have the same tokens, and at least the context and the slots. Texts are the same with it and without.
        """
        draft._engine.use_threads(1)  # its steps are over before another thread is awake
        self._engine.use_draft(draft._engine, ahead)

    def guesses(self) -> tuple[int, int]:
        """How many tokens the draft model has guessed, and how many of them came."""
        return self._engine.guesses()

    def write(self, seconds: float) -> list[Written]:
        """Write all texts until one begins or ends or the time is over, at least one step."""
        bursts = self._engine.write(seconds)
        if any(burst.ending is Ending.NOT_A_NUMBER for burst in bursts):
            from treadle.generation.sampling import DIVERGED

            raise WeightsError(DIVERGED)
        return [
            Written(burst.slot, burst.tokens, _ENDINGS[burst.ending], burst.log_probabilities, burst.alternatives)
            for burst in bursts
        ]

    def forget(self, slot: int) -> None:
        """Free a slot; its text, ended or not, is written no more."""
        self._engine.forget(slot)

    def close(self) -> None:
        """Free threads and memory; the engine cannot be used afterwards."""
        self._engine.close()
