"""Training on a graphics card, checked against the processor and measured: losses, 16-bit floats, memory, speed.

    scripts/check-gpu                 the first card that torch sees
    scripts/check-gpu --device mps    a Mac's
    python benchmarks/gpu.py --device cpu --quick    the checks themselves, where there is no card

Every check is one line: ok, or what was found instead. All of it goes into one results file, with the machine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import re
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import treadle
from treadle.config.compose import Sources, compose
from treadle.data.batch import Batch
from treadle.models.catalog import FAMILIES
from treadle.telemetry.hardware import peak_memory, processor
from treadle.training.learner import Update
from treadle.training.learners import Network, open_learner

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.config.settings import Settings
    from treadle.training.learner import Learner

VOCABULARY = 257
RESULTS = Path(__file__).parent / "results"


class Bench:
    """One device, one size, and random text that every check reads alike."""

    def __init__(self, device: str, size: str, steps: int) -> None:
        self.device, self.size, self.steps = device, size, steps

    def settings(self, *flags: str) -> Settings:
        found = ["training.learner=torch", f"training.device={self.device}", *flags]
        if self.device == "cpu":
            found.append("training.threads=1")  # two that wait for each other crawl on a busy machine
        return compose(Sources(flags=[f"size={self.size}", *found]))

    def learner(self, *flags: str) -> tuple[Learner, Settings]:
        settings = self.settings(*flags)
        family = FAMILIES.get("gpt")
        network = Network(family, settings.family, VOCABULARY, settings.data.sequence_length)
        made = open_learner(network, settings.training)
        made.load_weights(family.initial_weights(network.config, VOCABULARY, network.context, 1))
        return made, settings

    def losses(self, *flags: str, steps: int | None = None) -> list[float]:
        learner, settings = self.learner(*flags)
        try:
            return [
                learner.step([batch(settings, step)], Update(step, 1.0, 1.0)).loss
                for step in range(1, (steps or self.steps) + 1)
            ]
        finally:
            learner.close()

    def synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
        elif self.device == "mps":
            torch.mps.synchronize()

    def memory(self) -> int:
        return torch.cuda.max_memory_allocated() if self.device == "cuda" else peak_memory()

    def forget_memory(self) -> None:
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def batch(settings: Settings, step: int) -> Batch:
    """Text with something to learn: each byte follows from the one before, mostly."""
    generator = np.random.default_rng(step)
    rows, time_ = settings.training.batch_size, settings.data.sequence_length
    ids = np.empty((rows, time_ + 1), np.int32)
    ids[:, 0] = generator.integers(VOCABULARY, size=rows)
    for place in range(time_):
        noise = generator.random(rows) < 0.1
        ids[:, place + 1] = np.where(
            noise, generator.integers(VOCABULARY, size=rows), (ids[:, place] * 5 + 3) % VOCABULARY
        )
    return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def near(found: list[float], expected: list[float], tolerance: float) -> dict[str, Any]:
    largest = max(abs(a - b) / b for a, b in zip(found, expected, strict=True))
    return {"ok": bool(largest <= tolerance), "largest_difference": largest, "tolerance": tolerance, "losses": found}


def checks(bench: Bench) -> dict[str, Callable[[], dict[str, Any]]]:
    processor_losses: list[float] = []

    def reference() -> list[float]:
        if not processor_losses:
            on_processor = Bench("cpu", bench.size, bench.steps)
            processor_losses.extend(on_processor.losses("training.precision=fp32"))
        return processor_losses

    def same_seed() -> dict[str, Any]:
        first, second = (bench.losses("training.precision=fp32") for _ in range(2))
        return near(first, second, 1e-6)

    def resumed() -> dict[str, Any]:
        whole, settings = bench.learner("training.precision=fp32")
        half = bench.steps // 2
        for step in range(1, half + 1):
            whole.step([batch(settings, step)], Update(step, 1.0, 1.0))
        other, _ = bench.learner("training.precision=fp32")
        other.load_weights(whole.weights())
        other.load_optimizer_state(whole.optimizer_state())
        losses = [
            [
                one.step([batch(settings, step)], Update(step, 1.0, 1.0)).loss
                for step in range(half + 1, bench.steps + 1)
            ]
            for one in (whole, other)
        ]
        return near(losses[1], losses[0], 1e-5)

    def half(precision: str) -> dict[str, Any]:
        return near(bench.losses(f"training.precision={precision}"), reference(), 0.05)

    return {
        "fp32 as on the processor": lambda: near(bench.losses("training.precision=fp32"), reference(), 0.01),
        "same seed, same losses": same_seed,
        "state moved to another learner": resumed,
        "bf16 near fp32": lambda: half("bf16"),
        "fp16 with a scaled loss near fp32": lambda: half("fp16"),
        "blocks computed again": lambda: recomputed(bench),
        "compiled blocks": lambda: near(
            bench.losses("training.precision=fp32", "training.compile=true", steps=4), reference()[:4], 0.01
        ),
    }


def recomputed(bench: Bench) -> dict[str, Any]:
    """The same losses with less memory (the latter is measured on CUDA only)."""
    found: dict[str, Any] = {}
    losses = {}
    for name, flag in (("kept", "false"), ("again", "true")):
        bench.forget_memory()
        losses[name] = bench.losses("training.precision=fp32", f"training.activation_checkpointing={flag}", steps=4)
        found[f"memory_bytes_{name}"] = bench.memory()
    result = near(losses["again"], losses["kept"], 1e-4)
    less = bench.device != "cuda" or found["memory_bytes_again"] < found["memory_bytes_kept"]
    return {**result, **found, "ok": result["ok"] and less}


def speed(bench: Bench, seconds: float, *flags: str) -> dict[str, Any]:
    learner, settings = bench.learner(*flags)
    ready = [batch(settings, step) for step in range(1, 9)]
    for step in range(1, 4):
        learner.step([ready[step]], Update(step, 1.0, 1.0))
    bench.synchronise()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        learner.step([ready[steps % 8]], Update(steps + 4, 1.0, 1.0))
        steps += 1
    bench.synchronise()
    took = time.perf_counter() - began
    plan = dict(learner.plan)
    learner.close()
    tokens = steps * settings.training.batch_size * settings.data.sequence_length
    return {"tokens_per_second": tokens / took, "steps": steps, "plan": plan, "memory_bytes": bench.memory()}


def machine(device: str) -> dict[str, Any]:
    name, flags = processor()
    found = {"processor": name, "flags": flags, "system": platform.platform(), "torch": torch.__version__}
    if device == "cuda":
        found |= {"card": torch.cuda.get_device_name(), "capability": torch.cuda.get_device_capability()}
        found |= {"card_memory_bytes": torch.cuda.get_device_properties(0).total_memory, "cuda": torch.version.cuda}
    return found


def chosen_device(wanted: str | None) -> str:
    if wanted is not None:
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    sys.exit(
        "torch sees no graphics card here. The checks alone, on the processor: benchmarks/gpu.py --device cpu --quick"
    )


def run(bench: Bench, seconds: float, only: str) -> dict[str, Any]:
    found: dict[str, Any] = {"checks": {}, "speed": {}}
    for name, check in checks(bench).items():
        if only not in name:
            continue
        try:
            result = check()
        except Exception as error:  # whatever goes wrong on such a machine is the result
            result = {"ok": False, "error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        found["checks"][name] = result
        said = result.get("error", f"largest difference {result.get('largest_difference', 0):.2g}")
        print(f"{'ok      ' if result['ok'] else 'NOT OK  '} {name}: {said}")
    for flags in () if only else (["training.precision=fp32"], [], ["training.compile=true"]):
        name = " ".join(flags) or "as chosen"
        try:
            found["speed"][name] = speed(bench, seconds, *flags)
            print(f"         {name}: {found['speed'][name]['tokens_per_second']:,.0f} tokens/s")
        except Exception as error:
            found["speed"][name] = {"error": f"{type(error).__name__}: {error}"}
            print(f"NOT OK   {name}: {error}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "mps", "cpu"])
    parser.add_argument("--quick", action="store_true", help="a tiny network and few steps")
    parser.add_argument("--only", default="", help="only checks whose name contains this, and no speed")
    parser.add_argument("--results", type=Path, help="file to write; else benchmarks/results/gpu-NAME-DATE.json")
    arguments = parser.parse_args()
    device = chosen_device(arguments.device)
    bench = Bench(device, "nano" if arguments.quick else "small", 4 if arguments.quick else 20)
    about = machine(device)
    print(
        f"Treadle {treadle.__version__}, torch {torch.__version__}, {device}: {about.get('card', about['processor'])}"
    )
    found = run(bench, 1.0 if arguments.quick else 10.0, arguments.only)
    name = re.sub(r"[^a-z0-9]+", "-", str(about.get("card", device)).lower()).strip("-")
    path = arguments.results or RESULTS / f"gpu-{name}-{dt.datetime.now(dt.UTC):%Y-%m-%d}.json"
    document = {
        "command": " ".join(sys.argv),
        "device": device,
        "version": treadle.__version__,
        "machine": about,
        **found,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"Written: {path}")
    return 0 if all(check["ok"] for check in found["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
