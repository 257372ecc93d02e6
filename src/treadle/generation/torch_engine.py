"""The engine on torch: every family, one text after the other, in fp32. The reference for faster engines.

Each slot's rows of a step are computed by themselves, on one thread, in tensors of their own: batch invariance holds by
construction, bit for bit, and no other program's load or thread count changes a token. What it does not do: make a
batch cheaper than its singles. Cutting the same text into other steps changes the last bits of the logits (torch's
products of one row and of many rows add in different orders).
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from treadle.base.errors import UsageError
from treadle.generation.engine import check_rows
from treadle.models.catalog import FAMILIES
from treadle.models.matching import require_fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from treadle.generation.engine import EngineModel, Rows


def open_torch(model: EngineModel, precision: str, slots: int) -> TorchEngine:
    """Load `model` strictly; the only precision is fp32."""
    if precision not in {"auto", "fp32"}:
        raise UsageError(f"The torch engine computes in fp32, not in {precision}. Leave precision at auto.")
    return TorchEngine(model, slots)


class TorchEngine:
    """See `Engine`. Memory for a slot is taken when it is first used."""

    name = "torch"
    precision = "fp32"

    def __init__(self, model: EngineModel, slots: int) -> None:
        """Copy the weights into a module; raises `WeightsError` naming every one that does not fit."""
        family = FAMILIES.get(model.family)
        require_fit(model.weights, family.weight_shapes(model.config, model.vocabulary, model.context))
        self.vocabulary, self.context, self.slots = model.vocabulary, model.context, slots
        with torch.random.fork_rng(devices=[]):  # a trainer in this process keeps its own chance
            self._module = family.build_model(model.config, model.vocabulary, model.context)
        copies = {name: torch.tensor(weight, dtype=torch.float32) for name, weight in model.weights.items()}
        self._module.load_state_dict(copies, assign=True)
        self._module.eval().requires_grad_(requires_grad=False)
        self._caches: dict[int, Any] = {}
        self._held: dict[int, int] = {}

    def step(self, rows: Rows) -> NDArray[np.float32]:
        """Feed rows; returns the logits after the wanted ones, (W, V)."""
        check_rows(rows, self._held, self.slots, self.context, self.vocabulary)
        logits = np.empty((rows.wanted.size, self.vocabulary), np.float32)
        with torch.inference_mode(), _one_thread():
            for slot, first, last in _runs(rows):
                places = np.flatnonzero((rows.wanted >= first) & (rows.wanted < last))
                logits[places] = self._feed(slot, rows, first, last, rows.wanted[places] - first)
        return logits

    def close(self) -> None:
        """Free the memory; the engine cannot be used afterwards."""
        self._caches.clear()
        self._held.clear()
        self._module = None

    def _feed(self, slot: int, rows: Rows, first: int, last: int, wanted: NDArray[np.int32]) -> NDArray[np.float32]:
        if slot not in self._caches:
            self._caches[slot] = self._module.new_cache()
        tokens = torch.tensor(rows.tokens[first:last], dtype=torch.int64)
        position = int(rows.positions[first])
        scores = self._module.advance(tokens, position, self._caches[slot], torch.tensor(wanted, dtype=torch.int64))
        self._held[slot] = position + last - first
        found: NDArray[np.float32] = scores.numpy()
        return found


def _runs(rows: Rows) -> Iterator[tuple[int, int, int]]:
    """Cut rows into (slot, first, last + 1) of consecutive positions in one slot."""
    apart = (np.diff(rows.slots) != 0) | (np.diff(rows.positions) != 1)
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), rows.slots.size]
    for first, last in itertools.pairwise(edges):
        if last > first:
            yield int(rows.slots[first]), first, last


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
