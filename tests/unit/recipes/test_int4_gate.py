"""What lets 4-bit weights in."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import NotReadyError, UsageError
from treadle.data.batch import MASKED, Batch
from treadle.generation.engine import EngineModel, PackedPlace
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes
from treadle.recipes.int4_gate import GATE_FILE, require_int4

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VOCABULARY, CONTEXT = 30, 16
CONFIG = GPTConfig(layers=1, width=32, heads=2)


def model_of(folder: Path, sha256: str = "a") -> EngineModel:
    generator = np.random.default_rng(1)
    shapes = weight_shapes(CONFIG, VOCABULARY, CONTEXT)
    weights = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return EngineModel("gpt", CONFIG, weights, VOCABULARY, CONTEXT, PackedPlace(folder / "model.safetensors", sha256))


class HeldOut:
    """Batches without an end, which counts how many were asked for."""

    def __init__(self, masked: int = 0) -> None:
        self.read, self.masked = 0, masked

    def __call__(self) -> Iterator[Batch]:
        generator = np.random.default_rng(2)
        while True:
            self.read += 1
            ids = generator.integers(0, VOCABULARY, (64, CONTEXT + 1), dtype=np.int32)
            targets = ids[:, 1:].copy()
            targets[:, : self.masked] = MASKED
            yield Batch(ids[:, :-1], targets)


def loss_of(precision: str, model: EngineModel, batch: Batch) -> float:
    """Mean loss by a second way: all log-probabilities of the engine's own writer."""
    from treadle.generation.engine import Rows, open_engine

    engine, losses = open_engine(model, "native", precision, 1), []
    for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
        logits = engine.step(Rows.of((int(token), 0, place, True) for place, token in enumerate(inputs)))
        for row, target in zip(logits.astype(np.float64), targets, strict=True):
            if target != MASKED:
                losses.append(np.logaddexp.reduce(row) - row[target])
    engine.close()
    return float(np.mean(losses))


def test_both_are_measured_over_enough_targets_and_masked_ones_count_for_nothing(tmp_path: Path) -> None:
    held_out = HeldOut(masked=4)
    found = require_int4(model_of(tmp_path), tmp_path, 50, held_out)
    assert held_out.read == 8  # 8,192 places of 1,024 each
    assert found["targets"] == 8 * 64 * (CONTEXT - 4)
    assert found["int4"] != found["int8"]
    assert json.loads((tmp_path / GATE_FILE).read_text()) == found
    plain = EngineModel("gpt", CONFIG, model_of(tmp_path).weights, VOCABULARY, CONTEXT)
    batches = list(itertools.islice(HeldOut(masked=4)(), 8))
    whole = Batch(np.concatenate([one.inputs for one in batches]), np.concatenate([one.targets for one in batches]))
    assert found["int8"] == pytest.approx(loss_of("int8", plain, whole), abs=1e-6)


def test_what_was_measured_is_read_again_until_the_weights_are_others(tmp_path: Path) -> None:
    known: dict[str, Any] = {"source": "a", "targets": 9, "int8": 1.0, "int4": 1.25}
    (tmp_path / GATE_FILE).write_text(json.dumps(known))
    unread = HeldOut()
    assert require_int4(model_of(tmp_path), tmp_path, 0.25, unread) == known
    with pytest.raises(
        UsageError, match=r"costs this checkpoint 0\.250 nats .* over 9 tokens.; at most 0\.2 is allowed"
    ):
        require_int4(model_of(tmp_path), tmp_path, 0.2, unread)
    assert unread.read == 0
    assert require_int4(model_of(tmp_path, "b"), tmp_path, 50, unread)["source"] == "b"
    assert unread.read > 0


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"source": "a", "targets": 9, "int8": 1.0, "int4": null}'])
def test_a_damaged_record_is_measured_anew(tmp_path: Path, damage: str) -> None:
    (tmp_path / GATE_FILE).write_text(damage)
    held_out = HeldOut()
    assert require_int4(model_of(tmp_path), tmp_path, 50, held_out)["targets"] == 8192
    assert json.loads((tmp_path / GATE_FILE).read_text())["targets"] == 8192


def test_a_loss_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / GATE_FILE).write_text('{"source": "a", "targets": 9, "int8": 1.0, "int4": NaN}')
    with pytest.raises(UsageError, match="costs this checkpoint nan nats"):
        require_int4(model_of(tmp_path), tmp_path, 0.02, HeldOut())


def test_forced_it_asks_nothing_and_without_held_out_text_it_is_refused(tmp_path: Path) -> None:
    assert require_int4(model_of(tmp_path), tmp_path, 100, lambda: ()) == {}
    with pytest.raises(NotReadyError, match="nothing is held out"):
        require_int4(model_of(tmp_path), tmp_path, 0.02, lambda: ())
    assert not (tmp_path / GATE_FILE).exists()
