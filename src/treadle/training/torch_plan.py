"""The torch learner's numeric plan: threads, precision and attention kernel, chosen once and then replayed.

`scaled_dot_product_attention` in bf16 on CPUs is up to seven times slower than the written-out softmax for short
contexts and faster for long ones, and bf16 pays only on processors that multiply it; both are measured, not guessed.
"""

from __future__ import annotations

import os
import time
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from treadle.base.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.training.config import TrainingSettings
    from treadle.training.learners import Network

_WORTH_IT: Final = 1.4  # fp32 and plain attention are left only for a gain that noise cannot fake, run after run
_FLOPS: Final = 4e9  # of one trial: some 50 ms on two cores
_ROUNDS: Final = 5  # trials of each choice, taken in turns, so that a busy moment hits all of them
_SECONDS: Final = 3.0  # after which no further round begins


_NO_CARD: Final = (
    "training.device={} needs a {} device, and torch sees none here: that takes {}. Leave the device at cpu, or see "
    "scripts/check-gpu."
)


def choose_plan(network: Network, settings: TrainingSettings, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settle threads, precision and attention: by the settings, else by the stored plan, else by a short trial."""
    mine = stored if stored.get("learner") == "torch" else {}
    available = len(os.sched_getaffinity(0))
    threads = settings.threads or min(available, int(mine.get("threads", available)))
    torch.set_num_threads(threads)
    plan = {"learner": "torch", "torch": torch.__version__}
    if settings.compile:
        plan["compiled"] = "blocks"
    if settings.device != "cpu":
        usual = _card_precision(settings.device)
        precision = usual if settings.precision == "auto" else settings.precision
        return {**plan, "device": settings.device, "threads": threads, "precision": precision, "attention": "sdpa"}
    precision = settings.precision if settings.precision != "auto" else mine.get("precision", "auto")
    attention = mine.get("attention", "auto")
    if "auto" in {precision, attention}:
        precisions = ["fp32", "bf16"] if precision == "auto" else [precision]
        attentions = ["plain", "sdpa"] if attention == "auto" else [attention]
        precision, attention = _fastest(network, settings.batch_size, precisions, attentions)
    return {
        **plan,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "precision": precision,
        "attention": attention,
    }


def _card_precision(device: str) -> str:
    """The arithmetic of a graphics card that is there; raises `ResourceError` where torch sees none."""
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ResourceError(_NO_CARD.format("cuda", "CUDA", "an NVIDIA card, its driver, a torch build for it"))
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if not torch.backends.mps.is_available():
        raise ResourceError(_NO_CARD.format("mps", "MPS", "a Mac with Apple silicon and macOS 14 or newer"))
    return "fp32"


def _fastest(network: Network, rows: int, precisions: list[str], attentions: list[str]) -> tuple[str, str]:
    if network.family.needs != "tokens":  # no inputs to try with, and no attention that is known
        return precisions[0], attentions[0]
    tokens = _tokens(network, rows)
    modules = {
        attention: network.family.build_model(network.config, network.vocabulary, network.context, attention)
        for attention in attentions
    }
    costs = dict.fromkeys(product(precisions, attentions), float("inf"))
    began, rounds = time.perf_counter(), 0
    while rounds < _ROUNDS and time.perf_counter() - began < _SECONDS:
        for precision, attention in costs:
            seconds = _seconds(modules[attention], tokens, bf16=precision == "bf16")
            costs[precision, attention] = min(costs[precision, attention], seconds)
        rounds += 1
    preferred = (precisions[0], attentions[0])
    return min(costs, key=lambda choice: costs[choice] * (1.0 if choice == preferred else _WORTH_IT))


def _tokens(network: Network, rows: int) -> torch.Tensor:
    """Random tokens (B, T) of the run's own shape, with fewer rows where the model is large."""
    weights = sum(int(np.prod(shape)) for shape in network.weight_shapes().values())
    fitting = int(_FLOPS / (6 * weights * network.context))
    generator = np.random.default_rng(0)
    size = (max(1, min(rows, fitting)), network.context)
    return torch.tensor(generator.integers(network.vocabulary, size=size, dtype=np.int32))


def _seconds(module: Any, tokens: torch.Tensor, *, bf16: bool) -> float:  # noqa: ANN401 - a torch module
    """Time of one forward and backward pass."""
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss, count = module(tokens, tokens)
    (loss / count).backward()
    took = time.perf_counter() - began
    module.zero_grad(set_to_none=True)
    return took
