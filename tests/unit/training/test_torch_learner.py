from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from treadle.base.errors import MissingExtraError, UsageError, WeightsError
from treadle.config.spec import Spec
from treadle.data.batch import MASKED, Batch
from treadle.models.catalog import FAMILIES
from treadle.models.family import Family
from treadle.training.config import TrainingSettings
from treadle.training.learner import Update
from treadle.training.learners import LEARNERS, Network, open_learner
from treadle.training.torch_learner import TorchLearner
from treadle.training.torch_plan import choose_plan

if TYPE_CHECKING:
    from treadle.training.learner import Learner

VOCABULARY, CONTEXT = 11, 8
PLAN = {"learner": "torch", "threads": 1, "precision": "fp32", "attention": "plain"}


def network(**changes: Any) -> Network:
    family = FAMILIES.get("gpt")
    config = family.config_class().model_validate({"layers": 2, "width": 16, "heads": 2, **changes})
    return Network(family, config, VOCABULARY, CONTEXT)


def learner(seed: int = 1, plan: Any = PLAN, shape: Any = None, **settings: Any) -> Learner:
    net = network(**(shape or {}))
    chosen = TrainingSettings.model_validate(
        {"batch_size": 4, "learner": "torch", "threads": 1, "seed": seed, **settings}
    )
    made = open_learner(net, chosen, plan)
    made.load_weights(net.family.initial_weights(net.config, VOCABULARY, CONTEXT, seed))
    return made


def batch(rows: int = 6, seed: int = 0, masked: int = 0) -> Batch:
    ids = np.random.default_rng(seed).integers(VOCABULARY, size=(rows, CONTEXT + 1), dtype=np.int32)
    targets = ids[:, 1:].copy()
    targets.reshape(-1)[:masked] = MASKED
    return Batch(ids[:, :-1].copy(), targets)


def parts(whole: Batch, size: int) -> list[Batch]:
    return [
        Batch(whole.inputs[first : first + size], whole.targets[first : first + size])
        for first in range(0, len(whole.inputs), size)
    ]


def train(learner: Learner, steps: int, size: int = 6) -> list[float]:
    return [learner.step(parts(batch(seed=step), size), Update(step, 1.0, 1.0)).loss for step in range(1, steps + 1)]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_same_seed_gives_the_very_same_losses(optimizer: str) -> None:
    shape = {"dropout": 0.2}
    first, second = (learner(optimizer={"name": optimizer}, shape=shape) for _ in range(2))
    assert train(first, 5) == train(second, 5)
    for name, array in first.weights().items():
        np.testing.assert_array_equal(array, second.weights()[name])
    other = learner(seed=2, optimizer={"name": optimizer}, shape=shape)
    assert train(other, 5) != train(learner(optimizer={"name": optimizer}, shape=shape), 5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_accumulated_gradients_equal_those_of_the_big_batch(optimizer: str) -> None:
    """Masked targets make the micro-batches unequal: the mean must be over all targets, not of the means."""
    whole = batch(masked=13)
    big, small = learner(optimizer={"name": optimizer}), learner(optimizer={"name": optimizer})
    one = big.step([whole], Update(1, 1.0, 1.0))
    many = small.step(parts(whole, 2), Update(1, 1.0, 1.0))
    assert one.targets == many.targets == 6 * CONTEXT - 13
    assert many.loss == pytest.approx(one.loss, rel=1e-6)
    assert many.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-5)
    for name, array in big.weights().items():
        np.testing.assert_allclose(small.weights()[name], array, rtol=1e-3, atol=2e-5)


def test_a_learner_learns_by_heart() -> None:
    trained = learner(optimizer={"name": "muon"})
    one = batch(rows=2)
    losses = [trained.step([one], Update(step, 1.0, 1.0)).loss for step in range(1, 61)]
    assert losses[0] == pytest.approx(np.log(VOCABULARY), abs=0.2)
    assert losses[-1] < 0.1


def test_the_gradient_norm_is_that_before_clipping_and_clipping_holds() -> None:
    free, clipped = (learner(optimizer={"name": "adamw"}) for _ in range(2))
    norm = free.step([batch()], Update(1, 1.0, 0.0)).gradient_norm
    assert clipped.step([batch()], Update(1, 1.0, norm / 4)).gradient_norm == pytest.approx(norm)
    moments = {name: array for name, array in clipped.optimizer_state().items() if name.startswith("first_moment")}
    total = np.sqrt(sum(float((array**2).sum()) for array in moments.values()))
    assert total == pytest.approx(0.1 * norm / 4, rel=1e-4)  # m = (1 - beta1) g


def test_a_rate_of_zero_changes_nothing() -> None:
    still = learner(optimizer={"name": "muon"})
    before = still.weights()
    still.step([batch()], Update(1, 0.0, 1.0))
    for name, array in still.weights().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_weights_and_moments_carry_training_over_to_another_learner(optimizer: str) -> None:
    shape = {"dropout": 0.1}
    first = learner(optimizer={"name": optimizer}, shape=shape)
    train(first, 3)
    second = learner(seed=1, optimizer={"name": optimizer}, shape=shape)
    second.load_weights(first.weights())
    second.load_optimizer_state(first.optimizer_state())
    for step in (4, 5):
        update = Update(step, 0.7, 1.0)
        assert first.step([batch(seed=step)], update) == second.step([batch(seed=step)], update)


def test_the_moments_have_the_agreed_names() -> None:
    state = learner(optimizer={"name": "muon"}).optimizer_state()
    assert state["momentum/layers.0.attention.query.weight"].shape == (16, 16)
    assert {name.split("/")[1] for name in state if name.startswith("first_moment/")} == {
        name for name in network().weight_shapes() if not (name.startswith("layers.") and "norm" not in name)
    }
    state = learner(optimizer={"name": "adamw"}).optimizer_state()
    names = network().weight_shapes()
    assert set(state) == {f"{kind}_moment/{name}" for name in names for kind in ("first", "second")}


def test_foreign_weights_and_moments_are_refused_by_name() -> None:
    one = learner(optimizer={"name": "muon"})
    weights = one.weights()
    weights["extra.weight"] = weights.pop("head.weight")
    with pytest.raises(WeightsError, match=r"missing: head\.weight \(11, 16\); unused: extra\.weight"):
        one.load_weights(weights)
    with pytest.raises(WeightsError, match=r"missing: momentum/layers\.0"):
        one.load_optimizer_state(learner(optimizer={"name": "adamw"}).optimizer_state())


def test_evaluation_is_the_sum_without_dropout_and_changes_nothing() -> None:
    one = learner(shape={"dropout": 0.5})
    train(one, 2)
    whole = batch(masked=5)
    tallies = [one.evaluate(part) for part in parts(whole, 2)]
    assert sum(tally.loss for tally in tallies) == pytest.approx(one.evaluate(whole).loss, rel=1e-5)
    assert sum(tally.targets for tally in tallies) == 6 * CONTEXT - 5
    same = learner(shape={"dropout": 0.5})
    train(same, 2)
    assert one.step([whole], Update(3, 1.0, 1.0)) == same.step([whole], Update(3, 1.0, 1.0))


def test_read_only_arrays_are_accepted() -> None:
    one = batch()
    one.inputs.flags.writeable = False
    one.targets.flags.writeable = False
    learner().step([one], Update(1, 1.0, 1.0))


def test_a_weight_that_no_input_touches_gets_a_gradient_of_zero() -> None:
    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = torch.nn.Parameter(torch.ones(3))
            self.unused = torch.nn.Parameter(torch.ones(3))

        def forward(self, inputs: Any, targets: Any) -> Any:
            return (self.used * inputs).sum(), (targets != MASKED).sum()

    settings = TrainingSettings()
    half = TorchLearner(Half(), settings.optimizer, PLAN, 1)
    half.step([Batch(np.ones((2, 3), np.float32), np.zeros((2, 3), np.int32))], Update(1, 1.0, 0.0))
    np.testing.assert_array_equal(half.weights()["unused"], np.ones(3))
    assert (half.weights()["used"] < 1).all()
    half.close()


def test_bf16_is_close_to_fp32() -> None:
    exact, rounded = learner(precision="fp32"), learner(precision="bf16", plan={**PLAN, "precision": "bf16"})
    assert rounded.plan["precision"] == "bf16"
    losses = train(exact, 4), train(rounded, 4)
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
    assert losses[1] != losses[0]


def test_both_ways_of_attention_give_the_same_loss() -> None:
    plain, fused = learner(), learner(plan={**PLAN, "attention": "sdpa"})
    assert fused.plan["attention"] == "sdpa"
    assert train(fused, 3) == pytest.approx(train(plain, 3), rel=1e-4)


def test_the_plan_is_chosen_once_and_then_replayed() -> None:
    chosen = learner(plan=None).plan
    assert chosen["precision"] in {"fp32", "bf16"}
    assert chosen["attention"] in {"plain", "sdpa"}
    assert chosen["threads"] == 1
    assert {"torch", "instructions"} < set(chosen)
    for precision in ("fp32", "bf16"):
        for attention in ("plain", "sdpa"):
            stored = {**PLAN, "precision": precision, "attention": attention}
            replayed = learner(plan=stored).plan
            assert (replayed["precision"], replayed["attention"]) == (precision, attention)


def test_settings_come_before_the_stored_plan() -> None:
    assert learner(plan={**PLAN, "precision": "bf16"}, precision="fp32").plan["precision"] == "fp32"
    assert learner(plan={**PLAN, "threads": 2}, threads=1).plan["threads"] == 1
    assert learner(plan={**PLAN, "threads": 10_000}, threads=0).plan["threads"] < 10_000


def test_the_plan_of_another_learner_is_not_replayed() -> None:
    assert learner(plan={"learner": "native", "precision": "bfloat16", "threads": 1}).plan["precision"] != "bfloat16"


def test_auto_takes_the_learner_of_the_stored_plan() -> None:
    made = open_learner(network(), TrainingSettings(threads=1), PLAN)
    assert made.plan["learner"] == "torch"


def test_another_family_is_refused_by_the_native_core_and_planned_by_torch_without_a_trial() -> None:
    family = Family("pixels", "", "images", "none", "none", "none", "none")
    other = Network(family, Spec(), VOCABULARY, CONTEXT)
    with pytest.raises(MissingExtraError, match=r"native: the native core trains the family gpt, not"):
        open_learner(other, TrainingSettings(learner="native"))
    plan = choose_plan(other, TrainingSettings(threads=1), {})
    assert (plan["precision"], plan["attention"]) == ("fp32", "plain")


def test_without_torch_the_extra_is_named() -> None:
    code = """
import sys
from treadle.training.torch_maker import MAKER
sys.path = [path for path in sys.path if "site-packages" not in path]
sys.path_importer_cache.clear()
print(MAKER.refusal(None, None))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install treadle[torch]" in done.stdout


def test_the_catalogue_lists_both_learners_and_refuses_others() -> None:
    assert LEARNERS.names() == ["native", "torch"]
    with pytest.raises(UsageError, match="Unknown learner `jax`"):
        LEARNERS.get("jax")
