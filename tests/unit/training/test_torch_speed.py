"""What makes the torch learner faster or smaller: 16-bit arithmetic, compiled blocks, blocks computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from treadle.base.errors import MissingExtraError, ResourceError, UsageError  # noqa: E402
from treadle.data.batch import Batch  # noqa: E402
from treadle.models.catalog import FAMILIES  # noqa: E402
from treadle.training.config import TrainingSettings  # noqa: E402
from treadle.training.learner import Update  # noqa: E402
from treadle.training.learners import LEARNERS, Network, open_learner  # noqa: E402
from treadle.training.loss_scale import FIRST, LossScale  # noqa: E402
from treadle.training.torch_blocks import prepare_blocks  # noqa: E402
from treadle.training.torch_learner import TorchLearner  # noqa: E402
from treadle.training.torch_plan import choose_plan  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCABULARY, CONTEXT = 11, 8
PLAN = {"learner": "torch", "threads": 1, "precision": "fp32", "attention": "plain"}


def network(family: str = "gpt", **changes: Any) -> Network:
    found = FAMILIES.get(family)
    config = found.config_class().model_validate({"layers": 2, "width": 16, **changes})
    return Network(found, config, VOCABULARY, CONTEXT)


def settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({"batch_size": 4, "learner": "torch", "threads": 1, **changes})


def learner(net: Network, **changes: Any) -> Any:
    made = open_learner(net, settings(**changes), PLAN)
    made.load_weights(net.family.initial_weights(net.config, VOCABULARY, CONTEXT, 1))
    return made


def batch(seed: int) -> Batch:
    ids = np.random.default_rng(seed).integers(VOCABULARY, size=(4, CONTEXT + 1), dtype=np.int32)
    return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def losses(one: Any, steps: int = 4) -> list[float]:
    return [one.step([batch(step)], Update(step, 1.0, 1.0)).loss for step in range(1, steps + 1)]


@pytest.mark.parametrize(("family", "shape"), [("gpt", {"heads": 2, "dropout": 0.2}), ("rnn", {})])
def test_blocks_computed_again_learn_the_very_same(family: str, shape: dict[str, Any]) -> None:
    net = network(family, **shape)
    assert losses(learner(net, activation_checkpointing=True)) == losses(learner(net))


def test_blocks_computed_again_keep_less() -> None:
    net = network(heads=2, layers=6, width=64)
    kept = {}
    for again in (False, True):
        module = net.family.build_model(net.config, VOCABULARY, CONTEXT)
        prepare_blocks(module, settings(activation_checkpointing=again))
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            module(torch.tensor(batch(1).inputs), torch.tensor(batch(1).targets))
        kept[again] = sum(sizes)
    assert kept[True] < 0.2 * kept[False]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what torch says of itself
def test_compiled_blocks_learn_the_same_within_rounding() -> None:
    net = network(heads=2, layers=1)
    compiled = learner(net, compile=True)
    assert compiled.plan["compiled"] == "blocks"
    assert losses(compiled, 3) == pytest.approx(losses(learner(net), 3), rel=1e-4)


def test_a_network_without_blocks_is_told_so() -> None:
    with pytest.raises(UsageError, match="no blocks"):
        prepare_blocks(torch.nn.Linear(2, 2), settings(compile=True))


def test_half_floats_learn_as_fp32_does() -> None:
    net = network(heads=2)
    half = learner(net, precision="fp16")
    assert half.plan["precision"] == "fp16"
    assert losses(half, 6) == pytest.approx(losses(learner(net, precision="fp32"), 6), rel=2e-2)


class Steep(torch.nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """A loss of weight * `slope`, whose scaled gradient overflows half floats on the way back."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.zeros(2, 2))
        self.slope = slope

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = self.matrix.half() * self.slope
        return mixed.sum().float(), torch.tensor(targets.numel())


@pytest.fixture
def steep() -> Iterator[Any]:
    def make(slope: float) -> TorchLearner:
        plan = {**PLAN, "precision": "fp16"}
        return TorchLearner(Steep(slope), settings(optimizer={"name": "adamw"}).optimizer, plan, 1)

    return make


def test_an_overflow_is_computed_again_at_half_the_scale_and_no_step_is_lost(steep: Any) -> None:
    made = steep(100.0)
    one = Batch(np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32))
    result = made.step([one], Update(1, 1.0, 0.0))
    assert result.gradient_norm == pytest.approx(200.0, rel=1e-3)
    assert made._scale.value < FIRST / 2  # 100 x 65536 is beyond the largest half float
    assert all(array.any() for array in made.weights().values())
    assert made._scale.value * 100 < 65504


def test_gradients_that_overflow_at_scale_one_move_nothing_and_are_told(steep: Any) -> None:
    made = steep(60000.0)
    many = Batch(np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32))
    made._module.slope = float("inf")
    result = made.step([many], Update(1, 1.0, 0.0))
    assert not np.isfinite(result.loss) or not np.isfinite(result.gradient_norm)
    assert not any(array.any() for array in made.weights().values())


def test_the_scale_grows_after_long_peace_and_never_falls_below_one() -> None:
    scale = LossScale()
    for _ in range(2000):
        scale.went_well()
    assert scale.value == 2 * FIRST
    while scale.overflowed():
        pass
    assert scale.value == 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_card_that_is_not_there_is_named_with_what_it_takes() -> None:
    with pytest.raises(ResourceError, match=r"training\.device=cuda needs a CUDA device"):
        choose_plan(network(heads=2), settings(device="cuda"), {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "cuda"}, "training.device=cuda"),
        ({"precision": "fp16"}, "training.precision=fp16"),
        ({"compile": True}, "training.compile"),
        ({"activation_checkpointing": True}, "training.activation_checkpointing"),
    ],
)
def test_the_native_learner_refuses_what_only_torch_can_do(changes: dict[str, Any], said: str) -> None:
    refusal = LEARNERS.get("native").refusal(network(heads=2), settings(**changes))
    assert refusal == f"{said} is for the torch learner."
    with pytest.raises(MissingExtraError, match="for the torch learner"):
        open_learner(network(heads=2), settings(**changes, learner="native"))


@pytest.mark.parametrize("attention", [{"attention": "linear"}, {"attention": "sliding", "attention_window": 4}])
def test_other_attention_than_full_is_trained_by_torch(attention: dict[str, Any]) -> None:
    net = network(heads=2, **attention)
    assert "full attention only" in str(LEARNERS.get("native").refusal(net, settings()))
    assert open_learner(net, TrainingSettings(threads=1)).plan["learner"] == "torch"
