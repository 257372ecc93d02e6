from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from treadle.data import batch  # noqa: E402
from treadle.models.gpt.config import GPTConfig  # noqa: E402
from treadle.models.gpt.initialise import initial_weights  # noqa: E402
from treadle.models.gpt.model import MASKED, build  # noqa: E402
from treadle.models.gpt.weights import weight_shapes  # noqa: E402

_spec = importlib.util.spec_from_file_location("gpt_reference", Path(__file__).parent / "reference.py")
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

VOCABULARY, CONTEXT = 11, 7
TOKENS = [3, 10, 0, 3, 7, 7]
TARGETS = [10, 0, -1, 7, 7, 1]

SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "gpt2": {
        "positions": "learned",
        "norm": "layernorm",
        "norm_epsilon": 1e-5,
        "qk_norm": False,
        "activation": "gelu",
        "bias": True,
        "tied_embeddings": True,
    },
    "layernorm without bias": {"norm": "layernorm"},
    "grouped queries": {"heads": 4, "kv_heads": 2},
    "one key head": {"heads": 3, "kv_heads": 1, "head_width": 6},
    "wide heads": {"head_width": 10},
    "relu squared": {"activation": "relu2", "feed_forward": 20},
    "biases with swiglu": {"bias": True},
    "no gains": {"norm_gain": False, "norm": "layernorm", "bias": True},
    "no query and key norm": {"qk_norm": False},
    "normalised embedding": {"embedding_norm": True, "positions": "learned"},
    "soft cap": {"logit_soft_cap": 2.0},
    "rope base": {"rope_base": 50.0},
    "tied": {"tied_embeddings": True},
    "sliding window": {"attention": "sliding", "attention_window": 3},
    "sliding window of one, grouped": {"attention": "sliding", "attention_window": 1, "heads": 4, "kv_heads": 2},
    "linear": {"attention": "linear"},
    "linear, grouped, learned positions": {"attention": "linear", "heads": 4, "kv_heads": 2, "positions": "learned"},
    "linear with one head": {"attention": "linear", "heads": 1, "qk_norm": False, "bias": True},
}


def shape(name: str) -> GPTConfig:
    return GPTConfig(**{"layers": 2, "width": 16, "heads": 2, "feed_forward": 24, "norm_epsilon": 1e-3, **SHAPES[name]})


def random_weights(config: GPTConfig, seed: int = 0) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """No zeros and no ones: each weight matters."""
    generator = np.random.default_rng(seed)
    return {
        name: (generator.standard_normal(extents) * 0.4 + (0.8 if len(extents) == 1 else 0)).astype(np.float32)
        for name, extents in weight_shapes(config, VOCABULARY, CONTEXT).items()
    }


def loaded(config: GPTConfig, weights: dict[str, Any], attention: str = "plain") -> Any:
    model = build(config, VOCABULARY, CONTEXT, attention).eval()
    model.load_state_dict({name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()})
    return model


@pytest.mark.parametrize("name", SHAPES)
def test_state_dict_has_the_names_shapes_and_order_of_the_weight_list(name: str) -> None:
    found = build(shape(name), VOCABULARY, CONTEXT).state_dict()
    assert [(key, tuple(value.shape)) for key, value in found.items()] == list(
        weight_shapes(shape(name), VOCABULARY, CONTEXT).items()
    )


@pytest.mark.parametrize("attention", ["plain", "sdpa"])
@pytest.mark.parametrize("name", SHAPES)
def test_logits_and_loss_equal_the_reference(name: str, attention: str) -> None:
    config = shape(name)
    weights = random_weights(config)
    model = loaded(config, weights, attention)
    expected = reference.logits(config, {key: value.astype(np.float64) for key, value in weights.items()}, TOKENS)
    inputs, targets = torch.tensor([TOKENS], dtype=torch.int32), torch.tensor([TARGETS], dtype=torch.int32)
    np.testing.assert_allclose(model.logits(inputs)[0].detach().numpy(), expected, rtol=2e-4, atol=2e-5)
    loss, count = model(inputs, targets)
    exact = {key: value.astype(np.float64) for key, value in weights.items()}
    assert loss.item() == pytest.approx(reference.loss(config, exact, TOKENS, TARGETS), rel=1e-5)
    assert count.item() == 5


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_equal_the_slope_of_the_reference(name: str) -> None:
    config = shape(name)
    weights = random_weights(config)
    model = loaded(config, weights)
    loss, _ = model(torch.tensor([TOKENS]), torch.tensor([TARGETS]))
    loss.backward()
    exact = {key: value.astype(np.float64) for key, value in weights.items()}
    generator = np.random.default_rng(1)
    for key, parameter in model.named_parameters():
        direction = generator.standard_normal(exact[key].shape)
        step = 1e-6
        ahead = reference.loss(config, {**exact, key: exact[key] + step * direction}, TOKENS, TARGETS)
        behind = reference.loss(config, {**exact, key: exact[key] - step * direction}, TOKENS, TARGETS)
        slope = float((parameter.grad.numpy() * direction).sum())
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-3, abs=1e-4), key


@pytest.mark.parametrize("attention", ["plain", "sdpa"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_cached_path_equals_the_whole_one_however_the_text_is_cut(name: str, attention: str) -> None:
    config = shape(name)
    model = loaded(config, random_weights(config), attention)
    tokens = torch.tensor(TOKENS)
    with torch.inference_mode():
        whole = model.logits(tokens[None])[0]
        for cuts in ([6], [1] * 6, [2, 4], [3, 1, 2]):
            cache, position, rows = model.new_cache(), 0, []
            for length in cuts:
                wanted = torch.arange(length)
                rows.append(model.advance(tokens[position : position + length], position, cache, wanted))
                position += length
            torch.testing.assert_close(torch.cat(rows), whole, rtol=1e-4, atol=1e-5)


def test_a_later_token_changes_no_earlier_logits() -> None:
    model = loaded(shape("default"), random_weights(shape("default")))
    one, other = model.logits(torch.tensor([[1, 2, 3, 4]])), model.logits(torch.tensor([[1, 2, 3, 9]]))
    assert torch.equal(one[:, :3], other[:, :3])
    assert not torch.equal(one[:, 3], other[:, 3])


def test_masked_targets_give_no_loss_and_no_gradient() -> None:
    model = loaded(shape("default"), random_weights(shape("default")))
    loss, count = model(torch.tensor([TOKENS]), torch.full((1, len(TOKENS)), -1))
    loss.backward()
    assert loss.item() == 0
    assert MASKED == batch.MASKED
    assert count.item() == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("silenced", ["attention.output", "feed_forward.down"])
def test_dropout_zeroes_its_share_of_each_sub_layer_while_training_and_scales_the_rest(silenced: str) -> None:
    config = GPTConfig(layers=1, width=32, heads=2, dropout=0.25)
    weights = {
        **random_weights(config),
        f"layers.0.{silenced}.weight": np.zeros_like(random_weights(config)[f"layers.0.{silenced}.weight"]),
    }
    model = loaded(config, weights)
    rotation = model.rotation[:, : len(TOKENS)]
    with torch.no_grad():
        x = model.embed(torch.tensor([TOKENS]), 0)
        calm = model.layers[0](x, rotation) - x
        assert torch.equal(calm, model.layers[0](x, rotation) - x)
        model.train()
        torch.manual_seed(0)
        drawn = torch.stack([model.layers[0](x, rotation) - x for _ in range(200)])
    dropped = drawn.abs() < 1e-5
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.02)
    kept = torch.where(dropped, calm / 0.75, drawn)
    torch.testing.assert_close(kept, (calm / 0.75).expand_as(kept), rtol=1e-3, atol=1e-4)


def test_no_position_past_the_trained_context_is_ever_used() -> None:
    model = loaded(shape("gpt2"), random_weights(shape("gpt2")))
    with pytest.raises(ValueError, match="8 positions were given; this model was built for 7"):
        model.logits(torch.zeros(1, CONTEXT + 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="position 7 is past the last one, 6"):
        model.advance(torch.zeros(2, dtype=torch.int64), 6, model.new_cache(), torch.tensor([1]))


def test_an_unknown_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="plain or sdpa"):
        build(shape("default"), VOCABULARY, CONTEXT, "flash")


def test_bf16_autocast_stays_near_fp32() -> None:
    config = shape("default")
    model = loaded(config, random_weights(config))
    inputs, targets = torch.tensor([TOKENS]), torch.tensor([TARGETS])
    exact, _ = model(inputs, targets)
    with torch.autocast("cpu", torch.bfloat16):
        near, _ = model(inputs, targets)
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.02)


def test_the_first_loss_of_an_untied_model_is_the_logarithm_of_the_vocabulary() -> None:
    config = GPTConfig(layers=2, width=16, heads=2)
    model = loaded(config, initial_weights(config, VOCABULARY, CONTEXT, 0))
    loss, count = model(torch.tensor([TOKENS]), torch.tensor([TARGETS]))
    assert loss.item() / count.item() == pytest.approx(math.log(VOCABULARY), rel=1e-6)
