"""What every family must do, whatever it is: build, train, save and load equal, and generate fast as it does slowly."""

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
from treadle.registry.catalogue import load  # noqa: E402
from treadle.training.arrays_file import write_arrays  # noqa: E402
from treadle.training.config import TrainingSettings  # noqa: E402
from treadle.training.learner import Update  # noqa: E402
from treadle.training.learners import Network, open_learner  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.training.learner import Learner

SMALL: dict[str, list[dict[str, Any]]] = {
    "gpt": [{"layers": 2, "width": 32, "heads": 2}],
    "rnn": [
        {"layers": 2, "width": 32, "cell": "lstm"},
        {"layers": 1, "width": 32, "cell": "gru", "tied_embeddings": True},
    ],
    "image_classifier": [
        {"layers": 2, "width": 16, "network": "cnn", "channels": 3},
        {"layers": 2, "width": 32, "network": "vit", "heads": 2, "patch": 3},
    ],
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


@each
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
    write_arrays(tmp_path / "weights", made.weights())
    write_arrays(tmp_path / "moments", made.optimizer_state())
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
