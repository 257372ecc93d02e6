from __future__ import annotations

import math

import numpy as np
import pytest

from treadle.base.errors import UsageError, WeightsError
from treadle.config.spec import Spec
from treadle.data.batch import Batch
from treadle.models.catalog import FAMILIES
from treadle.models.gpt.config import GPTConfig
from treadle.training.config import TrainingSettings
from treadle.training.learner import Update
from treadle.training.learners import Network, open_learner
from treadle.training.native_learner import MAKER, NativePlan, required_memory
from treadle.training.optimizers.config import AdamWConfig, MuonConfig

SMALL = GPTConfig(layers=2, width=48, heads=3, kv_heads=1, bias=True, norm="layernorm", dropout=0.1)
OPTIMIZERS = {"adamw": AdamWConfig(), "muon": MuonConfig()}


def batches(bench, count: int, rows: int = 7, time: int = 21) -> list[Batch]:
    return [bench.batch(60, rows, time, seed=seed) for seed in range(count)]


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_results_have_the_same_bits_whatever_the_number_of_threads(bench, optimizer, precision):
    results = []
    for threads in (1, 2, 3, 7):
        learner = bench.learner(
            SMALL, OPTIMIZERS[optimizer], vocabulary=60, context=24, threads=threads, precision=precision
        )
        losses = bench.train(learner, batches(bench, 6))
        losses.append(learner.evaluate(batches(bench, 1, rows=40)[0]).loss)
        results.append((losses, learner.weights(), learner.optimizer_state()))
    for losses, weights, state in results[1:]:
        assert losses == results[0][0]
        assert same(weights, results[0][1])
        assert same(state, results[0][2])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stopping_and_going_on_changes_no_bit(bench, optimizer):
    through = bench.learner(SMALL, OPTIMIZERS[optimizer], vocabulary=60, context=24)
    losses = bench.train(through, batches(bench, 8))
    first = bench.learner(SMALL, OPTIMIZERS[optimizer], vocabulary=60, context=24)
    bench.train(first, batches(bench, 8)[:4])
    second = bench.learner(SMALL, OPTIMIZERS[optimizer], vocabulary=60, context=24)
    second.load_weights(first.weights())
    second.load_optimizer_state(first.optimizer_state())
    assert bench.train(second, batches(bench, 8)[4:], first=5) == losses[4:]
    assert same(second.weights(), through.weights())


def test_other_seeds_drop_other_values(bench):
    runs = [
        bench.train(bench.learner(SMALL, vocabulary=60, context=24, seed=seed), batches(bench, 1)) for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_dropout_takes_its_share_and_keeps_the_mean(bench):
    config = GPTConfig(layers=1, width=64, heads=2, dropout=0.25)
    calm = bench.learner(config.model_copy(update={"dropout": 0.0}), vocabulary=60, context=24)
    wild = bench.learner(config, vocabulary=60, context=24)
    batch = bench.batch(60, 8, 24)
    losses = [wild.step([batch], Update(step, 0.0, 1.0)).loss for step in range(1, 60)]
    calm_loss = calm.step([batch], Update(1, 0.0, 1.0)).loss
    assert np.std(losses) > 0.002 * calm_loss
    assert np.mean(losses) == pytest.approx(calm_loss, rel=0.02)
    assert wild.evaluate(batch).loss == calm.evaluate(batch).loss


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_accumulated_micro_batches_equal_one_large_batch(bench, optimizer):
    config = SMALL.model_copy(update={"dropout": 0.0})
    whole = bench.batch(60, 12, 21)
    parts = [Batch(whole.inputs[i : i + 5], whole.targets[i : i + 5]) for i in range(0, 12, 5)]  # 5, 5 and a short 2
    large = bench.learner(config, OPTIMIZERS[optimizer], vocabulary=60, context=24, precision="fp32")
    small = bench.learner(config, OPTIMIZERS[optimizer], vocabulary=60, context=24, precision="fp32")
    one, many = large.step([whole], Update(1, 1.0, 1.0)), small.step(parts, Update(1, 1.0, 1.0))
    assert many.targets == one.targets == whole.count
    assert many.loss == pytest.approx(one.loss, rel=1e-6)
    assert many.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-5)
    # The first step of AdamW moves by the sign of a gradient: where that is a rounding error, by nothing certain.
    changes = bench.errors(small.weights(), large.weights())
    assert max(changes.values()) < (5e-2 if optimizer == "muon" else 2e-2), changes
    assert np.median(list(changes.values())) < 1e-3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hundred_steps_end_near_the_reference(bench, optimizer):
    """Bound: after 100 steps on learnable text the learners' weights differ by under 3 % of the way travelled."""
    pytest.importorskip("torch")
    family = FAMILIES.get("gpt")
    config = GPTConfig(layers=2, width=64, heads=2)
    settings = TrainingSettings(optimizer=OPTIMIZERS[optimizer], precision="fp32", threads=1)
    network = Network(family, config, 17, 24)
    start = family.initial_weights(config, 17, 24, 1)
    ends, losses = {}, {}
    for name in ("native", "torch"):
        plan = (
            {"learner": "torch", "threads": 1, "precision": "fp32", "attention": "plain"} if name == "torch" else None
        )
        learner = open_learner(network, settings.model_copy(update={"learner": name}), plan)
        learner.load_weights(start)
        losses[name] = [
            learner.step([pattern(step)], Update(step, min(1.0, step / 10), 1.0)).loss for step in range(1, 101)
        ]
        ends[name] = learner.weights()
        learner.close()
    assert losses["native"] == pytest.approx(losses["torch"], abs=0.02)
    assert losses["native"][-1] < 0.5 * losses["native"][0]
    for name, begin in start.items():
        travelled = float(np.linalg.norm(ends["torch"][name] - begin))
        assert float(np.linalg.norm(ends["native"][name] - ends["torch"][name])) < 0.03 * travelled, name


def pattern(seed: int) -> Batch:
    """Sequences that count upwards by a stride: what comes next can be learned."""
    random = np.random.default_rng(seed)
    start, stride = random.integers(0, 17, (8, 1)), random.integers(1, 5, (8, 1))
    ids = ((start + stride * np.arange(25)) % 17).astype(np.int32)
    return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def test_weights_and_moments_move_freely_between_the_learners(bench):
    pytest.importorskip("torch")
    family = FAMILIES.get("gpt")
    network = Network(family, GPTConfig(layers=1, width=64, heads=2), 17, 24)
    learners = {}
    for name in ("torch", "native"):
        settings = TrainingSettings(learner=name, precision="fp32", threads=1)
        plan = {"learner": "torch", "threads": 1, "precision": "fp32", "attention": "plain"}
        learners[name] = open_learner(network, settings, plan)
    torch_learner, native = learners["torch"], learners["native"]
    torch_learner.load_weights(family.initial_weights(network.config, 17, 24, 1))
    for step in range(1, 51):
        torch_learner.step([pattern(step)], Update(step, 1.0, 1.0))
    native.load_weights(torch_learner.weights())
    native.load_optimizer_state(torch_learner.optimizer_state())
    for step in range(51, 61):
        losses = [learner.step([pattern(step)], Update(step, 1.0, 1.0)).loss for learner in learners.values()]
        assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    native.close()
    torch_learner.close()


def test_what_is_not_a_number_is_reported_and_moves_nothing(bench):
    learner = bench.learner(SMALL, MuonConfig(), vocabulary=60, context=24)
    bench.train(learner, batches(bench, 2))
    good, state = learner.weights(), learner.optimizer_state()
    for name, value in (
        ("layers.0.attention.key.weight", math.nan),
        ("head.weight", math.inf),
        ("norm.bias", math.nan),
    ):
        spoiled = {**good, name: good[name].copy()}
        spoiled[name].reshape(-1)[3] = value
        learner.load_weights(spoiled)
        result = learner.step(batches(bench, 1), Update(3, 1.0, 1.0))
        assert not (math.isfinite(result.loss) and math.isfinite(result.gradient_norm)), name
        after = learner.weights()
        assert all(np.array_equal(after[key], spoiled[key], equal_nan=True) for key in spoiled)
        assert same(learner.optimizer_state(), state)
    learner.load_weights(good)
    assert math.isfinite(learner.step(batches(bench, 1), Update(3, 1.0, 1.0)).loss)


def test_clipping_bounds_the_first_moment(bench):
    for clip in (0.0, 0.5):
        learner = bench.learner(SMALL, AdamWConfig(beta1=0.5), vocabulary=60, context=24, precision="fp32")
        norm = learner.step(batches(bench, 1), Update(1, 1.0, clip)).gradient_norm
        moments = [values for name, values in learner.optimizer_state().items() if name.startswith("first")]
        length = math.sqrt(sum(float((values.astype(np.float64) ** 2).sum()) for values in moments))
        assert length == pytest.approx(0.5 * (clip or norm), rel=1e-3)


def test_padding_stays_zero_through_training(bench):
    """Widths are padded inside; a leak would show as a weight matrix whose copy loses something."""
    config = GPTConfig(layers=1, width=40, heads=3, head_width=20, bias=True, norm="layernorm", positions="learned")
    one = bench.learner(config, MuonConfig(), vocabulary=33, context=24)
    few = [bench.batch(33, 5, 24, seed=seed) for seed in range(12)]
    bench.train(one, few[:6])
    two = bench.learner(config, MuonConfig(), vocabulary=33, context=24)
    two.load_weights(one.weights())
    two.load_optimizer_state(one.optimizer_state())
    assert bench.train(two, few[6:], first=7) == bench.train(one, few[6:], first=7)


def test_misfits_are_named(bench):
    learner = bench.learner(SMALL, vocabulary=60, context=24)
    weights = learner.weights()
    weights["extra"] = weights.pop("head.weight")
    weights["norm.weight"] = weights["norm.weight"][:-1]
    before = learner.weights()
    with pytest.raises(WeightsError, match=r"missing: head\.weight.*unused: extra.*mismatched: norm\.weight"):
        learner.load_weights(weights)
    assert same(learner.weights(), before)
    with pytest.raises(WeightsError, match="first_moment/head"):
        learner.load_optimizer_state({})
    with pytest.raises(UsageError, match="every one is masked"):
        learner.step(
            [Batch(before["norm.weight"][None, :4].astype(np.int32), np.full((1, 4), -1, np.int32))], Update(9, 1, 1)
        )


def test_the_maker_replays_a_stored_plan_and_refuses_other_families():
    family = FAMILIES.get("gpt")
    network = Network(family, GPTConfig(layers=1, width=64, heads=2), 30, 16)
    stored = {"learner": "native", "threads": 9, "precision": "fp32", "gradient_shards": 3, "pass_tokens": 64}
    learner = MAKER.make(network, TrainingSettings(threads=2), stored)
    plan = dict(learner.plan)
    learner.close()
    assert {**stored, "threads": 2}.items() <= plan.items()
    assert MAKER.refusal(network, TrainingSettings()) is None

    class OtherConfig(Spec):
        name: str = "other"

    assert "gpt" in (MAKER.refusal(Network(family, OtherConfig(), 30, 16), TrainingSettings()) or "")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_ninety_five_million_parameters_fit_in_three_gigabytes(precision):
    """With AdamW, which keeps a second moment of all; Muon's scratch is counted though AdamW never touches it."""
    plan = NativePlan(threads=2, precision=precision)
    config = GPTConfig(layers=12, width=768, heads=12, tied_embeddings=True)
    assert required_memory(config, 8192, 256, plan).arena < 2.96e9
