"""What every family must do: build, train, save and load equal, grow, and generate fast as it does slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from treadle.base.errors import WeightsError  # noqa: E402
from treadle.data.batch import MASKED, Batch  # noqa: E402
from treadle.generation.config import GenerationSettings  # noqa: E402
from treadle.generation.engine import EngineModel, Rows, open_engine  # noqa: E402
from treadle.models.catalog import FAMILIES  # noqa: E402
from treadle.models.exchange.safetensors_file import write_safetensors  # noqa: E402
from treadle.models.growth import grown_moments, grown_weights, places_of_old_layers  # noqa: E402
from treadle.registry.catalogue import load  # noqa: E402
from treadle.training.config import TrainingSettings  # noqa: E402
from treadle.training.learner import Update  # noqa: E402
from treadle.training.learners import Network, open_learner  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.models.growth import Placing
    from treadle.training.learner import Learner

SMALL: dict[str, list[dict[str, Any]]] = {
    "gpt": [
        {"layers": 2, "width": 32, "heads": 2},
        {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "attention": "sliding", "attention_window": 3},
        {"layers": 2, "width": 32, "heads": 2, "attention": "linear"},
    ],
    "rnn": [
        {"layers": 2, "width": 32, "cell": "lstm"},
        {"layers": 1, "width": 32, "cell": "gru", "tied_embeddings": True},
    ],
    "image_classifier": [
        {"layers": 2, "width": 16, "network": "cnn", "channels": 3},
        {"layers": 2, "width": 32, "network": "vit", "heads": 2, "patch": 3},
    ],
    "video_flow": [{"layers": 2, "width": 32, "heads": 2}],
}
CASES = [(name, changes) for name in FAMILIES.names() for changes in SMALL[name]]
TOKENS = [case for case in CASES if FAMILIES.get(case[0]).needs == "tokens"]
each = pytest.mark.parametrize(("name", "changes"), CASES, ids=str)
each_of_tokens = pytest.mark.parametrize(("name", "changes"), TOKENS, ids=str)
ANSWERS, CONTEXT = 11, 8
PLAN = {"learner": "torch", "threads": 1, "precision": "fp32", "attention": "plain"}


def network(name: str, changes: dict[str, Any]) -> Network:
    family = FAMILIES.get(name)
    return Network(family, family.config_class().model_validate(changes), ANSWERS, CONTEXT)


def examples(net: Network, seed: int = 0) -> Batch:
    generator = np.random.default_rng(seed)
    if net.family.needs == "labelled_images":
        pictures = generator.integers(256, size=(6, CONTEXT, CONTEXT, 1), dtype=np.uint8)
        return Batch(pictures, generator.integers(ANSWERS, size=6, dtype=np.int32))
    if net.family.needs == "clips":
        clips = np.full((6, CONTEXT, CONTEXT, CONTEXT, 7), 230, np.uint8)  # three steps teach nothing about noise
        return Batch(clips, generator.integers(1 << ANSWERS, size=6, dtype=np.int32))
    ids = generator.integers(ANSWERS, size=(6, CONTEXT + 1), dtype=np.int32)
    return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def learner(net: Network, **settings: Any) -> Learner:
    chosen = TrainingSettings.model_validate({"batch_size": 6, "learner": "torch", "precision": "fp32", **settings})
    made = open_learner(net, chosen, PLAN)
    made.load_weights(net.family.initial_weights(net.config, net.vocabulary, net.context, 1))
    return made


def trained(net: Network, steps: int) -> Learner:
    made = learner(net)
    for step in range(1, steps + 1):
        made.step([examples(net)], Update(step, 1.0, 1.0))
    return made


@pytest.mark.parametrize(("name", "changes"), [case for case in CASES if case[0] != "video_flow"], ids=str)
def test_the_first_loss_is_that_of_a_guess(name: str, changes: dict[str, Any]) -> None:
    net = network(name, changes)
    tally = learner(net).evaluate(examples(net))
    guess = np.log(ANSWERS)
    assert tally.loss / tally.targets == pytest.approx(guess, rel=0.3 if changes.get("tied_embeddings") else 1e-5)


@each
def test_three_steps_lower_the_loss_and_are_the_same_each_time(name: str, changes: dict[str, Any]) -> None:
    net = network(name, changes)
    first, second = trained(net, 3), trained(net, 3)
    assert first.evaluate(examples(net)).loss < learner(net).evaluate(examples(net)).loss * 0.95
    for key, array in first.weights().items():
        np.testing.assert_array_equal(array, second.weights()[key], err_msg=key)


@each
def test_weights_and_moments_that_were_saved_load_equal(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    net = network(name, changes)
    made = trained(net, 3)
    write_safetensors(tmp_path / "weights", made.weights())
    write_safetensors(tmp_path / "moments", made.optimizer_state())
    other = learner(net)
    other.load_weights(load_file(tmp_path / "weights"))
    other.load_optimizer_state(load_file(tmp_path / "moments"))
    assert other.evaluate(examples(net)) == made.evaluate(examples(net))
    after = [one.step([examples(net, 4)], Update(4, 1.0, 1.0)).loss for one in (made, other)]
    assert after[0] == after[1]
    np.testing.assert_array_equal(
        *(np.concatenate([array.reshape(-1) for array in one.weights().values()]) for one in (made, other))
    )


@each
def test_loading_names_what_is_missing_unused_and_of_another_shape(name: str, changes: dict[str, Any]) -> None:
    net = network(name, changes)
    weights = net.family.initial_weights(net.config, ANSWERS, CONTEXT, 1)
    first, *_, last = weights
    wrong = {**weights, "extra.weight": np.zeros(2, np.float32), last: np.zeros((1, 1), np.float32)}
    del wrong[first]
    with pytest.raises(WeightsError) as error:
        learner(net).load_weights(wrong)
    for said in (f"missing: {first}", "unused: extra.weight", f"mismatched: {last}"):
        assert said in str(error.value)


@each
def test_a_new_layer_changes_no_other_weights_start(name: str, changes: dict[str, Any]) -> None:
    small, large = network(name, changes), network(name, {**changes, "layers": changes["layers"] + 1})
    before = small.family.initial_weights(small.config, ANSWERS, CONTEXT, 1)
    after = large.family.initial_weights(large.config, ANSWERS, CONTEXT, 1)
    for key, array in before.items():
        np.testing.assert_array_equal(array, after[key], err_msg=key)


@pytest.mark.parametrize("name", FAMILIES.names())
def test_networks_and_data_agree_on_what_is_masked(name: str) -> None:
    module = FAMILIES.get(name).model.partition(":")[0]
    if FAMILIES.get(name).needs == "tokens":
        assert load(f"{module}:MASKED") == MASKED


@each_of_tokens
def test_fast_generation_equals_the_slow_one(name: str, changes: dict[str, Any]) -> None:
    """Token by token from a cache, in pieces, after turning back, and all at once: the same logits."""
    net = network(name, changes)
    weights = trained(net, 3).weights()
    engine = open_engine(EngineModel(name, net.config, weights, ANSWERS, CONTEXT), "torch")
    text = [3, 1, 4, 1, 5, 9, 2, 6]
    module = net.family.build_model(net.config, ANSWERS, CONTEXT).eval()
    module.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    with torch.inference_mode():
        slow = module.logits(torch.tensor([text]))[0].numpy()
    one_by_one = [engine.step(Rows.of([(token, 0, place, True)]))[0] for place, token in enumerate(text)]
    np.testing.assert_allclose(one_by_one, slow, atol=1e-5)
    turned_back = engine.step(Rows.of([(token, 0, place, True) for place, token in enumerate(text) if place >= 5]))
    np.testing.assert_allclose(turned_back, slow[5:], atol=1e-5)
    new_text = engine.step(Rows.of([(token, 0, place, True) for place, token in enumerate(text[:3])]))
    np.testing.assert_allclose(new_text, slow[:3], atol=1e-5)
    other_slot = engine.step(Rows.of([(token, 1, place, True) for place, token in enumerate(text)]))
    np.testing.assert_allclose(other_slot, slow, atol=1e-5)
    engine.close()


@each_of_tokens
def test_text_longer_than_the_context_is_the_same_in_any_company(name: str, changes: dict[str, Any]) -> None:
    from treadle.data.tokenizers.bytes import BytesTokenizer
    from treadle.generation.generate import GenerationRequest, complete

    family = FAMILIES.get(name)
    config = family.config_class().model_validate(changes)
    tokenizer = BytesTokenizer()
    size = tokenizer.vocabulary_size
    generator = np.random.default_rng(7)
    weights = {
        key: (generator.standard_normal(shape) * 0.3).astype(np.float32)
        for key, shape in family.weight_shapes(config, size, CONTEXT).items()
    }
    engine = open_engine(EngineModel(name, config, weights, size, CONTEXT), "torch")
    requests = [
        GenerationRequest(text, GenerationSettings(tokens=20, seed=seed)) for seed, text in enumerate(["", "ab", "xyz"])
    ]
    together = complete(engine, tokenizer, requests)
    alone = [complete(engine, tokenizer, [request])[0] for request in requests]
    assert [done.ids for done in together] == [done.ids for done in alone]
    engine.close()


EXTRA: dict[str, list[dict[str, Any]]] = {
    "gpt": [{"layers": 2, "width": 32, "heads": 2, "bias": True, "norm": "layernorm"}]
}
GROWN = [*CASES, *((name, changes) for name, cases in EXTRA.items() for changes in cases)]
each_grown = pytest.mark.parametrize(("name", "changes"), GROWN, ids=str)


def grown(name: str, changes: dict[str, Any], placing: Placing, more: int = 2) -> tuple[Learner, Learner]:
    """A trained learner, and one with more layers that goes on from it."""
    small, large = network(name, changes), network(name, {**changes, "layers": changes["layers"] + more})
    old, new = trained(small, 5), learner(large)
    places = places_of_old_layers(changes["layers"], changes["layers"] + more, placing)
    start = large.family.initial_weights(large.config, ANSWERS, CONTEXT, 1)
    weights = grown_weights(old.weights(), start, places)
    new.load_weights(weights)
    new.load_optimizer_state(grown_moments(old.optimizer_state(), weights, places))
    return old, new


@pytest.mark.parametrize("placing", ["spread", "end"])
@each_grown
def test_the_loss_on_a_fixed_batch_is_the_same_before_and_after(
    name: str, changes: dict[str, Any], placing: Placing
) -> None:
    old, new = grown(name, changes, placing)
    batch = examples(network(name, changes), seed=9)
    assert new.evaluate(batch).loss == pytest.approx(old.evaluate(batch).loss, rel=1e-6, abs=1e-5)


@each_grown
def test_new_layers_learn_and_old_moments_are_kept(name: str, changes: dict[str, Any]) -> None:
    old, new = grown(name, changes, "spread")
    places = places_of_old_layers(changes["layers"], changes["layers"] + 2, "spread")
    (first, *_) = set(range(changes["layers"] + 2)) - set(places)
    moments = new.optimizer_state()
    for key, array in old.optimizer_state().items():
        if "layers." not in key:
            np.testing.assert_array_equal(array, moments[key])
    new_ones = [array for key, array in moments.items() if f"layers.{first}." in key]
    assert new_ones
    assert not any(array.any() for array in new_ones)
    before = new.weights()
    for step in range(6, 9):
        new.step([examples(network(name, changes))], Update(step, 1.0, 1.0))
    moved = {key for key, array in new.weights().items() if not np.array_equal(array, before[key])}
    matrices = {key for key, array in before.items() if f"layers.{first}." in key and array.ndim == 2}
    assert matrices <= moved


@each_grown
def test_after_more_steps_the_grown_model_is_no_worse(name: str, changes: dict[str, Any]) -> None:
    old, new = grown(name, changes, "spread")
    net = network(name, changes)
    for step in range(6, 26):
        for one in (old, new):
            one.step([examples(net)], Update(step, 0.5, 1.0))
    assert new.evaluate(examples(net)).loss <= old.evaluate(examples(net)).loss + 0.3
