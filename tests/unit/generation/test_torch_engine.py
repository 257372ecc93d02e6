from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from treadle.base.errors import WeightsError  # noqa: E402
from treadle.generation.engine import EngineModel, Rows  # noqa: E402
from treadle.generation.torch_engine import TorchEngine, open_torch  # noqa: E402
from treadle.models.gpt.config import GPTConfig  # noqa: E402
from treadle.models.gpt.model import build  # noqa: E402
from treadle.models.gpt.weights import weight_shapes  # noqa: E402

VOCABULARY, CONTEXT = 23, 12
CONFIG = GPTConfig(layers=2, width=24, heads=4, kv_heads=2)


def random_model(config: GPTConfig = CONFIG) -> EngineModel:
    generator = np.random.default_rng(3)
    weights = {
        name: (generator.standard_normal(shape) * 0.3).astype(np.float32)
        for name, shape in weight_shapes(config, VOCABULARY, CONTEXT).items()
    }
    return EngineModel("gpt", config, weights, VOCABULARY, CONTEXT)


def whole(tokens: list[int], slot: int = 0, position: int = 0) -> list[tuple[int, int, int, bool]]:
    return [(token, slot, position + place, True) for place, token in enumerate(tokens)]


TEXTS = [[1, 2, 3, 4, 5, 6, 7], [9], [22, 0, 22], list(range(12))]


def test_logits_equal_the_module_fed_the_whole_text() -> None:
    model = random_model()
    module = build(CONFIG, VOCABULARY, CONTEXT).eval()
    module.load_state_dict({name: torch.tensor(weight) for name, weight in model.weights.items()})
    engine = TorchEngine(model, 2)
    with torch.inference_mode():
        expected = module.logits(torch.tensor([TEXTS[0]]))[0].numpy()
    np.testing.assert_allclose(engine.step(Rows.of(whole(TEXTS[0]))), expected, rtol=1e-5, atol=1e-5)


def test_a_batch_of_unequal_texts_equals_its_singles_bit_for_bit() -> None:
    engine = TorchEngine(random_model(), 4)
    together = engine.step(Rows.of(row for slot, text in enumerate(TEXTS) for row in whole(text, slot)))
    alone = [TorchEngine(random_model(), 1).step(Rows.of(whole(text))) for text in TEXTS]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_decoding_in_a_mixed_batch_equals_decoding_alone_bit_for_bit() -> None:
    batch, single = TorchEngine(random_model(), 3), TorchEngine(random_model(), 3)
    batch.step(Rows.of([*whole([1, 2], 0), *whole([5, 6, 7], 2)]))
    single.step(Rows.of(whole([1, 2], 0)))
    mixed = batch.step(Rows.of([*whole([4, 4, 4, 4], 1), *whole([3], 0, 2), *whole([8], 2, 3)]))
    np.testing.assert_array_equal(mixed[4], single.step(Rows.of(whole([3], 0, 2)))[0])


def test_only_wanted_rows_are_answered_in_the_order_of_the_rows() -> None:
    engine = TorchEngine(random_model(), 2)
    everything = engine.step(Rows.of([*whole([1, 2, 3], 1), *whole([4, 5], 0)]))
    rows = Rows.of([(1, 1, 0, False), (2, 1, 1, True), (3, 1, 2, False), (4, 0, 0, False), (5, 0, 1, True)])
    np.testing.assert_allclose(engine.step(rows), everything[[1, 4]], rtol=1e-5, atol=1e-5)
    nothing = engine.step(Rows.of([(1, 1, 3, False)]))
    assert nothing.shape == (0, VOCABULARY)
    assert engine.step(Rows.of([])).shape == (0, VOCABULARY)


def test_going_back_forgets_what_came_after() -> None:
    engine, fresh = TorchEngine(random_model(), 1), TorchEngine(random_model(), 1)
    engine.step(Rows.of(whole([1, 2, 3, 4])))
    fresh.step(Rows.of(whole([1, 2])))
    again, first = (e.step(Rows.of(whole([7], 0, 2))) for e in (engine, fresh))
    np.testing.assert_allclose(again, first, rtol=1e-5, atol=1e-5)
    engine.step(Rows.of(whole([5])))
    with pytest.raises(ValueError, match="after only 1 tokens"):
        engine.step(Rows.of(whole([5], 0, 2)))


def test_a_used_slot_leaves_no_trace() -> None:
    engine, fresh = TorchEngine(random_model(), 1), TorchEngine(random_model(), 1)
    engine.step(Rows.of(whole(TEXTS[3])))
    np.testing.assert_array_equal(engine.step(Rows.of(whole(TEXTS[0]))), fresh.step(Rows.of(whole(TEXTS[0]))))


def test_the_thread_count_of_the_program_changes_no_bit_and_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(TorchEngine(random_model(), 1).step(Rows.of(whole(TEXTS[0]))))
            assert torch.get_num_threads() == threads
        np.testing.assert_array_equal(*found)
    finally:
        torch.set_num_threads(before)


def test_a_step_computes_on_one_thread() -> None:
    engine, seen = TorchEngine(random_model(), 1), []
    engine._module.norm.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        engine.step(Rows.of(whole(TEXTS[0])))
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


def test_opening_an_engine_does_not_disturb_the_programs_chance() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    TorchEngine(random_model(), 1)
    assert torch.equal(torch.rand(3), expected)


def test_later_changes_of_the_given_arrays_do_not_reach_the_engine() -> None:
    model = random_model()
    engine = TorchEngine(model, 1)
    before = engine.step(Rows.of(whole([1])))
    for weight in model.weights.values():
        weight[:] = 0
    np.testing.assert_array_equal(engine.step(Rows.of(whole([1]))), before)


def test_read_only_weights_are_fine() -> None:
    model = random_model()
    for weight in model.weights.values():
        weight.flags.writeable = False
    assert TorchEngine(model, 1).step(Rows.of(whole([1]))).shape == (1, VOCABULARY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("norm.weight"), "missing: norm.weight"),
        (lambda weights: weights.update(more=np.zeros(1, np.float32)), "unused: more"),
        (lambda weights: weights.update({"norm.weight": np.zeros(3, np.float32)}), "norm.weight is .3. instead"),
    ],
)
def test_loading_is_strict(change: Any, message: str) -> None:
    model = random_model()
    change(model.weights)
    with pytest.raises(WeightsError, match=message):
        open_torch(model, "fp32", 1)


def test_closing_frees_the_module() -> None:
    engine = TorchEngine(random_model(), 1)
    engine.step(Rows.of(whole([1])))
    engine.close()
    with pytest.raises(ValueError, match="after only 0 tokens"):
        engine.step(Rows.of(whole([1], 0, 1)))
