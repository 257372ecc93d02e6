"""How fast texts are written: our engines, llama.cpp, CTranslate2 and transformers where given, and without a cache.

    python benchmarks/generation.py [--quick] [--sizes 1M,10M,95M,124M] [--peers native:int8,llama:q8_0,...]
        [--llama-python PATH] [--peer-python PATH] [--seconds 2] [--folder PATH] [--out FILE]

`--llama-python` has llama-cpp-python, built natively, with `gguf`, and ctranslate2; `--peer-python` has torch,
transformers and what this package needs. A peer that is not there or fails is named and left out. One process for each
engine and size, one after the other, so that memory is each one's own. All run the same random Llama-shaped weights.
Steps are timed one by one: `fast` is the mean of the fastest fifth, `median` the median, so that a busy neighbour shows
as the distance between them. `weight_bytes` is what a step reads of the weights, and `bandwidth_share` that against two
threads that do nothing but read as much. Cold start runs from process start to the first token, files in the page
cache. Greedy fp32 tokens of all engines are compared; where they differ the command fails in the end. What `--out`
holds already of other sizes and peers stays, so that sections can be taken one by one. `--folder` keeps weights and
what engines make of them, so that a second call only measures.
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
from llama_peer import fast_fifth, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from treadle.generation.engine import Engine, EngineModel
    from treadle.models.gpt.config import GPTConfig


@dataclass(frozen=True, slots=True)
class Size:
    layers: int
    width: int
    heads: int
    vocabulary: int


SIZES = {
    "1M": Size(4, 128, 4, 257),
    "10M": Size(6, 384, 6, 257),
    "95M": Size(12, 768, 12, 8192),
    "124M": Size(12, 768, 12, 50257),
}
CONTEXT = 256
PEERS = (
    "native:int8",
    "native:int4",
    "native:bf16",
    "native:fp32",
    "llama:q8_0",
    "llama:q4_0",
    "llama:bf16",
    "llama:f32",
    "ctranslate:int8",
    "ctranslate:fp32",
    "torch:fp32",
    "transformers:fp32",
    "transformers:bf16",
    "nocache:fp32",
)
SCRIPTS = {"llama": "llama_peer.py", "ctranslate": "ctranslate_peer.py"}
"""Of peers that run without this package."""
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
    "OPENBLAS_NUM_THREADS": "1",  # as our engine process sets it; nobody multiplies with numpy
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, and the Pythons that run the peers."""

    seconds: float
    pythons: dict[str, str | None]
    folder: Path | None

    def command(self, peer: str, what: str, size: str, folder: str) -> list[str]:
        """The process that measures one peer, or shows its first token."""
        name, format_ = peer.split(":")
        if name == "native" and what == "cold":
            return [sys.executable, str(Path(__file__).with_name("native_start.py")), "cold", folder, format_]
        if name in SCRIPTS:
            script = str(Path(__file__).with_name(SCRIPTS[name]))
            more = [str(self.seconds)] if what == "measure" else []
            return [str(self.pythons["llama"]), script, what, folder, format_, *more]
        return [str(self.python(peer)), __file__, "--child", what, peer, size, folder, "--seconds", str(self.seconds)]

    def python(self, peer: str) -> str | None:
        """What runs it; None where it is not installed."""
        name = peer.partition(":")[0]
        if name in SCRIPTS:
            return self.pythons["llama"]
        if name == "native" or importlib.util.find_spec("transformers" if name == "transformers" else "torch"):
            return sys.executable
        return self.pythons["peer"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1M and 10M, half a second for each figure")
    parser.add_argument("--sizes")
    parser.add_argument("--peers", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--seconds", type=float, help="for each figure; default 2")
    parser.add_argument("--llama-python")
    parser.add_argument("--peer-python")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        run_child(*chosen.child, seconds=chosen.seconds)
        return
    seconds = chosen.seconds or (0.5 if chosen.quick else 2.0)
    options = Options(seconds, {"llama": chosen.llama_python, "peer": chosen.peer_python}, chosen.folder)
    peers = tuple(chosen.peers.split(",")) if chosen.peers else PEERS
    results, equal = already(chosen.out), True
    for size in (chosen.sizes or ("1M,10M" if chosen.quick else "1M,10M,95M,124M")).split(","):
        found = results["sizes"].setdefault(size, {})
        for peer, facts in measure(size, peers, options):
            found[peer] = facts
            if chosen.out:
                chosen.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        equal &= compare(size, found)
    if not equal:
        sys.exit("Engines that compute in fp32 chose different tokens.")


def already(out: Path | None) -> dict[str, Any]:
    """The results so far, described as of now."""
    before = json.loads(out.read_text()) if out is not None and out.exists() else {"sizes": {}}
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "command": " ".join(["python", "benchmarks/generation.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": git.stdout.strip(),
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "sizes": before["sizes"],
    }


def measure(size: str, peers: tuple[str, ...], options: Options) -> Iterator[tuple[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / size
        if not (folder / "model.safetensors").exists():
            folder.mkdir(parents=True, exist_ok=True)
            save_weights(size, folder)
        for peer in peers:
            facts = measure_peer(size, peer, options, str(folder))
            if facts is not None:
                yield peer, facts


def measure_peer(size: str, peer: str, options: Options, folder: str) -> dict[str, Any] | None:
    if options.python(peer) is None:
        print(f"{size:>4} {peer:<18} not installed", flush=True)
        return None
    command = options.command(peer, "measure", size, folder)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    if done.returncode:
        print(f"{size:>4} {peer:<18} failed: {' '.join(done.stderr.splitlines()[-1:])}", flush=True)
        return None
    facts: dict[str, Any] = json.loads(done.stdout)
    colds = [cold_start(options.command(peer, "cold", size, folder)) for _ in range(3)]
    facts["cold_start_s"] = round(min(colds), 3)
    decode = " ".join(f"b{batch} {one['fast']:,.0f} ({one['median']:,.0f})" for batch, one in facts["decode"].items())
    share = f"  bandwidth {facts['bandwidth_share']:.0%}" if "bandwidth_share" in facts else ""
    print(
        f"{size:>4} {peer:<18} tok/s {decode}  prefill {facts.get('prefill', 0):,.0f}  cold "
        f"{facts['cold_start_s']:.2f} s  rss {facts['rss_mb']:.0f} MB{share}",
        flush=True,
    )
    return facts


LIKE = (
    ("native:int8", "llama:q8_0"),
    ("native:int4", "llama:q4_0"),
    ("native:bf16", "llama:bf16"),
    ("native:fp32", "llama:f32"),
)


def compare(size: str, found: dict[str, Any]) -> bool:
    """Show ratios of like formats, and how many greedy tokens the fp32 engines share; returns whether it is all."""
    for ours, theirs in LIKE:
        if ours not in found or theirs not in found:
            continue
        a, b = found[ours], found[theirs]
        speeds = " ".join(f"b{n} {a['decode'][n]['fast'] / b['decode'][n]['fast']:.2f}x" for n in a["decode"])
        cold = b["cold_start_s"] / a["cold_start_s"]
        print(f"{size:>4} {ours} / {theirs}: {speeds}  prefill {a['prefill'] / b['prefill']:.2f}x  cold {cold:.2f}x")
    exact = {peer: facts["greedy"] for peer, facts in found.items() if peer.endswith(("fp32", "f32"))}
    same: dict[str, int] = {}
    if "native:fp32" in exact:
        same = {peer: sum(map(int.__eq__, ids, exact["native:fp32"])) for peer, ids in exact.items()}
        print(f"{size:>4} greedy fp32 tokens equal to native's, of 64: {same}", flush=True)
    # Parts of llama.cpp compute in half precision whatever its weights are in: it is shown and not held to fp32.
    held = {peer: count for peer, count in same.items() if not peer.startswith("llama")}
    return all(count == len(exact["native:fp32"]) for count in held.values())


def cold_start(command: list[str]) -> float:
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as child:
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
    save_shape(config_of(size), SIZES[size].vocabulary, CONTEXT, folder)


def save_shape(config: GPTConfig, vocabulary: int, context: int, folder: Path) -> None:
    """What a peer without our package must know of the model."""
    facts = {
        "layers": config.layers, "width": config.width, "heads": config.heads, "kv_heads": config.key_value_heads,
        "head_width": config.width_of_head, "feed_forward": config.feed_forward_width, "vocabulary": vocabulary,
        "context": context, "qk_norm": config.qk_norm, "rope_base": config.rope_base,
        "norm_epsilon": config.norm_epsilon,
    }  # fmt: skip
    (folder / "shape.json").write_text(json.dumps(facts), encoding="utf-8")


def model_of(size: str, folder: str) -> EngineModel:
    from native_start import place_of
    from safetensors.numpy import load_file

    from treadle.generation.engine import EngineModel, LazyWeights

    place = place_of(Path(folder))
    weights = LazyWeights(lambda: load_file(place.source))
    return EngineModel("gpt", config_of(size), weights, SIZES[size].vocabulary, CONTEXT, place)


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


def run_child(what: str, peer: str, size: str, folder: str, *, seconds: float) -> None:
    if what == "cold":
        steps = open_steps(peer, size, folder, 1)
        print(int(steps.feed([[1, 2, 3]], 0)[0].argmax()), flush=True)
        return
    batches = (1,) if peer.startswith("nocache") else (1, 8, 32)
    facts: dict[str, Any] = {"decode": {}}
    steps = open_steps(peer, size, folder, max(batches))
    facts["greedy"] = greedy(steps, 64)
    for batch in batches:
        facts["decode"][str(batch)] = decode(steps, batch, seconds)
        if batch == 1:
            facts["rss_mb"] = peak_memory()  # of one text, for all peers
    prompt = [[(7 * i) % SIZES[size].vocabulary for i in range(CONTEXT - 1)]]
    facts["prefill"] = round((CONTEXT - 1) / fast_fifth(timed(lambda: steps.feed(prompt, 0), seconds)), 1)
    if peer.startswith("native"):
        packed = next(
            path for path in Path(folder).glob("packed-*.bin") if path.stem.endswith(NAMES[peer.split(":")[1]])
        )
        lookup = SIZES[size].vocabulary * SIZES[size].width * (4 if peer.endswith("fp32") else 2)
        facts["weight_bytes"] = packed.stat().st_size - 4096 - lookup
        limit = reading_speed(facts["weight_bytes"]) / facts["weight_bytes"]
        facts["bandwidth_share"] = round(facts["decode"]["1"]["fast"] / limit, 3)
    print(json.dumps(facts))


NAMES = {"int4": "int4", "int8": "int8", "bf16": "bfloat16", "fp32": "float32"}


def reading_speed(count: int) -> float:
    """Bytes a second that two threads read of so many, over and over."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "reading")
        source = str(Path(__file__).with_name("reading.cpp"))
        subprocess.run(["g++", "-O3", "-march=native", "-pthread", source, "-o", program], check=True)
        return float(subprocess.run([program, str(count), "0.5"], capture_output=True, check=True).stdout)


def greedy(steps: Steps, count: int) -> list[int]:
    ids, logits = [], steps.feed([[1, 2, 3]], 0)
    for position in range(3, 3 + count):
        ids.append(int(logits[0].argmax()))
        logits = steps.feed([[ids[-1]]], position)
    return ids


def decode(steps: Steps, batch: int, seconds: float) -> dict[str, float]:
    """Tokens a second of all texts together, greedy; ours draws them below Python, as it does for people."""
    from treadle.generation.config import GenerationSettings
    from treadle.generation.engine import WantedText, WritingEngine

    times: list[float] = []
    spent = 0.0
    engine = steps.engine if isinstance(steps, OwnSteps) else None
    while spent < seconds:
        if isinstance(engine, WritingEngine):
            for slot in range(batch):
                settings = GenerationSettings(temperature=0, tokens=CONTEXT - 1)
                engine.begin(slot, WantedText([slot % 50 + 1], settings, 1, 0, {0: -1e9}))
            engine.write(0)  # the first token, which takes memory for keys and values, is timed of nobody
            while True:
                begin = time.perf_counter()
                written = engine.write(0)
                times.append(time.perf_counter() - begin)
                spent += times[-1]
                if written[0].ending or spent > seconds:
                    break
            for slot in range(batch):
                engine.forget(slot)
            continue
        steps.feed([[1]] * batch, 0)
        for position in range(1, CONTEXT - 1):
            begin = time.perf_counter()
            steps.feed([[position % 50 + 1]] * batch, position)
            times.append(time.perf_counter() - begin)
            spent += times[-1]
            if spent > seconds and len(times) > 4:
                break
    return {"fast": round(batch / fast_fifth(times), 1), "median": round(batch / float(np.median(times)), 1)}


def timed(call: Callable[[], Any], seconds: float) -> list[float]:
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times


if __name__ == "__main__":
    main()
