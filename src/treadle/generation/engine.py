"""What an engine is: weights in, logits out, one call for everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

from treadle.base.errors import MissingExtraError, ResourceError
from treadle.models.streamed_arrays import shapes_of
from treadle.registry.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from treadle.config.spec import Spec
    from treadle.generation.config import GenerationSettings

ENGINES = Catalogue(
    "engine",
    {
        "native": "treadle.generation.native_engine:open_native",
        "torch": "treadle.generation.torch_engine:open_torch",
    },
)
"""Names to `open(model, precision, slots) -> Engine`. What one needs beyond the core is the extra of its name."""

_FASTEST_FIRST = ("native", "torch")


class LazyWeights(Mapping[str, "NDArray[np.float32]"]):
    """Weights that are read when an engine first looks at one."""

    def __init__(self, read: Callable[[], Mapping[str, NDArray[np.float32]]]) -> None:
        """Take what reads them all."""
        self._read = read
        self._found: Mapping[str, NDArray[np.float32]] | None = None

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """The weight of this name."""
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._all())

    def __len__(self) -> int:
        """Number of weights."""
        return len(self._all())

    def shapes(self) -> Mapping[str, Sequence[int]]:
        """The shape of each weight."""
        return shapes_of(self._all())

    def _all(self) -> Mapping[str, NDArray[np.float32]]:
        if self._found is None:
            self._found = self._read()
        return self._found


@dataclass(frozen=True, slots=True)
class PackedPlace:
    """Where an engine may keep its own copy of the weights, to start faster."""

    source: Path
    """File of the weights; copies lie beside it."""
    sha256: str
    """Of the source, as its checkpoint tells it."""
    network: str = ""
    """Hash of all that tells which network the weights belong to; with it a copy is opened without its settings."""


@dataclass(frozen=True, slots=True)
class EngineModel:
    """All that an engine needs to know of a model."""

    family: str
    config: Spec
    weights: Mapping[str, NDArray[np.float32]]
    vocabulary: int
    """Number of token ids."""
    context: int
    """Number of positions that the model was trained with; none beyond is ever used."""
    packed: PackedPlace | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokens to feed in one step; the arrays have one entry per row, (R,).

    A slot holds one text. A row at position p of a slot replaces what stood there and forgets what came after, so p is
    at most the number of tokens held, and position 0 begins a new text. Rows of one slot stand in order of position.
    """

    tokens: NDArray[np.int32]
    slots: NDArray[np.int32]
    positions: NDArray[np.int32]
    wanted: NDArray[np.int32]
    """Indexes, in rising order, of the rows after which logits are wanted, (W,)."""

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, bool]]) -> Self:
        """Gather (token, slot, position, whether its logits are wanted)."""
        import numpy as np  # a text that the engine writes itself needs none

        table = np.array(list(rows), np.int32).reshape(-1, 4)  # (R, 4)
        tokens, slots, positions, wanted = (np.ascontiguousarray(column) for column in table.T)
        return cls(tokens, slots, positions, np.flatnonzero(wanted).astype(np.int32))


class Engine(Protocol):
    """A model ready to be asked. Decoding, prefill and mixed batches are all `step`.

    **Batch invariance.** The logits of a row depend on the tokens of its slot and on how that slot's rows were divided
    into steps: never on other slots, the slot's number, or what a slot held before. The same steps give the same bits
    in every process on one machine.
    """

    @property
    def name(self) -> str:
        """Its name in the catalogue."""
        ...

    @property
    def precision(self) -> str:
        """Arithmetic in use, such as `fp32`."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of token ids, V."""
        ...

    @property
    def context(self) -> int:
        """Number of positions of a slot."""
        ...

    @property
    def slots(self) -> int:
        """Number of texts that can be held at a time."""
        ...

    def step(self, rows: Rows) -> NDArray[np.float32]:
        """Feed rows; returns the logits after the wanted ones, (W, V)."""
        ...

    def close(self) -> None:
        """Free threads and memory; the engine cannot be used afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class WantedText:
    """A text to write, as an engine sees it."""

    prompt: Sequence[int]
    """Token ids, at least one."""
    settings: GenerationSettings
    """Its `stop` is not the engine's business."""
    seed: int
    boundary: int
    bias: Mapping[int, float]
    log_probabilities: bool = False
    """Whether each token's is wanted."""
    alternatives: int = 0
    """With them, those of so many likeliest tokens in its place."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an engine wrote of one slot's text."""

    slot: int
    tokens: Sequence[int]
    ending: Literal["", "length", "boundary"]
    """Why it goes on no more; empty while it does."""
    log_probabilities: Sequence[float] = ()
    """One for each token, where they are wanted."""
    alternatives: Sequence[Sequence[tuple[int, float]]] = ()
    """For each token the likeliest ids and their log-probabilities, where they are wanted."""


@runtime_checkable
class WritingEngine(Engine, Protocol):
    """An engine that draws tokens itself, by the rules of `sampling.py` and the windows of `generate.py`.

    The tokens are bit for bit those that `Sampler` would pick from the logits of `step`. A slot with a text must not be
    fed by `step`.
    """

    def begin(self, slot: int, text: WantedText) -> int:
        """Put a text into a slot that has none; returns how many of its tokens need not be read any more."""
        ...

    def write(self, seconds: float) -> list[Written]:
        """Write all texts until one begins or ends or the time is over, at least one step.

        A long prompt is read over several steps, between the tokens of other texts. Raises `WeightsError` if the
        model's output is not a number.
        """
        ...

    def forget(self, slot: int) -> None:
        """Free a slot; its text, ended or not, is written no more."""
        ...


@runtime_checkable
class ReadingEngine(Engine, Protocol):
    """An engine that tells what it makes of a text before the last product, the one with the vocabulary."""

    def states(self, rows: Rows) -> NDArray[np.float32]:
        """Feed rows; returns the last layer's states, after its norm, of the wanted ones, (W, D)."""
        ...


def open_engine(model: EngineModel, name: str = "auto", precision: str = "auto", slots: int = 8) -> Engine:
    """Make an engine for `model`. `auto` takes the fastest that this installation and machine allow.

    Raises `WeightsError` when the weights do not fit, `UsageError` for an unknown engine or precision, and
    `MissingExtraError` with the command that installs what is lacking.
    """
    if name != "auto":
        return _opener(name)(model, precision, slots)
    refusals = []
    for candidate in _FASTEST_FIRST:
        try:
            return _opener(candidate)(model, precision, slots)
        except (MissingExtraError, ResourceError) as error:
            refusals.append(str(error))
    raise MissingExtraError("No engine can run this model here. " + " ".join(refusals))


def _opener(name: str) -> Callable[[EngineModel, str, int], Engine]:
    try:
        opener: Callable[[EngineModel, str, int], Engine] = ENGINES.get(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The {name} engine needs the package `{error.name}`, which is not installed: pip install 'treadle[{name}]'"
        ) from error
    return opener


def check_rows(rows: Rows, held: Mapping[int, int], slots: int, context: int, vocabulary: int) -> None:
    """Raise `ValueError` for rows that no engine can feed; `held` maps a slot to the number of tokens in it.

    Such rows are our own mistake, never a user's: `generate` makes none.
    """
    if rows.tokens.size and (rows.tokens.min() < 0 or rows.tokens.max() >= vocabulary):
        raise ValueError(f"a token is outside the vocabulary of {vocabulary}")
    lengths = dict(held)
    for slot, position in zip(rows.slots.tolist(), rows.positions.tolist(), strict=True):
        if not 0 <= slot < slots:
            raise ValueError(f"slot {slot} does not exist; there are {slots}")
        if not 0 <= position < context:
            raise ValueError(f"position {position} is outside the context of {context}")
        if position > lengths.get(slot, 0):
            raise ValueError(f"position {position} of slot {slot} comes after only {lengths.get(slot, 0)} tokens")
        lengths[slot] = position + 1
