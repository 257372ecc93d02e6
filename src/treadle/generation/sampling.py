"""From logits to a token, exactly: another implementation of these rules gives the same tokens, bit for bit.

Everything is IEEE-754 double arithmetic in the order written here, without fused multiply-add; sums run from first to
last. The fp32 logits `x[0..V)` are widened first. For the token number n (from 0) of a request:

1. **Bias.** `x[i] += bias[i]` for the ids that have one. A boundary never follows a boundary: if the text's last token
   is the boundary, `x[boundary] = -inf`, so an empty document is never written.
2. **Repetition** (Keskar et al. 2019), penalty r, for each id in the prompt or written so far, the boundary excepted:
   `x[i] = x[i] / r if x[i] > 0 else x[i] * r`.
3. **Frequency and presence**, penalties f and p, for each id written c > 0 times: `x[i] -= c * f + p`.
4. **Greedy.** At temperature 0 the token is the lowest id among the greatest `x`, and the rules end here.
5. **Temperature** t. `l[i] = (x[i] - max x) / t`.
6. **Top-k.** Order ids by falling `x`, equal ones by rising id; keep the first k (0: all).
7. **Weights** of the kept: `w[i] = exp(l[i])`, with `exp` as below. The greatest is exactly 1.
8. **Top-p** (Holtzman et al. 2020). In the order of 6, keep up to and with the first id at which the running sum of w
   is at least `top_p * (sum of all kept w)`. Skipped at 1.
9. **Min-p** (Nguyen et al. 2024). Keep `w[i] >= min_p`.
10. **Draw.** With the remaining ids in rising order and c the running sum of their w: the first id with
    `c > u * c_last`.

`u = (mix(mix(seed) + (n + 1) * G) >> 11) * 2^-53` in 64-bit wrapping arithmetic; G = 0x9E3779B97F4A7C15 and mix is
splitmix64's finaliser (Steele et al. 2014): `z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9; z = (z ^ z >> 27) *
0x94D049BB133111EB; z ^ z >> 31`. So a token's chance depends on the seed and its number alone.

`exp(l)` for l <= 0: 0 if l < -700; else k = l * 1.4426950408889634 rounded to the nearest even integer,
`r = (l - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10`, then Horner's scheme over
`1/13!, 1/12!, ... 1/0!` (each a correctly rounded quotient): `p = p * r + 1/n!`; the result is `p * 2^k`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from treadle.base.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from treadle.generation.config import GenerationSettings

    Doubles = NDArray[np.float64]

DIVERGED = (
    "The model's output is not a number: the training that made these weights diverged. Use an earlier checkpoint."
)

_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_EXP_COEFFICIENTS = tuple(1.0 / math.factorial(n) for n in range(13, -1, -1))


class Sampler:
    """The rules above for one request, with what they remember of its text."""

    def __init__(
        self,
        settings: GenerationSettings,
        seed: int,
        vocabulary: int,
        boundary: int,
        prompt: Sequence[int],
        bias: Mapping[int, float],
    ) -> None:
        """Begin after `prompt` (at least one id)."""
        self._settings = settings
        self._seed = seed
        self._boundary = boundary
        self._last = prompt[-1]
        self._drawn = 0
        self._seen = np.zeros(vocabulary, np.bool_)
        self._seen[np.array(prompt, np.int64)] = True
        self._written = np.zeros(vocabulary, np.float64)
        self._bias_ids = np.array(list(bias.keys()), np.int64)
        self._bias = np.array(list(bias.values()), np.float64)

    def pick(self, logits: NDArray[np.float32]) -> int:
        """Choose the next token from logits (V,) and remember it.

        Raises `WeightsError` if a logit is not a number: the training that made these weights diverged.
        """
        if not np.isfinite(logits).all():
            raise WeightsError(DIVERGED)
        token = self._choose(self._penalised(logits.astype(np.float64)))
        self._last = token
        self._drawn += 1
        self._seen[token] = True
        self._written[token] += 1
        return token

    def _penalised(self, x: Doubles) -> Doubles:
        settings = self._settings
        x[self._bias_ids] += self._bias
        if settings.repetition_penalty != 1:
            self._seen[self._boundary] = False
            seen = x[self._seen]
            penalty = settings.repetition_penalty
            x[self._seen] = np.where(seen > 0, seen / penalty, seen * penalty)
        if settings.frequency_penalty or settings.presence_penalty:
            written = self._written > 0
            x[written] -= self._written[written] * settings.frequency_penalty + settings.presence_penalty
        if self._last == self._boundary:
            x[self._boundary] = -np.inf
        return x

    def _choose(self, x: Doubles) -> int:
        settings = self._settings
        if settings.temperature == 0:
            return int(x.argmax())  # numpy gives the first of equals
        ids = top_k_ids(x, settings.top_k)  # rising
        with np.errstate(over="ignore"):  # a tiny temperature: infinitely unlikely is meant
            weights = exponential((x[ids] - x.max()) / settings.temperature)
        if settings.top_p < 1:
            order = np.argsort(-x[ids], kind="stable")
            sums = weights[order].cumsum()
            kept = np.sort(order[: int(np.searchsorted(sums, settings.top_p * sums[-1])) + 1])
            ids, weights = ids[kept], weights[kept]
        likely = weights >= settings.min_p
        ids, sums = ids[likely], weights[likely].cumsum()
        # u < 1, so u * last is below last after rounding too, and the search always ends inside.
        return int(ids[np.searchsorted(sums, uniform(self._seed, self._drawn) * sums[-1], side="right")])


def log_probability(logits: NDArray[np.float32], token: int) -> float:
    """Natural logarithm of the token's probability as the model sees it: before penalties, bias and temperature."""
    return log_probabilities(logits, [token])[0]


def log_probabilities(logits: NDArray[np.float32], tokens: Sequence[int]) -> list[float]:
    """The same for several tokens in one place."""
    x = logits.astype(np.float64)
    greatest = float(x.max())
    log_sum = math.log(float(exponential(x - greatest).cumsum()[-1]))
    return [float(x[token]) - greatest - log_sum for token in tokens]


def likeliest(logits: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    """The `count` likeliest ids with their log-probabilities, likeliest first, equal ones by rising id."""
    ids = np.argsort(-logits, kind="stable")[:count].tolist()
    return list(zip(ids, log_probabilities(logits, ids), strict=True))


def top_k_ids(x: Doubles, k: int) -> NDArray[np.int64]:
    """Ids, rising, of the k greatest of x (V,); of equals the lowest ids; 0 = all."""
    if k == 0 or k >= x.size:
        return np.arange(x.size)
    least = np.partition(x, x.size - k)[x.size - k]
    kept = x > least
    equal = np.flatnonzero(x == least)
    kept[equal[: k - int(kept.sum())]] = True
    return np.flatnonzero(kept)


def exponential(values: Doubles) -> Doubles:
    """Raise e to the power of `values` (<= 0), as the module says: the same bits on every machine."""
    clamped = np.maximum(values, -700.0)
    powers = np.rint(clamped * 1.4426950408889634)
    rest = (clamped - powers * 6.93147180369123816490e-01) - powers * 1.90821492927058770002e-10
    result = np.full_like(rest, _EXP_COEFFICIENTS[0])
    for coefficient in _EXP_COEFFICIENTS[1:]:
        result = result * rest + coefficient
    return np.where(values < -700.0, 0.0, np.ldexp(result, powers.astype(np.int32)))


def uniform(seed: int, index: int) -> float:
    """The chance number in [0, 1) of token `index`."""
    return (_mix(_mix(seed) + (index + 1) * _GOLDEN & _WORD) >> 11) * 2.0**-53


def _mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD
    return z ^ z >> 31
