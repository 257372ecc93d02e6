from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from treadle.base.errors import UsageError  # noqa: E402
from treadle.models.gpt.attention_maps import attention_maps  # noqa: E402
from treadle.models.gpt.config import GPTConfig  # noqa: E402
from treadle.models.gpt.model import build  # noqa: E402

CONFIG = GPTConfig(layers=2, width=24, heads=4, kv_heads=2)


def test_attention_maps_are_the_shares_that_the_model_weighs_its_values_with() -> None:
    torch.manual_seed(1)
    model = build(CONFIG, 13, 8).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    ids = [3, 1, 4, 1, 5, 9]
    maps = attention_maps(CONFIG, 13, 8, weights, ids)
    assert maps.shape == (2, 4, 6, 6)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    assert not np.triu(maps, 1).any()
    first = model.layers[0]
    seen: list[torch.Tensor] = []
    first.attention.output.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        model.logits(torch.tensor([ids]))
        value = first.attention.value(first.attention_norm(model.embed(torch.tensor([ids]), 0))).view(6, 2, 6)
    values = value.repeat_interleave(2, 1).transpose(0, 1).numpy()  # (H, T, D)
    mixed = (maps[0] @ values).transpose(1, 0, 2).reshape(6, 24)
    np.testing.assert_allclose(mixed, seen[0][0].numpy(), rtol=1e-4, atol=1e-5)


def test_a_window_gives_nothing_to_what_lies_before_it() -> None:
    config = CONFIG.model_copy(update={"attention": "sliding", "attention_window": 2})
    torch.manual_seed(1)
    weights = {name: value.detach().numpy() for name, value in build(config, 13, 8).named_parameters()}
    maps = attention_maps(config, 13, 8, weights, [3, 1, 4, 1, 5, 9])
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    assert not np.tril(maps, -2).any()
    assert np.diagonal(maps, -1, 2, 3).all()


def test_linear_attention_has_no_shares_to_draw() -> None:
    config = CONFIG.model_copy(update={"attention": "linear"})
    with pytest.raises(UsageError, match="no shares"):
        attention_maps(config, 13, 8, {}, [1, 2])
