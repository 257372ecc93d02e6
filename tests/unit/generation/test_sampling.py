from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.base.errors import WeightsError
from treadle.generation.config import GenerationSettings
from treadle.generation.sampling import Sampler, exponential, top_k_ids, uniform

BOUNDARY = 0
WORD = 2**64


def sampler(prompt: tuple[int, ...] = (5,), bias: dict[int, float] | None = None, **settings: Any) -> Sampler:
    seed = settings.pop("seed", 0)
    return Sampler(GenerationSettings(**settings), seed, 6, BOUNDARY, prompt, bias or {})


def shares(logits: list[float], prompt: tuple[int, ...] = (5,), draws: int = 3000, **settings: Any) -> list[float]:
    """How often each id is the first one drawn, over many seeds."""
    found = np.zeros(len(logits))
    for seed in range(draws):
        found[sampler(prompt, seed=seed, **settings).pick(np.array(logits, np.float32))] += 1
    return (found / draws).tolist()


def probabilities(*weights: float) -> list[float]:
    return [math.log(weight) for weight in weights]


EVEN = probabilities(0.05, 0.4, 0.3, 0.15, 0.07, 0.03)


def test_greedy_takes_the_likeliest_and_of_equals_the_lowest_id() -> None:
    assert sampler(temperature=0).pick(np.array([1, 3, 2, 3, 0, 0], np.float32)) == 1


def test_at_temperature_one_tokens_come_as_often_as_their_probability() -> None:
    assert shares(EVEN, temperature=1) == pytest.approx([0.05, 0.4, 0.3, 0.15, 0.07, 0.03], abs=0.03)


def test_temperature_sharpens_and_flattens() -> None:
    raised = np.array([0.05, 0.4, 0.3, 0.15, 0.07, 0.03]) ** 2
    assert shares(EVEN, temperature=0.5) == pytest.approx((raised / raised.sum()).tolist(), abs=0.03)
    assert shares(EVEN, temperature=100) == pytest.approx([1 / 6] * 6, abs=0.03)


def test_the_smallest_temperature_is_greedy() -> None:
    assert shares(EVEN, temperature=5e-324, draws=50)[1] == 1


def test_top_k_keeps_the_likeliest() -> None:
    assert shares(EVEN, temperature=1, top_k=2) == pytest.approx([0, 4 / 7, 3 / 7, 0, 0, 0], abs=0.03)


def test_top_k_keeps_the_lowest_ids_of_equals() -> None:
    assert top_k_ids(np.array([1.0, 2.0, 1.0, 3.0, 1.0]), 3).tolist() == [0, 1, 3]
    assert top_k_ids(np.array([1.0, 1.0]), 7).tolist() == [0, 1]


def test_top_p_keeps_the_fewest_that_reach_it_together() -> None:
    assert shares(EVEN, temperature=1, top_p=0.69) == pytest.approx([0, 4 / 7, 3 / 7, 0, 0, 0], abs=0.03)
    found = shares(EVEN, temperature=1, top_p=0.71)
    assert found == pytest.approx([0, 0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0], abs=0.03)


def test_top_p_counts_the_token_that_reaches_it_exactly() -> None:
    found = shares([0.0] * 4 + [-100] * 2, temperature=1, top_p=0.5, draws=300)
    assert found[2:] == [0, 0, 0, 0]
    assert found[1] > 0


def test_top_p_works_on_what_top_k_left() -> None:
    assert shares(EVEN, temperature=1, top_k=2, top_p=0.5, draws=200)[1] == 1


def test_min_p_keeps_what_is_near_the_likeliest() -> None:
    assert shares(EVEN, temperature=1, min_p=0.7) == pytest.approx([0, 4 / 7, 3 / 7, 0, 0, 0], abs=0.03)
    assert shares(EVEN, temperature=1, min_p=1, draws=200)[1] == 1


def test_repetition_weakens_what_was_read_or_written_whatever_the_sign() -> None:
    logits = np.array([0, 2, 1.5, -1, -1.2, 0], np.float32)
    assert sampler((1,), temperature=0, repetition_penalty=2).pick(logits) == 2
    assert sampler((4,), temperature=0).pick(np.array([-9, -9, -9, -1.5, -1.2, -9], np.float32)) == 4
    assert (
        sampler((4,), temperature=0, repetition_penalty=2).pick(np.array([-9, -9, -9, -1.5, -1.2, -9], np.float32)) == 3
    )
    written = sampler((5,), temperature=0, repetition_penalty=2)
    assert [written.pick(logits) for _ in range(3)] == [1, 2, 1]


def test_repetition_never_weakens_the_boundary() -> None:
    logits = np.array([2, 1.5, 0, 0, 0, 0], np.float32)
    assert sampler((BOUNDARY, 3), temperature=0, repetition_penalty=4).pick(logits) == BOUNDARY


def test_frequency_counts_and_presence_does_not_and_both_ignore_the_prompt() -> None:
    logits = np.array([0, 2, 1.2, 0, 0, 0], np.float32)
    frequency = sampler((1, 1, 1), temperature=0, frequency_penalty=0.5)
    assert [frequency.pick(logits) for _ in range(5)] == [1, 1, 2, 1, 2]
    presence = sampler((1, 1, 1), temperature=0, presence_penalty=1.0)
    assert [presence.pick(logits) for _ in range(4)] == [1, 2, 1, 1]


def test_bias_is_added() -> None:
    assert sampler(bias={4: 2.5}, temperature=0).pick(np.array([0, 2, 0, 0, 0, 0], np.float32)) == 4


def test_a_boundary_never_follows_a_boundary() -> None:
    logits = np.array([9, 1, 0, 0, 0, 0], np.float32)
    chosen = sampler((BOUNDARY,), temperature=0)
    assert [chosen.pick(logits), chosen.pick(logits)] == [1, BOUNDARY]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(WeightsError, match="diverged"):
        sampler().pick(np.array([0, value, 0, 0, 0, 0], np.float32))


def test_the_same_seed_gives_the_same_tokens_and_another_one_others() -> None:
    def drawn(seed: int) -> list[int]:
        one = sampler(seed=seed, temperature=1)
        return [one.pick(np.zeros(6, np.float32)) for _ in range(60)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_the_chance_numbers_are_pinned() -> None:
    """Another implementation must give these; if they change, every stored seed means another text."""

    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
        return z ^ (z >> 31)

    for seed, index in ((0, 0), (1, 0), (1, 1), (2**63 - 1, 12345)):
        expected = Fraction(mix((mix(seed) + (index + 1) * 0x9E3779B97F4A7C15) % WORD) >> 11, 2**53)
        assert Fraction(uniform(seed, index)) == expected
    # mix(0) is 0, so seed 0 is splitmix64's published stream for state 0: e220a8397b1dcdaf, 6e789e6aa1b965f4 ...
    assert uniform(0, 0) == (0xE220A8397B1DCDAF >> 11) / 2**53
    assert uniform(0, 1) == (0x6E789E6AA1B965F4 >> 11) / 2**53


def test_a_draw_on_the_border_of_two_tokens_takes_the_second() -> None:
    def unmix(z: int) -> int:
        for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
            z ^= z >> shift ^ z >> 2 * shift  # undoes z ^= z >> shift, for shifts over 21
            z = z * pow(factor, -1, WORD) % WORD
        return z

    golden = 0x9E3779B97F4A7C15
    seed = next(seed for low in range(2**11) if (seed := unmix((unmix(2**63 + low) - golden) % WORD)) < 2**63)
    assert uniform(seed, 0) == 0.5
    assert sampler(seed=seed, temperature=1, top_k=2).pick(np.array([3, 3, 0, 0, 0, 0], np.float32)) == 1


@given(st.floats(-700, 0))
def test_the_exponential_is_right_to_the_last_bits(value: float) -> None:
    assert exponential(np.array([value]))[0] == pytest.approx(math.exp(value), rel=4e-16)


def test_the_exponential_is_exact_at_its_ends() -> None:
    assert exponential(np.array([0.0, -700.5, -np.inf])).tolist() == [1.0, 0.0, 0.0]


@given(st.lists(st.floats(-30, 30, width=32), min_size=6, max_size=6), st.integers(0, 2**63 - 1), st.data())
def test_the_vectorised_rules_equal_the_rules_as_they_are_written(logits: list[float], seed: int, data: Any) -> None:
    settings = GenerationSettings(
        temperature=data.draw(st.floats(0.1, 3)),
        top_k=data.draw(st.integers(0, 6)),
        top_p=data.draw(st.floats(0.05, 1)),
        min_p=data.draw(st.floats(0, 1)),
    )
    token = Sampler(settings, seed, 6, BOUNDARY, (3,), {}).pick(np.array(logits, np.float32))
    assert token == plain_rules(logits, settings, seed)


def plain_rules(logits: list[float], settings: GenerationSettings, seed: int) -> int:
    x = [float(np.float32(value)) for value in logits]
    ids = sorted(range(len(x)), key=lambda i: (-x[i], i))[: settings.top_k or len(x)]
    weight = {i: float(exponential(np.array([(x[i] - max(x)) / settings.temperature]))[0]) for i in ids}
    rising, total = sorted(ids), 0.0
    if settings.top_p < 1:
        for i in ids:
            total += weight[i]
        kept, running = [], 0.0
        for i in ids:
            kept.append(i)
            running += weight[i]
            if running >= settings.top_p * total:
                break
        rising = sorted(kept)
    rising = [i for i in rising if weight[i] >= settings.min_p]
    sums, running = [], 0.0
    for i in rising:
        running += weight[i]
        sums.append(running)
    return next(i for i, c in zip(rising, sums, strict=True) if c > uniform(seed, 0) * sums[-1])
