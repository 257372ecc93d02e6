"""Linear attention in chunks, against the sum that it stands for."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from treadle.models.gpt.linear_attention import CHUNK, decays, retain  # noqa: E402


def written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """Every pair of positions, in fp64."""
    time, width = query.shape[2:]
    apart = torch.arange(time)[:, None] - torch.arange(time)
    shares = torch.where(apart >= 0, decay.double()[:, None, None] ** apart.clamp(min=0), 0.0)
    return ((query.double() @ key.double().mT) * width**-0.5 * shares) @ value.double()


@pytest.mark.parametrize("time", [1, CHUNK - 1, CHUNK, 2 * CHUNK, 3 * CHUNK + 7])
def test_chunks_give_the_sum_over_all_positions_whatever_the_length(time: int) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, time, 8).unbind()
    mixed, _ = retain(query, key, value, decays(4), None)
    torch.testing.assert_close(mixed.double(), written_out(query, key, value, decays(4)), rtol=1e-4, atol=1e-4)


def test_a_text_cut_anywhere_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 150, 8).unbind()
    whole, end = retain(query, key, value, decays(2), None)
    for cut in (1, 64, 100, 149):
        first, state = retain(query[:, :, :cut], key[:, :, :cut], value[:, :, :cut], decays(2), None)
        second, after = retain(query[:, :, cut:], key[:, :, cut:], value[:, :, cut:], decays(2), state)
        torch.testing.assert_close(torch.cat((first, second), 2), whole, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(after, end, rtol=1e-4, atol=1e-4)


def test_heads_remember_from_eight_positions_to_two_hundred_and_fifty_six() -> None:
    memory = 1 / (1 - decays(6))
    assert memory.tolist() == pytest.approx([8, 16, 32, 64, 128, 256])
