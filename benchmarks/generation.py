"""How fast texts are written: our engines, transformers where installed, and sampling without a cache.

    python benchmarks/generation.py [--quick] [--sizes 1M,10M,95M] [--out benchmarks/results/generation.json]

One process for each engine and size, one after the other, so that memory is each one's own. All run the same random
Llama-shaped weights. Steps are timed one by one: `fast` is the mean of the fastest fifth, `median` the median, so that
a busy neighbour shows as the distance between them. `weight_bytes` is what a step reads of the weights. Cold start runs
from process start to the first token, files in the page cache. Greedy fp32 tokens of all engines are compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from treadle.generation.engine import Engine, EngineModel
    from treadle.models.gpt.config import GPTConfig


@dataclass(frozen=True, slots=True)
class Size:
    layers: int
    width: int
    heads: int
    vocabulary: int


SIZES = {"1M": Size(4, 128, 4, 257), "10M": Size(6, 384, 6, 257), "95M": Size(12, 768, 12, 8192)}
CONTEXT = 256
PEERS = (
    "native:int8",
    "native:bf16",
    "native:fp32",
    "torch:fp32",
    "transformers:fp32",
    "transformers:bf16",
    "nocache:fp32",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1M and 10M, a second or two each")
    parser.add_argument("--sizes")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        run_child(*chosen.child, quick=chosen.quick)
        return
    sizes = (chosen.sizes or ("1M,10M" if chosen.quick else "1M,10M,95M")).split(",")
    results: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/generation.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "sizes": {},
    }
    for size in sizes:
        results["sizes"][size] = measure(size, quick=chosen.quick)
    results["load_after"] = os.getloadavg()[0]
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(size: str, *, quick: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        save_weights(size, Path(folder))
        for peer in PEERS:
            if peer.startswith(("transformers", "torch", "nocache")) and not available(peer):
                print(f"{size:>4} {peer:<18} not installed", flush=True)
                continue
            command = [sys.executable, __file__, "--child", peer, size, folder, *(["--quick"] if quick else [])]
            facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for name in ("cold_start_s", "cold_start_again_s"):
                facts[name] = round(cold_start(peer, size, folder), 3)
            found[peer] = facts
            decode = " ".join(
                f"b{batch} {one['fast']:,.0f} ({one['median']:,.0f})" for batch, one in facts["decode"].items()
            )
            print(
                f"{size:>4} {peer:<18} tok/s {decode}  prefill {facts.get('prefill', 0):,.0f}  cold "
                f"{facts['cold_start_s']:.2f}/{facts['cold_start_again_s']:.2f} s  rss {facts['rss_mb']:.0f} MB",
                flush=True,
            )
    greedy = {peer: facts.pop("greedy") for peer, facts in found.items() if peer.endswith("fp32")}
    for facts in found.values():
        facts.pop("greedy", None)
    reference = greedy["native:fp32"]
    equal = {peer: sum(a == b for a, b in zip(ids, reference, strict=True)) for peer, ids in greedy.items()}
    print(f"{size:>4} greedy fp32 tokens equal to native's, of {len(reference)}: {equal}", flush=True)
    return {"engines": found, "greedy_equal": equal}


def available(peer: str) -> bool:
    module = "transformers" if peer.startswith("transformers") else "torch"
    return importlib.util.find_spec(module) is not None


def cold_start(peer: str, size: str, folder: str) -> float:
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, __file__, "--child", f"cold:{peer}", size, folder], stdout=subprocess.PIPE
    ) as child:
        if child.stdout is not None:
            child.stdout.readline()
        return time.perf_counter() - begin


def config_of(size: str) -> GPTConfig:
    from treadle.models.gpt.config import GPTConfig

    shape = SIZES[size]
    return GPTConfig(layers=shape.layers, width=shape.width, heads=shape.heads, qk_norm=False)


def save_weights(size: str, folder: Path) -> None:
    from safetensors.numpy import save_file

    from treadle.models.gpt.weights import weight_shapes

    generator = np.random.default_rng(1)
    shapes = weight_shapes(config_of(size), SIZES[size].vocabulary, CONTEXT)
    deviation = 2 * SIZES[size].width ** -0.5
    weights = {
        name: generator.standard_normal(shape, np.float32) * np.float32(deviation)
        if len(shape) > 1
        else np.ones(shape, np.float32)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors")


def model_of(size: str, folder: str) -> EngineModel:
    from safetensors.numpy import load_file

    from treadle.generation.engine import EngineModel, LazyWeights, PackedPlace

    source = Path(folder) / "model.safetensors"
    weights = LazyWeights(lambda: load_file(source))
    return EngineModel("gpt", config_of(size), weights, SIZES[size].vocabulary, CONTEXT, PackedPlace(source, size))


def transformers_model(size: str, folder: str, precision: str) -> torch.nn.Module:
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM

    config, shape = config_of(size), SIZES[size]
    named = {
        "embedding.weight": "model.embed_tokens.weight",
        "norm.weight": "model.norm.weight",
        "head.weight": "lm_head.weight",
    }
    parts = {
        "attention_norm": "input_layernorm", "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
        "attention.value": "self_attn.v_proj", "attention.output": "self_attn.o_proj",
        "feed_forward_norm": "post_attention_layernorm", "feed_forward.gate": "mlp.gate_proj",
        "feed_forward.up": "mlp.up_proj", "feed_forward.down": "mlp.down_proj",
    }  # fmt: skip
    for layer in range(shape.layers):
        named |= {
            f"layers.{layer}.{ours}.weight": f"model.layers.{layer}.{theirs}.weight" for ours, theirs in parts.items()
        }
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=config.feed_forward_width,
            num_hidden_layers=shape.layers, num_attention_heads=shape.heads, max_position_embeddings=CONTEXT,
            rms_norm_eps=config.norm_epsilon, rope_theta=config.rope_base, tie_word_embeddings=False,
        )
    )  # fmt: skip
    weights = load_file(str(Path(folder) / "model.safetensors"))
    model.load_state_dict({named[name]: weight for name, weight in weights.items()})
    return model.eval().to(torch.bfloat16 if precision == "bf16" else torch.float32)


class Steps(Protocol):
    """One engine: feeds the same number of tokens to each text and scores the last ones (B, V)."""

    def feed(self, ids: list[list[int]], position: int) -> np.ndarray[Any, Any]: ...


class OwnSteps:
    """Prefill and decoding by our interface."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def feed(self, ids: list[list[int]], position: int) -> np.ndarray[Any, Any]:
        from treadle.generation.engine import Rows

        rows = (
            (token, slot, position + i, i == len(text) - 1)
            for slot, text in enumerate(ids)
            for i, token in enumerate(text)
        )
        return self.engine.step(Rows.of(rows))


class TransformersSteps:
    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.cache = model, None

    def feed(self, ids: list[list[int]], position: int) -> np.ndarray[Any, Any]:
        import torch

        with torch.inference_mode():
            past = self.cache if position else None
            answer = self.model(input_ids=torch.tensor(ids), past_key_values=past, use_cache=True, logits_to_keep=1)
        self.cache = answer.past_key_values
        return answer.logits[:, -1].float().numpy()


class NoCacheSteps:
    """Everything anew for each token, as nanoGPT's `sample.py` does."""

    def __init__(self, engine: Engine) -> None:
        self.own, self.texts = OwnSteps(engine), [[]]

    def feed(self, ids: list[list[int]], position: int) -> np.ndarray[Any, Any]:
        self.texts = ids if position == 0 else [text + more for text, more in zip(self.texts, ids, strict=True)]
        return self.own.feed(self.texts, 0)


def open_steps(peer: str, size: str, folder: str, slots: int) -> Steps:
    name, precision = peer.split(":")
    if name == "transformers":
        return TransformersSteps(transformers_model(size, folder, precision))
    from treadle.generation.engine import open_engine

    engine = open_engine(model_of(size, folder), "torch" if name == "nocache" else name, precision, slots)
    return NoCacheSteps(engine) if name == "nocache" else OwnSteps(engine)


def run_child(peer: str, size: str, folder: str, *, quick: bool) -> None:
    if peer.startswith("cold:"):
        steps = open_steps(peer.removeprefix("cold:"), size, folder, 1)
        print(int(steps.feed([[1, 2, 3]], 0)[0].argmax()), flush=True)
        return
    batches = (1,) if peer.startswith("nocache") else (1, 8, 32)
    seconds = 0.5 if quick else 4.0
    facts: dict[str, Any] = {"decode": {}}
    steps = open_steps(peer, size, folder, max(batches))
    facts["greedy"] = greedy(steps, 64)
    for batch in batches:
        facts["decode"][str(batch)] = decode(steps, batch, seconds)
    prompt = [[(7 * i) % SIZES[size].vocabulary for i in range(CONTEXT - 1)]]
    facts["prefill"] = round((CONTEXT - 1) / fast_fifth(timed(lambda: steps.feed(prompt, 0), seconds)), 1)
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage counts the parent before the start
    facts["rss_mb"] = round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)
    if peer.startswith("native"):
        packed = next(
            path for path in Path(folder).glob("packed-*.bin") if path.stem.endswith(NAMES[peer.split(":")[1]])
        )
        lookup = SIZES[size].vocabulary * SIZES[size].width * (4 if peer.endswith("fp32") else 2)
        facts["weight_bytes"] = packed.stat().st_size - 4096 - lookup
    print(json.dumps(facts))


NAMES = {"int8": "int8", "bf16": "bfloat16", "fp32": "float32"}


def greedy(steps: Steps, count: int) -> list[int]:
    ids, logits = [], steps.feed([[1, 2, 3]], 0)
    for position in range(3, 3 + count):
        ids.append(int(logits[0].argmax()))
        logits = steps.feed([[ids[-1]]], position)
    return ids


def decode(steps: Steps, batch: int, seconds: float) -> dict[str, float]:
    """Tokens a second of all texts together, greedy; ours draws them below Python, as it does for people."""
    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import Draft, WritingEngine

    times: list[float] = []
    engine = steps.engine if isinstance(steps, OwnSteps) else None
    while sum(times) < seconds:
        if isinstance(engine, WritingEngine):
            for slot in range(batch):
                settings = GenerationSettings(temperature=0, tokens=CONTEXT - 1)
                engine.begin(slot, Draft([slot % 50 + 1], settings, 1, 0, {0: -1e9}))
            while True:
                begin = time.perf_counter()
                written = engine.write(0)
                times.append(time.perf_counter() - begin)
                if written[0].ending or sum(times) > seconds:
                    break
            for slot in range(batch):
                engine.forget(slot)
            continue
        steps.feed([[1]] * batch, 0)
        for position in range(1, CONTEXT - 1):
            begin = time.perf_counter()
            steps.feed([[position % 50 + 1]] * batch, position)
            times.append(time.perf_counter() - begin)
            if sum(times) > seconds and len(times) > 4:
                break
    return {"fast": round(batch / fast_fifth(times), 1), "median": round(batch / float(np.median(times)), 1)}


def timed(call: Callable[[], Any], seconds: float) -> list[float]:
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times


def fast_fifth(times: list[float]) -> float:
    ordered = sorted(times)
    return float(np.mean(ordered[: max(1, len(ordered) // 5)]))


if __name__ == "__main__":
    main()
