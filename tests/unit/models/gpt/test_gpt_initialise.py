from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights
from treadle.models.gpt.weights import weight_shapes

CONFIG = GPTConfig(layers=2, width=64, heads=2, bias=True, norm="layernorm", positions="learned")


def test_every_weight_is_there_in_float32_and_the_listed_shape() -> None:
    weights = initial_weights(CONFIG, 300, 32, 5)
    assert {name: weight.shape for name, weight in weights.items()} == weight_shapes(CONFIG, 300, 32)
    assert all(weight.dtype == np.float32 and weight.flags.c_contiguous for weight in weights.values())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    one, same, other = (initial_weights(CONFIG, 300, 32, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["embedding.weight"], other["embedding.weight"])


def test_weights_of_one_shape_start_differently() -> None:
    weights = initial_weights(CONFIG, 300, 32, 5)
    for name in ("layers.0.attention.key.weight", "layers.1.attention.query.weight"):
        assert not np.array_equal(weights["layers.0.attention.query.weight"], weights[name])


def test_more_layers_change_no_earlier_weight() -> None:
    short = initial_weights(CONFIG, 300, 32, 5)
    long = initial_weights(CONFIG.model_copy(update={"layers": 3}), 300, 32, 5)
    assert all(np.array_equal(short[name], long[name]) for name in short)


@pytest.mark.parametrize(
    "name", ["layers.0.attention.output.weight", "layers.1.feed_forward.down.weight", "head.weight", "norm.bias"]
)
def test_outputs_into_the_residual_stream_the_head_and_biases_are_zero(name: str) -> None:
    assert not initial_weights(CONFIG, 300, 32, 5)[name].any()


def test_scales_are_as_documented() -> None:
    weights = initial_weights(CONFIG, 300, 32, 5)
    query = weights["layers.0.attention.query.weight"]
    assert np.abs(query).max() <= 1 / 8
    assert query.std() == pytest.approx(1 / 8 / np.sqrt(3), rel=0.03)
    assert weights["embedding.weight"].std() == pytest.approx(1, rel=0.03)
    assert weights["position.weight"].std() == pytest.approx(1, rel=0.1)
    assert (weights["layers.0.attention_norm.weight"] == 1).all()
    tied = initial_weights(CONFIG.model_copy(update={"tied_embeddings": True}), 300, 32, 5)
    assert tied["embedding.weight"].std() == pytest.approx(0.02, rel=0.03)
    assert "head.weight" not in tied


def test_a_start_can_be_drawn_without_torch() -> None:
    code = (
        "import sys; from treadle.models.catalog import FAMILIES; family = FAMILIES.get('gpt');"
        "heavy = {'torch', 'numpy'} & set(sys.modules); assert not heavy, heavy;"
        "config = family.config_class()(layers=1, width=8, heads=1); family.weight_shapes(config, 9, 4);"
        "heavy = {'torch', 'numpy'} & set(sys.modules); assert not heavy, heavy;"
        "family.initial_weights(config, 9, 4, 0); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
