from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.generation.engine import Rows, check_rows

if TYPE_CHECKING:
    from collections.abc import Callable


class ScriptEngine:
    """An engine that wants to write one text: after n tokens it favours byte n of the script, then the boundary."""

    name, precision, vocabulary = "script", "fp32", 257

    def __init__(self, script: bytes, context: int = 1000, slots: int = 2) -> None:
        self.script, self.context, self.slots = script, context, slots
        self.held: dict[int, int] = {}
        self.steps: list[Rows] = []

    def step(self, rows: Rows) -> np.ndarray[Any, np.dtype[np.float32]]:
        check_rows(rows, self.held, self.slots, self.context, self.vocabulary)
        self.steps.append(rows)
        for slot, position in zip(rows.slots.tolist(), rows.positions.tolist(), strict=True):
            self.held[slot] = position + 1
        logits = np.zeros((rows.wanted.size, self.vocabulary), np.float32)
        for place, row in enumerate(rows.wanted.tolist()):
            position = int(rows.positions[row])
            logits[place, self.script[position] if position < len(self.script) else BytesTokenizer.boundary] = 50
        return logits

    def close(self) -> None:
        self.held.clear()


@pytest.fixture
def scripted() -> Callable[..., ScriptEngine]:
    return ScriptEngine
