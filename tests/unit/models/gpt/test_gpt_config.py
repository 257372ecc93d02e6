from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import parameter_count, weight_shapes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 100, "heads": 6}, "width 100 is not a multiple of heads 6"),
        ({"heads": 6, "kv_heads": 4}, "heads 6 is not a multiple of kv_heads 4"),
        ({"width": 15, "heads": 5}, "rotary positions need an even head width, not 3"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"dropout": 1.0}, "less than 1"),
        ({"attention": "sliding"}, "set both or neither"),
        ({"attention_window": 64}, "set both or neither"),
        ({"layer": 3}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GPTConfig(**settings)


def test_widths_left_open_follow_the_others() -> None:
    config = GPTConfig(width=192, heads=6)
    assert (config.key_value_heads, config.width_of_head, config.feed_forward_width) == (6, 32, 512)
    assert GPTConfig(width=192, heads=6, activation="gelu").feed_forward_width == 768
    assert GPTConfig(width=200, heads=4, positions="learned", head_width=7).width_of_head == 7


def test_a_parameter_count_can_be_checked_by_hand() -> None:
    config = GPTConfig(layers=1, width=8, heads=2, feed_forward=16)
    # embedding and head 10 x 8, three norms of 8, q k v o of 8 x 8, q and k norms of 4, three matrices of 8 x 16
    assert parameter_count(config, 10, 99) == 2 * 80 + 3 * 8 + 4 * 64 + 2 * 4 + 3 * 128
    assert weight_shapes(config, 10, 99)["layers.0.feed_forward.down.weight"] == (8, 16)
