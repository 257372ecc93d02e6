"""The gpt family once more, in numpy and fp64, one position after the other: slow, and easy to check by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from treadle.models.gpt.config import GPTConfig

Weights = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
Array = np.ndarray[Any, np.dtype[np.float64]]


def logits(config: GPTConfig, weights: Weights, tokens: list[int]) -> Array:
    """(T, V) after the soft cap."""
    x = [weights["embedding.weight"][token] for token in tokens]
    if config.positions == "learned":
        x = [vector + weights["position.weight"][place] for place, vector in enumerate(x)]
    if config.embedding_norm:
        x = [norm(config, weights, "embedding_norm", vector, config.norm) for vector in x]
    for layer in range(config.layers):
        block = f"layers.{layer}"
        attended = attention(
            config,
            weights,
            f"{block}.attention",
            [norm(config, weights, f"{block}.attention_norm", v, config.norm) for v in x],
        )
        x = [vector + more for vector, more in zip(x, attended, strict=True)]
        x = [
            v
            + feed_forward(
                config,
                weights,
                f"{block}.feed_forward",
                norm(config, weights, f"{block}.feed_forward_norm", v, config.norm),
            )
            for v in x
        ]
    head = weights["embedding.weight"] if config.tied_embeddings else weights["head.weight"]
    scores = np.array([head @ norm(config, weights, "norm", vector, config.norm) for vector in x])
    cap = config.logit_soft_cap
    return cap * np.tanh(scores / cap) if cap else scores


def loss(config: GPTConfig, weights: Weights, tokens: list[int], targets: list[int]) -> float:
    """Summed over the targets that are not -1."""
    total = 0.0
    for scores, target in zip(logits(config, weights, tokens), targets, strict=True):
        if target >= 0:
            total += math.log(sum(math.exp(score) for score in scores)) - scores[target]
    return total


def norm(config: GPTConfig, weights: Weights, name: str, x: Array, kind: str) -> Array:
    if kind == "layernorm":
        x = x - x.mean()
    x = x / np.sqrt((x * x).mean() + config.norm_epsilon)
    return x * weights.get(f"{name}.weight", 1.0) + weights.get(f"{name}.bias", 0.0)


def linear(weights: Weights, name: str, x: Array) -> Array:
    return weights[f"{name}.weight"] @ x + weights.get(f"{name}.bias", 0.0)


def attention(config: GPTConfig, weights: Weights, name: str, x: list[Array]) -> list[Array]:
    width = config.width_of_head
    group = config.heads // config.key_value_heads
    queries, keys, values = ([linear(weights, f"{name}.{part}", v) for v in x] for part in ("query", "key", "value"))
    out = []
    for t in range(len(x)):
        mixed = np.zeros(config.heads * width)
        for h in range(config.heads):
            k = h // group
            query = prepared(config, weights, f"{name}.query_norm", queries[t][h * width : (h + 1) * width], t)
            scores = np.array(
                [
                    query @ prepared(config, weights, f"{name}.key_norm", keys[s][k * width : (k + 1) * width], s)
                    for s in range(t + 1)
                ]
            )
            if config.attention == "linear":
                shares = scores / math.sqrt(width) * decay(h, config.heads) ** np.arange(t, -1, -1)
            else:
                shares = np.exp(scores / math.sqrt(width))
                if config.attention_window is not None:
                    shares[: max(0, t + 1 - config.attention_window)] = 0
                shares /= shares.sum()
            head = sum(share * values[s][k * width : (k + 1) * width] for s, share in enumerate(shares))
            if config.attention == "linear":
                head = head / np.sqrt((head * head).mean() + config.norm_epsilon)
            mixed[h * width : (h + 1) * width] = head
        out.append(linear(weights, f"{name}.output", mixed))
    return out


def decay(head: int, heads: int) -> float:
    """From a memory of 2^3 positions for the first head to one of 2^8 for the last."""
    return 1 - 2 ** -(5.5 if heads == 1 else 3 + 5 * head / (heads - 1))


def prepared(config: GPTConfig, weights: Weights, name: str, x: Array, place: int) -> Array:
    if config.qk_norm:
        x = norm(config, weights, name, x, "rmsnorm")
    if config.positions != "rope":
        return x
    half = len(x) // 2
    out = np.empty_like(x)
    for i in range(half):
        angle = place * config.rope_base ** (-2 * i / len(x))
        turned = complex(x[i], x[i + half]) * complex(math.cos(angle), math.sin(angle))
        out[i], out[i + half] = turned.real, turned.imag
    return out


def feed_forward(config: GPTConfig, weights: Weights, name: str, x: Array) -> Array:
    up = linear(weights, f"{name}.up", x)
    if config.activation == "swiglu":
        gate = linear(weights, f"{name}.gate", x)
        inner = gate / (1 + np.exp(-gate)) * up
    elif config.activation == "gelu":
        inner = 0.5 * up * (1 + np.tanh(math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)))
    else:
        inner = np.maximum(up, 0) ** 2
    return linear(weights, f"{name}.down", inner)
