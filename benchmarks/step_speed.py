"""One trainer that takes steps when told to, so that several can be timed in turns. Run by `training.py`.

    python benchmarks/step_speed.py native|torch|transformers SHAPE [--precision bf16|fp32] [--optimizer adamw|muon]

It reads `K` from standard input, takes K steps on random tokens, and answers `{"ms": [...], "processor_ms": [...],
"rss_mb": ...}`. The number of threads is what OMP_NUM_THREADS says, for all trainers; else all processors. The first
answer describes it: parameters, tokens of a step, and operations of a step (6 per weight of a matrix and token, plus
6 x layers x width x context of causal attention per token; the embedding's look-up costs none).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Stepper = Callable[[NDArray[np.int32], int], None]


@dataclass(frozen=True, slots=True)
class Shape:
    layers: int
    width: int
    heads: int
    vocabulary: int
    context: int
    batch: int

    @property
    def inner(self) -> int:
        """Width of the gated feed-forward, by the product's own rule."""
        return (self.width * 8 // 3 + 63) // 64 * 64

    @property
    def matrices(self) -> int:
        """Values in matrices that tokens are multiplied with: blocks and head."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.inner) + self.vocabulary * self.width

    @property
    def operations(self) -> float:
        """Of one step, forward and backward."""
        per_token = 6.0 * self.matrices + 6.0 * self.layers * self.width * self.context
        return per_token * self.batch * self.context


SHAPES = {
    "0.8M": Shape(layers=4, width=128, heads=4, vocabulary=66, context=64, batch=24),
    "10M": Shape(layers=6, width=384, heads=6, vocabulary=66, context=256, batch=16),
    "25M": Shape(layers=8, width=512, heads=8, vocabulary=66, context=256, batch=16),
    "95M": Shape(layers=12, width=768, heads=12, vocabulary=8192, context=256, batch=4),
}


def ours(shape: Shape, learner: str, precision: str, optimizer: str) -> Stepper:
    import one_run

    from treadle.data.batch import Batch
    from treadle.models.catalog import FAMILIES
    from treadle.training.learner import Update
    from treadle.training.learners import Network, open_learner

    settings = one_run.compose_settings(
        "nano",
        [
            *(["training=adamw"] if optimizer == "adamw" else []),
            *(f"family.{name}={getattr(shape, name)}" for name in ("layers", "width", "heads")),
            f"family.tied_embeddings={str(shape.vocabulary > 1000).lower()}",
            "training.optimizer.learning_rate=1e-4",
            f"training.learner={learner}",
            f"training.precision={precision}",
            f"training.threads={os.environ.get('OMP_NUM_THREADS', '0')}",
        ],
    )
    network = Network(FAMILIES.get("gpt"), settings.family, shape.vocabulary, shape.context)
    made = open_learner(network, settings.training)
    made.load_weights(network.family.initial_weights(network.config, network.vocabulary, network.context, 1))

    def step(tokens: NDArray[np.int32], number: int) -> None:
        made.step([Batch(tokens[:, :-1].copy(), tokens[:, 1:].copy())], Update(number, 1.0, 1.0))

    return step


def transformers(shape: Shape, precision: str) -> Stepper:
    """A plain loop over `LlamaForCausalLM`: what its Trainer does, without the Trainer's own cost."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=shape.context,
            tie_word_embeddings=shape.vocabulary > 1000,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(tokens: NDArray[np.int32], number: int) -> None:  # noqa: ARG001 - it needs no number
        ids = torch.from_numpy(tokens[:, :-1].astype(np.int64))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainer", choices=("native", "torch", "transformers"))
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--optimizer", default="adamw")
    chosen = parser.parse_args()
    shape = SHAPES[chosen.shape]
    if chosen.trainer == "transformers":
        step = transformers(shape, chosen.precision)
    else:
        step = ours(shape, chosen.trainer, chosen.precision, chosen.optimizer)
    tokens = shape.batch * shape.context
    say(parameters=shape.matrices, tokens=tokens, operations=shape.operations)
    generator = np.random.default_rng(1)
    done = 0
    for line in sys.stdin:
        times, processor_times = [], []
        for _ in range(int(line)):
            window = generator.integers(1, shape.vocabulary, (shape.batch, shape.context + 1), dtype=np.int32)
            done += 1
            begin, processor_begin = time.perf_counter(), time.process_time()
            step(window, done)
            times.append((time.perf_counter() - begin) * 1000)
            processor_times.append((time.process_time() - processor_begin) * 1000)
        say(ms=times, processor_ms=processor_times, rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
